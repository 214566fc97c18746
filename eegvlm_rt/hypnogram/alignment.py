"""How far apart two hypnograms begin, and how that is known. Unknown is never taken for equal in silence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from ..errors import InputError
from ..signal.units import EPOCH_S, is_real
from ..sources.remark import Remark, RemarkKind

__all__ = ["Alignment", "Basis", "align"]

_CLOCK_TOLERANCE_S = 1.0
_FURTHEST_S = 7 * 86_400.0
_DAY = timedelta(days=1)
_NO_DATE = datetime(1985, 1, 1).date()
"""What EDF+ writes for a date that is hidden (2.1.3.3)."""


class Basis(StrEnum):
    """How the distance between two starts is known.

    CLOCK: both have date and clock. TIME_OF_DAY: one hides its date; the nearer of the two days is taken.
    GIVEN: the caller says it. UNKNOWN: one has no start; both are taken to begin together.
    """

    CLOCK = "clock"
    TIME_OF_DAY = "time of day"
    GIVEN = "given"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Alignment:
    """`offset_s` from one start to the other, 0 where nothing is known, and how it is known."""

    offset_s: float
    basis: Basis

    @property
    def epochs(self) -> int:
        """`offset_s` in epochs."""
        return round(self.offset_s / EPOCH_S)

    @property
    def remark(self) -> Remark | None:
        """What must be said of it; None where both clocks are known, or the caller says it."""
        if self.basis is Basis.UNKNOWN:
            text = (
                "a start is unknown, so nothing says how far apart both begin: they are taken to begin "
                "together; say the distance where it is known (offset_s, --truth-offset)"
            )
            return Remark(RemarkKind.ALIGNMENT, text)
        if self.basis is Basis.TIME_OF_DAY:
            text = f"one hides its date: aligned by the time of day, {self.offset_s:+g} s"
            return Remark(RemarkKind.ALIGNMENT, text)
        return None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: offset_s (None where unknown) and basis."""
        is_certain = self.basis is not Basis.UNKNOWN
        return {"offset_s": self.offset_s if is_certain else None, "basis": str(self.basis)}


def align(first: datetime | None, second: datetime | None, offset_s: float | None = None) -> Alignment:
    """How much later the second start is than the first; `offset_s` says it where the clocks do not.

    Raises InputError for a distance that is no whole number of epochs to within a second, or above a week.
    """
    if offset_s is not None:
        if not is_real(offset_s) or not abs(offset_s) <= _FURTHEST_S:
            raise InputError("offset_s", offset_s, "give seconds, at most a week")
        result = Alignment(float(offset_s), Basis.GIVEN)
    elif first is None or second is None:
        result = Alignment(0.0, Basis.UNKNOWN)
    elif (first.tzinfo is None) != (second.tzinfo is None):
        return align(first.replace(tzinfo=None), second.replace(tzinfo=None))
    elif (first.date() == _NO_DATE) != (second.date() == _NO_DATE):
        apart = (second - first) % _DAY
        nearest = apart - _DAY if apart > _DAY / 2 else apart
        result = Alignment(nearest.total_seconds(), Basis.TIME_OF_DAY)
    else:
        result = Alignment((second - first).total_seconds(), Basis.CLOCK)
    if abs(result.offset_s - EPOCH_S * result.epochs) > _CLOCK_TOLERANCE_S:
        raise InputError(
            "start",
            f"{result.offset_s:g} s apart",
            f"the two hypnograms must start a multiple of {EPOCH_S:g} s apart",
        )
    return result
