"""What a night's record says of the epochs before: the only facts that a rationale may state about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..errors import InputError
from ..stages import Stage
from .criteria import Course

if TYPE_CHECKING:
    from ..findings.model import Findings

__all__ = ["NightContext"]

KEPT: Final = 3
LONGEST: Final = 2**31


@dataclass(frozen=True, slots=True)
class NightContext:
    """Facts about the epochs before one epoch, from their answered stages and their findings alone.

    Causal and small; `after` gives the context of the next epoch. An empty one stands for the start of a
    night or the end of a long gap.

    Attributes:
        stages: the last stages as answered, oldest first, at most three; None where there was none.
        since_event: epochs since the last clear spindle or K-complex or the last epoch of N3 (1: the epoch
            before), None where none came since the last epoch of W or R.
        aroused: whether an arousal came in or after that epoch; where there was none, since the last W or R.
    """

    stages: tuple[Stage | None, ...] = ()
    since_event: int | None = None
    aroused: bool = False

    @property
    def previous(self) -> Stage | None:
        """Stage of the epoch before, None where it has none."""
        return self.stages[-1] if self.stages else None

    @property
    def course(self) -> Course:
        """How sleep went on up to now; an arousal hides the event before it."""
        if self.aroused:
            return Course.AROUSAL
        return Course.QUIET if self.since_event is None else Course.EVENT

    def after(self, findings: Findings, stage: Stage | None) -> NightContext:
        """Context of the next epoch, once this one is measured and has its stage."""
        stages = (*self.stages, stage)[-KEPT:]
        arousal = findings.arousals > 0
        if stage is None:
            # Nothing is known of this epoch, so nothing that came before it still holds.
            return NightContext(stages)
        if stage is Stage.W:
            return NightContext(stages, None, True)
        if stage is Stage.R:
            # R goes on through epochs without events; only an arousal in the epoch before matters.
            return NightContext(stages, None, arousal)
        if stage is Stage.N3 or findings.clear_spindles or findings.clear_k_complexes:
            return NightContext(stages, 1, arousal)
        since = None if self.since_event is None else min(self.since_event + 1, LONGEST)
        return NightContext(stages, since, self.aroused or arousal)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields."""
        return {
            "stages": [None if stage is None else stage.name for stage in self.stages],
            "since_event": self.since_event,
            "aroused": self.aroused,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NightContext:
        """Inverse of `to_dict`; raises InputError for anything that it does not write."""
        cure = "give what NightContext.to_dict wrote"
        if not isinstance(values, Mapping) or set(values) != {"stages", "since_event", "aroused"}:
            raise InputError("context", values, cure)
        names, since, aroused = values["stages"], values["since_event"], values["aroused"]
        stage_names = {None, *(stage.name for stage in Stage)}
        if not isinstance(names, (list, tuple)) or len(names) > KEPT:
            raise InputError("context.stages", names, cure)
        if not all(name is None or (isinstance(name, str) and name in stage_names) for name in names):
            raise InputError("context.stages", names, cure)
        whole = isinstance(since, int) and not isinstance(since, bool) and 1 <= since <= LONGEST
        if since is not None and not whole:
            raise InputError("context.since_event", since, cure)
        if not isinstance(aroused, bool):
            raise InputError("context.aroused", aroused, cure)
        return cls(tuple(None if name is None else Stage[name] for name in names), since, aroused)
