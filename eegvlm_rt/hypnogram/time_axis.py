"""Where a time axis has its ticks, and labels that never repeat; for pictures, reports and terminals."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Final

__all__ = ["time_ticks"]

STEPS_S: Final = (
    10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400, 172_800,
)  # fmt: skip
_DAY_S: Final = 86_400


def time_ticks(start: datetime | None, duration_s: float, *, most: int = 12) -> list[tuple[float, str]]:
    """(seconds from the start, label) of at most `most` ticks on round times, in order.

    Labels are clock times, "23:30", or time since the start, "1:30", where the start is not known; with
    seconds where ticks are less than a minute apart. The first label of each further day carries its date,
    and where a recording is longer than a day every label does, so no label comes twice.
    """
    step_s = next((step for step in STEPS_S if duration_s / step <= most - 1), STEPS_S[-1])
    while duration_s / step_s > most - 1:
        step_s *= 2
    offset_s = 0.0
    if start is not None:
        offset_s = (start - start.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()
    count = math.floor((offset_s + duration_s) / step_s + 1e-9) - math.ceil(offset_s / step_s - 1e-9) + 1
    first_s = math.ceil(offset_s / step_s - 1e-9) * step_s - offset_s
    places = [first_s + step_s * i for i in range(count)]
    return [(place, _label(start, place, duration_s, seconds=step_s < 60)) for place in places]


def _label(start: datetime | None, place_s: float, duration_s: float, *, seconds: bool) -> str:
    if start is None:
        minutes, rest = divmod(round(place_s), 60)
        text = f"{minutes // 60}:{minutes % 60:02d}"
        return f"{text}:{rest:02d}" if seconds else text
    when = (start + timedelta(seconds=place_s + 0.5)).replace(microsecond=0)
    text = f"{when:%H:%M:%S}" if seconds else f"{when:%H:%M}"
    if duration_s > _DAY_S or (when.date() != start.date() and when.hour == when.minute == when.second == 0):
        return f"{text}\n{when.day} {when:%b}"
    return text
