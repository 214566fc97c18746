"""Epochs of 30 s, conditioned: one cutter for stored recordings and live signals.

Nothing is lost: a part of an epoch is an epoch too, with what is missing marked.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .conditioning import Preprocessing, check_sfreq, condition, conditioner
from .quality import Quality, QualityFlag, assess, qualities_of, quality_of
from .tail import Tail
from .units import EPOCH_S, check_amplitude, is_real, one_channel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike

__all__ = [
    "Epoch",
    "EpochCutter",
    "GridEpoch",
    "check_length",
    "cut_recording",
    "epoch_of_samples",
    "epochs_of",
    "row_of",
]

MEMORY_S: Final = 90.0
"""Raw signal that a cutter keeps, so that a duplicate is told from an overlap."""
PIECE_SAMPLES: Final = 24_000
"""Samples of a stored recording that are conditioned and judged at a time, eight epochs at 100 Hz: fewer take
longer, more leave the processor's cache. One epoch at least."""

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Epoch:
    """Raw samples of one epoch: float32 (n,) in µV, rate in Hz, start in s from the recording's."""

    samples_uv: NDArray[np.float32]
    sfreq: float
    channel: str | None
    start_s: float
    quality: Quality

    @classmethod
    def from_samples(
        cls, x: ArrayLike, sfreq: float, *, unit: str = "uV", channel: str | None = None, start_s: float = 0.0
    ) -> Epoch:
        """Convert to µV, check the amplitude against the unit, and assess the quality.

        Raises:
            InputError: not one-dimensional, or no real numbers.
            UnitError: unknown unit, or an amplitude that does not fit it.
        """
        samples_uv = one_channel("x", x, unit)
        check_amplitude(samples_uv, unit)
        return cls(samples_uv, float(sfreq), channel, float(start_s), assess(samples_uv, sfreq))


@dataclass(frozen=True, slots=True, eq=False)
class GridEpoch:
    """An epoch as the model takes it, and its place in the night.

    Attributes:
        index, start_s: its number, and its start in seconds from the start of the recording.
        x: (3000,) conditioned µV at 100 Hz, NaN where samples are missing.
        quality: of its raw samples.
        channel: name of the channel, where known.
        raw: its raw samples, float32 (n,) in µV; None where there are only conditioned ones.
        end: place after its last raw sample, from the start of the recording.
        final: whether it is an epoch of the grid; the latest 30 s of a signal that goes on are not.
    """

    index: int
    start_s: float
    x: Float32
    quality: Quality
    channel: str | None = None
    raw: Float32 | None = None
    end: int = 0
    final: bool = True

    @property
    def n_samples(self) -> int:
        """How many raw samples it has, missing ones included."""
        return 0 if self.raw is None else len(self.raw)

    @property
    def digest(self) -> str:
        """SHA-256 of the raw float32 samples, as hexadecimal text."""
        return "" if self.raw is None else hashlib.sha256(self.raw.tobytes()).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """An epoch before its raw samples are judged, and what the clock of its device says against it."""

    index: int
    start_s: float
    x: Float32
    raw: Float32
    flags: frozenset[QualityFlag]
    end: int
    final: bool


