"""Between which epochs the statistics of a night count."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from ..hypnogram.statistics import LightsKnown
from ..signal.units import EPOCH_S

if TYPE_CHECKING:
    from .info import NightInfo

__all__ = ["Lights", "lights_between"]


class Lights(TypedDict):
    """Arguments of `sleep_statistics`."""

    lights_off: int | None
    lights_on: int | None
    lights_off_known: LightsKnown
    lights_on_known: LightsKnown


def lights_between(n: int, info: NightInfo, off: int | None, on: int | None) -> Lights:
    """The epochs of `n` between which statistics count, and where each of them comes from: `off` and `on`
    where they are given, else what the recording says.
    """
    taken_off, taken_on = (
        None if s is None else round(s / EPOCH_S) for s in (info.lights_off_s, info.lights_on_s)
    )
    # What the recording says counts only where it is a stretch of this night.
    if taken_off is not None and not 0 <= taken_off < (n if on is None else on):
        taken_off = None
    first = off if off is not None else taken_off or 0
    if taken_on is not None and not first < taken_on <= n:
        taken_on = None
    certainty = [
        LightsKnown.GIVEN
        if epoch is not None
        else LightsKnown.UNKNOWN
        if default is None
        else LightsKnown.TAKEN
        for epoch, default in ((off, taken_off), (on, taken_on))
    ]
    return {
        "lights_off": off if off is not None else taken_off,
        "lights_on": on if on is not None else taken_on,
        "lights_off_known": certainty[0],
        "lights_on_known": certainty[1],
    }
