"""The causal conditioning of one channel, with its state: the same samples whatever pieces they come in."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from .filters import kaiser_lowpass, settled_state
from .scipy_loops import filter_sections, resample
from .units import LARGEST_SAMPLE_UV

if TYPE_CHECKING:
    from fractions import Fraction

__all__ = ["Conditioner", "lookahead_samples"]

HOLD_S: Final = 1.0
_BLOCK: Final = 1 << 16
_HALF_CYCLES: Final = 10
_SNAP: Final = 1e-6

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Conditioner:
    """Filters, then resamples, samples that come in any pieces.

    A missing sample holds the last good one for up to 1 s. After that, and before the first good sample, the
    filters rest; they start anew at the next good sample as at the start of a recording, so that neither a
    long gap nor another offset after it rings. Nothing but the linear-phase resampling filter reads ahead:
    `lookahead_samples`.

    Args:
        sos: (k, 6) sections of the filters at the rate of the input.
        ratio: output samples per input sample.
        rate: of the input in Hz.
        out_rate: of the output in Hz.
    """

    def __init__(self, sos: Float64, ratio: Fraction, rate: float, out_rate: float) -> None:
        self._sos = sos
        self._zi = settled_state(sos)
        self._up, self._down = ratio.numerator, ratio.denominator
        self._half = 0 if ratio == 1 else _HALF_CYCLES * max(self._up, self._down)
        self._step = rate / out_rate
        self._hold = max(1, round(HOLD_S * rate))
        self._state: Float64 | None = None
        self._last = 0.0
        self._edge = float("nan")
        self._run = self._hold
        self._window = np.zeros(0, dtype=np.float32)
        self._holes = np.zeros(0, dtype=np.bool_)
        self._window_start = 0
        self.n_in = 0
        """Input samples so far."""
        self.n_out = 0
        """Output samples so far."""

    @property
    def lookahead(self) -> int:
        """Input samples that must follow an output's place before it is given."""
        return self._half // self._up + 1 if self._half else 0

    def push(self, x: NDArray[np.floating]) -> Float32:
        """Take (n,) µV, some of which may be missing; returns what is ready, NaN where missing."""
        pieces = [self._push(x[i : i + _BLOCK]) for i in range(0, len(x), _BLOCK)]
        return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.float32)

    def skip(self, n: int) -> int:
        """Take `n` missing samples, however many, without holding them; returns how many outputs are ready,
        the last of which were not made but are all missing.

        Only for n of at least `settled`: what is before must be given first by `push`.
        """
        # Outputs are counted, not made: a night may be missing. Filter and window begin anew behind the gap,
        # with as many missing samples in the window as the next output still looks at.
        ready = self._ready(self.n_in + n) - self.n_out
        self.n_in += n
        self.n_out += ready
        self._edge = float("nan") if ready else self._edge
        self._state, self._run = None, self._hold
        self._window_start = self._needed()
        length = self.n_in - self._window_start
        self._window = np.zeros(length, dtype=np.float32)
        self._holes = np.ones(length, dtype=np.bool_)
        return ready

    @property
    def settled(self) -> int:
        """Missing samples after which nothing of the signal before them is left in filters and output."""
        return self._hold + 2 * (self._half // self._up + 2)

    def finish(self, length: int) -> Float32:
        """The rest of the output after the last sample, up to `length` samples in all; a sample that the
        input does not reach repeats the last one.
        """
        end = self.n_in
        if end == 0:
            return np.full(length - self.n_out, np.nan, dtype=np.float32)
        # Zeros stand for the samples that never come, so that the last outputs can be made at all; they are
        # marked as what the last sample was.
        tail = self.lookahead + int(np.ceil(self._step)) + 1
        self._window = np.concatenate([self._window, np.zeros(tail, dtype=np.float32)])
        self._holes = np.concatenate([self._holes, np.full(tail, self._holes[-1])])
        reached = min(length, -(-end * self._up // self._down))
        rest = self._resample(reached)
        short = max(0, length - self.n_out)
        return np.concatenate([rest, np.full(short, self._edge, dtype=np.float32)])

    def _push(self, x: NDArray[np.floating]) -> Float32:
        missing = _missing_of(x)
        # Filter first, at the input rate; then resample what has enough samples behind it; then forget what
        # no later output looks at.
        filtered = self._filter(x, missing)
        self._window = np.concatenate([self._window, filtered])
        self._holes = np.concatenate([self._holes, missing])
        self.n_in += len(x)
        out = self._resample(self._ready(self.n_in))
        first = self._needed()
        self._window, self._holes = (
            self._window[first - self._window_start :],
            self._holes[first - self._window_start :],
        )
        self._window_start = first
        return out

    def _filter(self, x: NDArray[np.floating], missing: Bools) -> Float32:
        wide = x.astype(np.float64)
        if not missing.any():
            out = self._run_filter(wide)
            self._last, self._run = float(wide[-1]), 0
            return out
        index = np.arange(len(wide))
        # For each sample the last good one before it, and how long ago that was.
        good = np.maximum.accumulate(np.where(missing, -1, index))
        run = np.where(good >= 0, index - good, index + 1 + self._run)
        resting = missing & (run > self._hold)
        # A short gap holds the last good value, so that the filters do not ring; after a longer one they rest
        # and begin anew.
        wide = np.where(good >= 0, wide[np.maximum(good, 0)], self._last)
        out = np.zeros(len(wide), dtype=np.float32)
        # Filter the pieces between rests; each begins anew.
        edges = np.flatnonzero(np.diff(resting)) + 1
        for start, end in zip([0, *edges], [*edges, len(wide)], strict=True):
            if resting[start]:
                self._state = None
            else:
                out[start:end] = self._run_filter(wide[start:end])
        self._last = float(wide[-1])
        self._run = min(int(run[-1]), self._hold)
        return out

    def _run_filter(self, wide: Float64) -> Float32:
        # A state that fits a constant signal of the first value: no step at the beginning.
        if self._state is None:
            self._state = self._zi * wide[0]
        out, self._state = filter_sections(self._sos, wide, self._state)
        return np.asarray(out, dtype=np.float32)

    def _ready(self, inputs: int) -> int:
        if not self._half:
            return inputs
        return max(self.n_out, -(-(inputs * self._up - self._half) // self._down))

    def _needed(self) -> int:
        """First input sample that an output still to be given looks at."""
        first = -(-(self.n_out * self._down - self._half) // self._up)
        return max(0, min(first, self.n_in, int(np.floor(self.n_out * self._step + _SNAP)) - 1))

    def _resample(self, until: int) -> Float32:
        first, count = self.n_out, until - self.n_out
        if count <= 0:
            return np.zeros(0, dtype=np.float32)
        start = self._window_start
        # At the nominal rate already: samples are passed on as they are.
        if not self._half:
            out = self._window[first - start : until - start].copy()
        else:
            # The samples that were kept begin somewhere in the night: leading zeros move the filter to the
            # phase that
            # it has when all of the signal is resampled at once, so that pieces give the same bytes.
            pad = (start * self._up - self._half) % self._down
            taps = _taps(self._up, self._down)
            if pad:
                taps = np.concatenate([np.zeros(pad, dtype=np.float32), taps])
            skipped = first + (self._half + pad - start * self._up) // self._down
            block = resample(taps, self._window, self._up, self._down)[skipped : skipped + count]
            out = np.asarray(block, dtype=np.float32)
        if self._holes.any():
            # An output is missing where the input before or after its place is.
            place = np.arange(first, until) * self._step
            last = len(self._holes) - 1
            before = np.minimum(np.floor(place + _SNAP).astype(np.intp) - start, last)
            after = np.minimum(np.ceil(place - _SNAP).astype(np.intp) - start, last)
            out[self._holes[before] | self._holes[after]] = np.nan
        self.n_out, self._edge = until, float(out[-1])
        return out


def _missing_of(x_uv: NDArray[Any]) -> NDArray[np.bool_]:
    """Mask of samples that are NaN, infinite, or of 1e9 µV and more."""
    return np.asarray(~(np.abs(x_uv) < LARGEST_SAMPLE_UV))


def lookahead_samples(ratio: Fraction) -> int:
    """Half the length of the resampling filter in input samples, rounded up: 10 of the slower rate."""
    half = _HALF_CYCLES * max(ratio.numerator, ratio.denominator)
    return 0 if ratio == 1 else -(-half // ratio.numerator)


@lru_cache(maxsize=8)
def _taps(up: int, down: int) -> Float32:
    """The default filter of `scipy.signal.resample_poly`: Kaiser window, beta 5."""
    longest = max(up, down)
    taps = kaiser_lowpass(2 * _HALF_CYCLES * longest + 1, 1.0 / longest, beta=5.0)
    return np.asarray(taps.astype(np.float32) * np.float32(up))
