"""When a bed's night begins and ends, and which date it bears."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

__all__ = ["Schedule", "Window"]

NOON: Final = time(12)


@dataclass(frozen=True, slots=True)
class Window:
    """A night of the schedule: `date` is that of the day it begins on; `begin_s` and `end_s` are seconds
    since 1970, the end not included.
    """

    date: date
    begin_s: float
    end_s: float


class Schedule:
    """Nights from `lights_off` to `lights_on`, local clock times; with neither, from noon to noon.

    In the night of a change to or from summer time, the night is an hour shorter or longer. A clock time
    that the change leaves out is read with the offset before it, one that comes twice is the first
    (PEP 495, fold 0).
    """

    def __init__(self, lights_off: time | None, lights_on: time | None, zone: ZoneInfo | None) -> None:
        self._off = NOON if lights_off is None else lights_off
        self._on = NOON if lights_on is None else lights_on
        self._zone = zone

    def window(self, now_s: float) -> Window | None:
        """The night that `now_s` lies in; None between two nights."""
        today = self._local(now_s).date()
        # A night that began yesterday may still last.
        for day in (today - timedelta(days=1), today):
            window_of_day = self._of(day)
            if window_of_day.begin_s <= now_s < window_of_day.end_s:
                return window_of_day
        return None

    def next_begin_s(self, now_s: float) -> float:
        """When the next night begins that has not begun yet."""
        today = self._local(now_s).date()
        days = (self._of(today + timedelta(days=ahead)).begin_s for ahead in (-1, 0, 1, 2))
        return next(begin for begin in days if begin > now_s)

    def _of(self, day: date) -> Window:
        end_day = day if self._on > self._off else day + timedelta(days=1)
        return Window(day, self._seconds(day, self._off), self._seconds(end_day, self._on))

    def _seconds(self, day: date, clock: time) -> float:
        local = datetime.combine(day, clock)
        if self._zone is None:
            return local.timestamp()
        return local.replace(tzinfo=self._zone).astimezone(UTC).timestamp()

    def _local(self, now_s: float) -> datetime:
        return datetime.fromtimestamp(now_s, self._zone)
