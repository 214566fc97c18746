"""How often something may be started again before it is left alone."""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["Restarts"]

BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0, 4.0)


class Restarts:
    """Counts deaths: `limit` within `window_s`, or as many in a row without a success, are too many."""

    def __init__(self, limit: int = 5, window_s: float = 60.0) -> None:
        self.total = 0
        self._limit, self._window_s = limit, window_s
        self._times: deque[float] = deque(maxlen=limit)
        self._in_a_row = 0

    def died(self, now: float) -> bool:
        """It died; whether that is too often."""
        self.total += 1
        self._in_a_row += 1
        self._times.append(now)
        often = len(self._times) == self._limit and now - self._times[0] <= self._window_s
        return often or self._in_a_row >= self._limit

    def succeeded(self) -> None:
        """It did what it is for."""
        self._in_a_row = 0

    def forget(self) -> None:
        """Begin to count anew; one more death is too many until there is a success."""
        self._times.clear()
        self._in_a_row = self._limit - 1

    @property
    def pause_s(self) -> float:
        """How long to wait before the next start."""
        return BACKOFF_S[min(self._in_a_row, len(BACKOFF_S)) - 1] if self._in_a_row else 0.0
