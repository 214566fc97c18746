"""What a rule of scoring is made of: conditions on what is measured or recorded, their bounds, and how sleep
went on before.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from ..findings.model import Rhythm
    from ..stages import Stage

__all__ = [
    "ALPHA_PCT",
    "AMPLITUDE_UV",
    "DEFLECTION_PCT",
    "HALF_PCT",
    "NO_ALPHA_PCT",
    "SLOW_WAVE_PCT",
    "SOME_PCT",
    "Condition",
    "Course",
    "Kind",
    "Reason",
    "Rule",
    "below",
    "rhythm_of",
]

Kind = Literal[
    "rhythm",
    "alpha_pct",
    "spindles",
    "k_complexes",
    "clear_spindles",
    "clear_k_complexes",
    "early_events",
    "possible_events",
    "slow_wave_pct",
    "amplitude_uv",
    "muscle_pct",
    "deflection_pct",
    "waking_pct",
    "previous",
    "course",
]

ALPHA_PCT: Final = 50.0
NO_ALPHA_PCT: Final = 10.0
SLOW_WAVE_PCT: Final = 20.0
AMPLITUDE_UV: Final = 75.0
HALF_PCT: Final = 50.0
SOME_PCT: Final = 20.0
DEFLECTION_PCT: Final = 10.0


class Course(StrEnum):
    """How sleep went on up to an epoch, as the AASM manual asks for N2 and R."""

    EVENT = "spindle or K-complex before, no arousal since"
    AROUSAL = "arousal or movement before"
    QUIET = "no spindle, K-complex or arousal before"


@dataclass(frozen=True, slots=True)
class Condition:
    """One measurable statement: a number below or at least `bound`, or a word among `among`.

    The words are those of `Rhythm` for `rhythm`, names of stages for `previous` and those of `Course` for
    `course`; the last two need the night's record.
    """

    kind: Kind
    bound: float = 0.0
    below: bool = False
    among: frozenset[str] = frozenset()

    def holds(self, value: float) -> bool:
        """Whether a number satisfies the bound."""
        return value < self.bound if self.below else value >= self.bound


@dataclass(frozen=True, slots=True)
class Rule:
    """A scoring rule, true where all conditions hold; without conditions it claims nothing measurable."""

    id: str
    stage: Stage
    phrase: str
    source: str
    conditions: tuple[Condition, ...] = ()

    @property
    def text(self) -> str:
        """As it stands in a rationale, "N3.1: slow waves in 20 % or more"."""
        return f"{self.id}: {self.phrase}"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a stage was excluded; without conditions it claims nothing measurable.

    `overrides`: it is a ground by the manual even where the stage's own rule is met.
    """

    stage: Stage
    phrase: str
    conditions: tuple[Condition, ...] = ()
    overrides: bool = False

    @property
    def text(self) -> str:
        """As it stands in a rationale, "W: no alpha rhythm"."""
        return f"{self.stage.name}: {self.phrase}"


def rhythm_of(*names: Rhythm) -> Condition:
    """The rhythm is one of `names`."""
    return Condition("rhythm", among=frozenset(map(str, names)))


def below(kind: Kind, bound: float) -> Condition:
    """The quantity is below `bound`."""
    return Condition(kind, bound, below=True)
