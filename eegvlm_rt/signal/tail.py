"""The end of a signal, held by absolute position."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Tail"]

Float32 = NDArray[np.float32]


class Tail:
    """Samples from `start` to `end`; what is before is forgotten. Appending costs the same however long."""

    def __init__(self, start: int = 0) -> None:
        self.start = start
        self._held = np.empty(1024, dtype=np.float32)
        self._from = 0
        self._to = 0

    @property
    def end(self) -> int:
        """Position after the last sample."""
        return self.start + self._to - self._from

    def append(self, x: Float32) -> None:
        """Put samples at the end."""
        if self._to + len(x) > len(self._held):
            kept = self._held[self._from : self._to]
            wanted = 2 * (len(kept) + len(x))
            room = self._held if wanted <= len(self._held) else np.empty(wanted, dtype=np.float32)
            room[: len(kept)] = kept.copy()
            self._held, self._from, self._to = room, 0, len(kept)
        self._held[self._to : self._to + len(x)] = x
        self._to += len(x)

    def forget(self, before: int) -> None:
        """Let go of what lies before a position."""
        step = min(max(0, before - self.start), self._to - self._from)
        self._from += step
        self.start += step

    def read(self, first: int, last: int) -> Float32:
        """A copy of positions `first` to `last`, NaN where nothing is held."""
        out = np.full(last - first, np.nan, dtype=np.float32)
        low, high = max(first, self.start), min(last, self.end)
        if high > low:
            shift = self._from - self.start
            out[low - first : high - first] = self._held[low + shift : high + shift]
        return out

    def at(self, positions: NDArray[np.int64]) -> Float32:
        """The samples at some positions, NaN where nothing is held."""
        inside = (positions >= self.start) & (positions < self.end)
        out = np.full(len(positions), np.nan, dtype=np.float32)
        out[inside] = self._held[positions[inside] - self.start + self._from]
        return out