class EpochCutter:
    """Conditions one channel as it comes, and cuts it at the ends of epochs and hops.

    A stored recording and a live signal go through the same steps in the same order, so their epochs are
    equal to the last bit whatever pieces they come in.

    Args:
        rate: of the signal in Hz.
        spec: how it is conditioned.
        channel: name of the channel, carried to the epochs.
        hop: conditioned samples between two looks at the latest 30 s; None cuts epochs only.
        first_index: number of the first epoch.
        piece: samples that are conditioned and judged at a time where more of them come at once; never fewer
            than the next cut needs.

    Attributes:
        raw: the signal so far, by place from the start of epoch 0; what is older than 90 s is forgotten.
        next_index: number of the first epoch that is not cut yet.
    """

    def __init__(
        self,
        rate: float,
        spec: Preprocessing,
        *,
        channel: str | None = None,
        hop: int | None = None,
        first_index: int = 0,
        piece: int = 1,
    ) -> None:
        self._rate, self._channel, self._piece = rate, channel, piece
        self._per_s = spec.sfreq
        self._width = round(EPOCH_S * spec.sfreq)
        self._hop = hop or self._width
        self._state = conditioner(rate, spec)
        self._lookahead = self._state.lookahead
        self._begin = round(first_index * EPOCH_S * rate)
        if self._begin:
            self._state.skip(self._begin)
        self.raw = Tail(self._begin)
        self._y = Tail(self._state.n_out)
        self._origin = first_index * self._width
        self._boundary = self._origin + min(self._hop, self._width)
        self._flags: dict[int, set[QualityFlag]] = {}
        self.next_index = first_index

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

    def append(self, x: NDArray[np.float32]) -> Iterator[GridEpoch]:
        """Take samples in their place; gives the epochs that they complete. To be run to its end."""
        done = 0
        # A live piece ends where an epoch or a hop can be cut: more is never waiting to be conditioned.
        while done < len(x):
            piece = x[done : done + max(self._piece, self._needed() - self.raw.end)]
            done += len(piece)
            self.raw.append(piece)
            yield from self._advance()

    def skip(self, n: int, flag: QualityFlag | None) -> Iterator[GridEpoch]:
        """Take `n` missing samples, an epoch at a time."""
        while n > 0:
            step = max(1, min(n, self._needed() - self.raw.end))
            if flag is not None:
                for index in range(self._epoch_of(self.raw.end), self._epoch_of(self.raw.end + step - 1) + 1):
                    self._flags.setdefault(index, set()).add(flag)
            self.raw.append(np.full(step, np.nan, dtype=np.float32))
            n -= step
            yield from self._advance()

    def flush(self) -> Iterator[GridEpoch]:
        """The rest, to the last sample: a part of an epoch is a row too, one stray sample is none."""
        # Condition what is left, let the resampling filter run out, and cut what that completes.
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
            # The next cut is at a hop, if the signal reaches as far, else at the end of its epoch.
            self._boundary = min(self._boundary, (self.next_index + 1) * self._width)
            if self._boundary % self._width and self._boundary > self._y.end:
                self._boundary = (self.next_index + 1) * self._width
            yield from self._judged([self._cut()])

    def _needed(self) -> int:
        """Place that the signal must reach for the next cut: the resampling filter looks a little ahead."""
        return int(np.ceil(self._boundary * self._rate / self._per_s)) + self._lookahead

    def _advance(self) -> Iterator[GridEpoch]:
        # Samples are conditioned by the second, or when a cut asks for them: single ones cost as much.
        if self.raw.end < self._needed() and self.raw.end - self._state.n_in < self._rate:
            return
        self._condition()
        cuts = []
        while self._y.end >= self._boundary and self.raw.end >= self._needed():
            cuts.append(self._cut())
        yield from self._judged(cuts)

    def _condition(self) -> None:
        x = self.raw.read(self._state.n_in, self.raw.end)
        if len(x):
            self._y.append(self._state.push(x))

    def _cut(self) -> _Cut | None:
        """Go on behind the next boundary; the 30 s before it, None where the signal is younger."""
        # A boundary is the end of an epoch of the grid or of a hop, whose 30 s are no epoch of it.
        end, width = self._boundary, self._width
        final = end % width == 0
        cut = self._cut_before(end, final) if final or end - width >= self._origin else None
        if final:
            self._flags = {index: flags for index, flags in self._flags.items() if index >= self.next_index}
            self.next_index += 1
        self._boundary = min(end - end % width + width, end + self._hop)
        self._y.forget(self._boundary - width)
        self.raw.forget(
            min(
                self._state.n_in,
                self._place(self._boundary - width),
                self.raw.end - round(MEMORY_S * self._rate),
            )
        )
        return cut

    def _cut_before(self, end: int, final: bool) -> _Cut:
        """The 30 s before conditioned sample `end`."""
        # Quality is that of the raw samples at the same time: conditioning hides flat and clipped signal.
        first, last = self._place(end - self._width), self._place(end)
        reached = min(last, self.raw.end)
        # A recording that is one sample short of an epoch holds a whole one.
        raw = self.raw.read(first, last if last - reached > 1 else reached)
        index = (end - 1) // self._width
        indices = [index] if final else [index - 1, index]
        flags = frozenset[QualityFlag]().union(*(self._flags.get(i, ()) for i in indices))
        start_s = (end - self._width) / self._per_s
        return _Cut(index, start_s, self._y.read(end - self._width, end), raw, flags, reached, final)

    def _judged(self, cuts: Sequence[_Cut | None]) -> Iterator[GridEpoch]:
        """Epochs of what was cut, with the quality of their raw samples."""
        # Epochs of one length are judged together, which takes half the time.
        for _, some in groupby((cut for cut in cuts if cut is not None), lambda cut: len(cut.raw)):
            alike = list(some)
            qualities = qualities_of(np.stack([cut.raw for cut in alike]), self._rate)
            for cut, quality in zip(alike, qualities, strict=True):
                flagged = replace(quality, flags=quality.flags | cut.flags) if cut.flags else quality
                yield GridEpoch(
                    cut.index, cut.start_s, cut.x, flagged, self._channel, cut.raw, cut.end, cut.final
                )

    def _place(self, out: int) -> int:
        return round(out / self._per_s * self._rate)

    def _epoch_of(self, place: int) -> int:
        return max(self.next_index, int((place + 0.5) / (EPOCH_S * self._rate)))


