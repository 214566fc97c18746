"""The end of a signal, held by absolute position."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Tail"]


class Tail:
    """Numbers from `start` to `end`; what is before is forgotten. Appending costs the same however long."""

    def __init__(self, start: int = 0, dtype: Any = np.float32) -> None:
        self.start = start
        self._held: NDArray[Any] = np.empty(1024, dtype=dtype)
        self._from = 0
        self._to = 0

    @property
    def end(self) -> int:
        """Position after the last number."""
        return self.start + self._to - self._from

    def append(self, x: NDArray[Any]) -> None:
        """Put numbers at the end."""
        if self._to + len(x) > len(self._held):
            kept = self._held[self._from : self._to]
            wanted = 2 * (len(kept) + len(x))
            room = self._held if wanted <= len(self._held) else np.empty(wanted, dtype=self._held.dtype)
            room[: len(kept)] = kept.copy()
            self._held, self._from, self._to = room, 0, len(kept)
        self._held[self._to : self._to + len(x)] = x
        self._to += len(x)

    def forget(self, before: int) -> None:
        """Let go of what lies before a position."""
        step = min(max(0, before - self.start), self._to - self._from)
        self._from += step
        self.start += step

    def read(self, first: int, last: int) -> NDArray[Any]:
        """A copy of positions `first` to `last`, NaN where nothing is held."""
        out = np.full(last - first, np.nan, dtype=self._held.dtype)
        low, high = max(first, self.start), min(last, self.end)
        if high > low:
            shift = self._from - self.start
            out[low - first : high - first] = self._held[low + shift : high + shift]
        return out

    def at(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """The numbers at some positions, NaN where nothing is held."""
        inside = (positions >= self.start) & (positions < self.end)
        out = np.full(len(positions), np.nan, dtype=self._held.dtype)
        out[inside] = self._held[positions[inside] - self.start + self._from]
        return out
