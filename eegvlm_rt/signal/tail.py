"""The latest part of a signal, addressed by absolute position."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Tail"]


class Tail:
    """Numbers from `start` to `end`; what is before is forgotten. Appending costs the same however long.

    Attributes:
        start: position of the first number that is still there.
        end: position after the last number.
    """

    def __init__(self, start: int = 0, dtype: Any = np.float32) -> None:
        self.start = self.end = start
        self._room: NDArray[Any] = np.empty(1024, dtype=dtype)
        self._from = 0
        self._to = 0

    def append(self, x: NDArray[Any]) -> None:
        """Put numbers at the end."""
        if self._to + len(x) > len(self._room):
            # Move what counts to the front; twice the room, so that this is seldom done.
            numbers = self._room[self._from : self._to]
            size = 2 * (len(numbers) + len(x))
            room = self._room if size <= len(self._room) else np.empty(size, dtype=self._room.dtype)
            room[: len(numbers)] = numbers.copy()
            self._room, self._from, self._to = room, 0, len(numbers)
        self._room[self._to : self._to + len(x)] = x
        self._to += len(x)
        self.end += len(x)

    def forget(self, before: int) -> None:
        """Let go of what lies before a position."""
        step = min(max(0, before - self.start), self._to - self._from)
        self._from += step
        self.start += step

    def read(self, first: int, last: int) -> NDArray[Any]:
        """A copy of positions `first` to `last`, NaN outside of what is there."""
        low, high = max(first, self.start), min(last, self.end)
        if (low, high) == (first, last):
            return self._room[self._from + first - self.start : self._from + last - self.start].copy()
        out = np.full(last - first, np.nan, dtype=self._room.dtype)
        if high > low:
            shift = self._from - self.start
            out[low - first : high - first] = self._room[low + shift : high + shift]
        return out

    def at(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """The numbers at some positions, NaN outside of what is there."""
        inside = (positions >= self.start) & (positions < self.end)
        out = np.full(len(positions), np.nan, dtype=self._room.dtype)
        out[inside] = self._room[positions[inside] - self.start + self._from]
        return out