def epoch_of_samples(
    x: Any,
    sfreq: float,
    unit: str,
    spec: Preprocessing,
    *,
    channel: str | None = None,
    index: int = 0,
    start_s: float = 0.0,
) -> GridEpoch:
    """Condition one epoch of exactly 30 s, give or take one sample.

    Raises:
        InputError: another shape or length; the field `n_samples` names the length. UnitError: unit and
            amplitude do not fit. SamplingRateError: rate not supported.
    """
    rate = check_sfreq(sfreq)
    if not is_real(start_s) or abs(start_s) == math.inf:
        raise InputError("start_s", start_s, "give finite seconds")
    if not is_real(index) or index != index // 1:
        raise InputError("index", index, "give a whole number")
    samples_uv = one_channel("x", x, unit)
    check_length(len(samples_uv), rate)
    check_amplitude(samples_uv, unit)
    return row_of(samples_uv, rate, int(index), float(start_s), channel, spec)


def epochs_of(n_samples: int, sfreq: float) -> int:
    """Epochs that a recording gives: the whole ones, and a last one that is not."""
    return max(1, math.ceil((n_samples - 1) / (EPOCH_S * sfreq)))


def cut_recording(
    samples_uv: Float32, rate: float, channel: str | None, spec: Preprocessing
) -> Iterator[GridEpoch]:
    """Epochs of a whole recording, (n,) in µV; raises InputError for one without samples."""
    if len(samples_uv) == 0:
        raise InputError("n_samples", 0, "give a recording that holds samples")
    piece = max(PIECE_SAMPLES, round(EPOCH_S * rate))
    return _cut(EpochCutter(rate, spec, channel=channel, piece=piece), samples_uv)


def _cut(cutter: EpochCutter, samples_uv: Float32) -> Iterator[GridEpoch]:
    yield from cutter.append(samples_uv)
    yield from cutter.flush()


def row_of(
    samples_uv: Float32, rate: float, index: int, start_s: float, channel: str | None, spec: Preprocessing
) -> GridEpoch:
    """An epoch that is conditioned on its own, as one of 30 s whatever comes before it."""
    x = condition(samples_uv, rate, spec, round(EPOCH_S * spec.sfreq))
    return GridEpoch(
        index,
        start_s,
        x,
        quality_of(samples_uv, rate),
        channel,
        samples_uv,
        round(start_s * rate) + len(samples_uv),
    )


def check_length(n_samples: int, rate: float) -> None:
    if abs(n_samples - EPOCH_S * rate) > 1:
        raise InputError(
            "n_samples", n_samples, f"an epoch is 30 s: give {round(EPOCH_S * rate)} samples at {rate:g} Hz"
        )
