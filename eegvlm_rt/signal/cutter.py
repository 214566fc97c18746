"""The placed signal, conditioned as it comes and cut at the ends of epochs and hops."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from .conditioning import Preprocessing, conditioner, missing_of
from .epochs import GridEpoch
from .quality import assess
from .tail import Tail
from .units import EPOCH_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .quality import Quality, QualityFlag

__all__ = ["Cut", "Cutter"]

MEMORY_S: Final = 90.0
"""Raw signal kept to tell a duplicate from an overlap."""


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A row of the grid, or, where `final` is false, the latest 30 s.

    `samples` counts the raw float32 samples in µV, `digest` is their SHA-256 as hexadecimal text, `end` the
    place after the last of them.
    """

    row: GridEpoch
    final: bool
    samples: int
    digest: str
    end: int


class Cutter:
    """Conditions and cuts. `raw` is the signal so far; `hop` in output samples, None for epochs only."""

    def __init__(
        self, rate: float, spec: Preprocessing, *, channel: str | None, hop: int | None, first_index: int
    ) -> None:
        self._rate, self._channel = rate, channel
        self._per_s = spec.sfreq
        self._width = round(EPOCH_S * spec.sfreq)
        self._hop = hop or self._width
        self._state = conditioner(rate, spec)
        self._begin = round(first_index * EPOCH_S * rate)
        if self._begin:
            self._state.skip(self._begin)
        self.raw = Tail(self._begin)
        self._y = Tail(self._state.given)
        self._origin = first_index * self._width
        self._boundary = self._origin + min(self._hop, self._width)
        self._flags: dict[int, set[QualityFlag]] = {}
        self.next_index = first_index
        """Number of the first epoch that is not cut yet."""

    @property
    def in_progress(self) -> int:
        """Number of the epoch that the next sample falls into."""
        return self._epoch_of(self.raw.end)

    def flag(self, flag: QualityFlag, places: NDArray[np.intp] | None = None) -> None:
        """Mark the epoch that the next sample falls into, or those of some places."""
        if places is None:
            places = np.asarray([self.raw.end])
        for index in np.unique(((places + 0.5) / (EPOCH_S * self._rate)).astype(np.intp)):
            self._flags.setdefault(max(self.next_index, int(index)), set()).add(flag)

    def append(self, x: NDArray[np.float32]) -> Iterator[Cut]:
        """Take samples in their place; gives what they complete. To be run to its end."""
        done = 0
        while done < len(x):
            piece = x[done : done + max(1, self._needed() - self.raw.end)]
            done += len(piece)
            self.raw.append(piece)
            yield from self._advance()

    def skip(self, n: int, flag: QualityFlag | None) -> Iterator[Cut]:
        """Take `n` missing samples, an epoch at a time."""
        while n > 0:
            step = max(1, min(n, self._needed() - self.raw.end))
            if flag is not None:
                for index in range(self._epoch_of(self.raw.end), self._epoch_of(self.raw.end + step - 1) + 1):
                    self._flags.setdefault(index, set()).add(flag)
            self.raw.append(np.full(step, np.nan, dtype=np.float32))
            n -= step
            yield from self._advance()

    def flush(self) -> Iterator[Cut]:
        """The rest, to the last sample: a part of an epoch is a row too, one stray sample is none."""
        n = self.raw.end
        if n == self._begin:
            return
        self._condition()
        length = round(n * self._per_s / self._rate)
        self._y.append(self._state.finish(max(length, self._y.end)))
        rows = max(self.next_index, int(np.ceil((n - 1) / (EPOCH_S * self._rate))))
        if self.next_index * self._width == self._origin and self._begin == 0:
            rows = max(1, rows)
        while self.next_index < rows:
            self._boundary = min(self._boundary, (self.next_index + 1) * self._width)
            if self._boundary % self._width and self._boundary > self._y.end:
                self._boundary = (self.next_index + 1) * self._width
            yield from self._cut()

    def _needed(self) -> int:
        return int(np.ceil(self._boundary * self._rate / self._per_s)) + self._state.lookahead

    def _advance(self) -> Iterator[Cut]:
        if self.raw.end < self._needed() and self.raw.end - self._state.taken < self._rate:
            return
        self._condition()
        while self._y.end >= self._boundary and self.raw.end >= self._needed():
            yield from self._cut()

    def _condition(self) -> None:
        x = self.raw.read(self._state.taken, self.raw.end)
        if len(x):
            self._y.append(self._state.push(x, missing_of(x)))

    def _cut(self) -> Iterator[Cut]:
        end, width = self._boundary, self._width
        final = end % width == 0
        if final or end - width >= self._origin:
            yield self._made(end, final)
        if final:
            self._flags = {index: flags for index, flags in self._flags.items() if index >= self.next_index}
            self.next_index += 1
        self._boundary = min(end - end % width + width, end + self._hop)
        self._y.forget(self._boundary - width)
        self.raw.forget(
            min(
                self._state.taken,
                self._place(self._boundary - width),
                self.raw.end - round(MEMORY_S * self._rate),
            )
        )

    def _made(self, end: int, final: bool) -> Cut:
        first, last = self._place(end - self._width), self._place(end)
        held = min(last, self.raw.end)
        raw = self.raw.read(first, last if last - held > 1 else held)
        x = self._y.read(end - self._width, end)
        index = (end - 1) // self._width
        quality = self._with_flags(assess(raw, self._rate), [index] if final else [index - 1, index])
        start_s = (end - self._width) / self._per_s
        row = GridEpoch(index, start_s, x, quality, self._channel)
        digest = hashlib.sha256(raw.tobytes()).hexdigest() if final else ""
        return Cut(row, final, len(raw), digest, held)

    def _with_flags(self, quality: Quality, indices: list[int]) -> Quality:
        found = frozenset().union(*(self._flags.get(index, ()) for index in indices))
        return replace(quality, flags=quality.flags | found) if found else quality

    def _place(self, out: int) -> int:
        return round(out / self._per_s * self._rate)

    def _epoch_of(self, place: int) -> int:
        return max(self.next_index, int((place + 0.5) / (EPOCH_S * self._rate)))
