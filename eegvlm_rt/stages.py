"""Sleep stages and the codings in which other software writes them."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from .errors import InputError

__all__ = ["STAGES", "Stage", "StageProbabilities", "edf_text"]


class Stage(IntEnum):
    """The five adult stages of the AASM manual. The integer is the class index of the model."""

    W = 0
    N1 = 1
    N2 = 2
    N3 = 3
    R = 4

    @classmethod
    def parse(cls, text: str) -> Stage | None:
        """Stage named by `text`, or None for a text that says "not scored".

        Accepts short names (W, N2, R), EDF+ annotation texts in Rechtschaffen & Kales and in AASM wording
        ("Sleep stage 4", "Sleep stage N3"), and the words of YASA, BIDS and Profusion ("WAKE", "REM", "S2").
        R&K stages 3 and 4 are both N3. "Sleep stage ?", "Sleep stage N" (NREM, not subdivided), movement
        time, artifact and unscored give None. Case and surrounding space do not matter.

        Raises:
            InputError: the text names no stage in any of these codings.
        """
        name = " ".join(str(text).strip().upper().split())
        for prefix in ("SLEEP STAGE ", "STAGE "):
            if name.startswith(prefix):
                name = name[len(prefix) :]
                break
        if name in _NAMES:
            return _NAMES[name]
        raise InputError("stage", text, "use W, N1, N2, N3, R or an EDF+ text such as 'Sleep stage 2'")

    @classmethod
    def from_int(cls, code: int) -> Stage | None:
        """Stage of the coding 0 W, 1 N1, 2 N2, 3 N3, 4 R; None for every other integer (unscored)."""
        return _stage_of(code, (cls.W, cls.N1, cls.N2, cls.N3, cls.R))

    @classmethod
    def from_rk(cls, code: int) -> Stage | None:
        """Stage of the R&K coding 0 W, 1..4 S1..S4, 5 REM (also Profusion's); None for others."""
        return _stage_of(code, (cls.W, cls.N1, cls.N2, cls.N3, cls.N3, cls.R))

    @classmethod
    def from_dreams(cls, code: int) -> Stage | None:
        """Stage of the DREAMS databases' coding 5 W, 4 REM, 3 S1, 2 S2, 1 S3, 0 S4; None otherwise."""
        return _stage_of(code, (cls.N3, cls.N3, cls.N2, cls.N1, cls.R, cls.W))

    @classmethod
    def from_yasa(cls, code: int | str) -> Stage | None:
        """Stage of YASA's integers (0 W, 1..3, 4 R, -1 artifact, -2 unscored) or words ("WAKE", "ART")."""
        return cls.parse(code) if isinstance(code, str) else cls.from_int(code)

    @property
    def rk_code(self) -> int:
        """R&K and Profusion integer: 0 W, 1, 2, 3, 5 REM (N3 is written as 3)."""
        return 5 if self is Stage.R else int(self)

    def to_edf_text(self, *, rk: bool = False) -> str:
        """EDF+ standard text: "Sleep stage N2", or "Sleep stage 2" with `rk`."""
        return f"Sleep stage {self.name.removeprefix('N') if rk else self.name}"


class StageProbabilities(dict[Stage, float]):
    """Probability of each stage. A stage is named by `Stage.N2`, by "N2" or by its index 2."""

    def __missing__(self, key: object) -> float:
        if isinstance(key, str) and key in Stage.__members__:
            return self[Stage[key]]
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return super().__contains__(Stage.__members__.get(key, key) if isinstance(key, str) else key)

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{stage.name}: {p:.3f}" for stage, p in self.items()) + "}"


def _stage_of(code: int, table: tuple[Stage, ...]) -> Stage | None:
    index = int(code)
    return table[index] if 0 <= index < len(table) else None


def edf_text(stage: Stage | None, *, rk: bool = False) -> str:
    """EDF+ standard text of a stage; None gives "Sleep stage ?"."""
    return "Sleep stage ?" if stage is None else stage.to_edf_text(rk=rk)


STAGES: Final[tuple[Stage, ...]] = tuple(Stage)

_NAMES: Final[dict[str, Stage | None]] = {
    **dict.fromkeys(("W", "WAKE", "WAKEFULNESS", "0"), Stage.W),
    **dict.fromkeys(("N1", "NREM1", "S1", "1"), Stage.N1),
    **dict.fromkeys(("N2", "NREM2", "S2", "2"), Stage.N2),
    **dict.fromkeys(("N3", "NREM3", "S3", "S4", "3", "4"), Stage.N3),
    **dict.fromkeys(("R", "REM"), Stage.R),
    **dict.fromkeys(("?", "N", "NREM", "UNSCORED", "UNS", "UNKNOWN", "UNDEFINED", ""), None),
    **dict.fromkeys(("M", "MT", "MOVEMENT", "MOVEMENT TIME", "ART", "ARTIFACT", "ARTEFACT"), None),
}
