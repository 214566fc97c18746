"""Recordings cut into conditioned epochs on the 30 s grid. Nothing is lost: a part of an epoch is a row
too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .conditioning import Preprocessing, check_sfreq, condition_epoch, condition_recording
from .quality import Quality, assess
from .units import EPOCH_S, array_of, check_amplitude, is_real, to_microvolts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike

__all__ = [
    "Epoch",
    "GridEpoch",
    "check_length",
    "cut_recording",
    "epoch_of_samples",
    "epochs_of",
    "row_of",
    "separate_rows",
]

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
        samples_uv = to_microvolts(x, unit)
        if samples_uv.ndim != 1:
            raise InputError("x", f"shape {samples_uv.shape}", "give one channel, shape (n_samples,)")
        check_amplitude(samples_uv, unit)
        return cls(samples_uv, float(sfreq), channel, float(start_s), assess(samples_uv, sfreq))


@dataclass(frozen=True, slots=True, eq=False)
class GridEpoch:
    """One row of the grid: conditioned `x` (3000,) in µV with NaN where samples are missing, and its
    place.
    """

    index: int
    start_s: float
    x: Float32
    quality: Quality
    channel: str | None = None


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
    samples = array_of("x", x)
    if samples.ndim != 1:
        raise InputError("x", f"shape {samples.shape}", "give one channel, shape (n_samples,)")
    check_length(samples.shape[0], rate)
    epoch = Epoch.from_samples(samples, rate, unit=unit, channel=channel, start_s=start_s)
    return row_of(epoch, int(index), spec)


def epochs_of(n_samples: int, sfreq: float) -> int:
    """Epochs that a recording gives: the whole ones, and a last one that is not."""
    return max(1, math.ceil((n_samples - 1) / (EPOCH_S * sfreq)))


def separate_rows(
    samples_uv: Float32, rate: float, channel: str | None, spec: Preprocessing
) -> Iterator[GridEpoch]:
    for index, row in enumerate(samples_uv):
        yield row_of(Epoch(row, rate, channel, EPOCH_S * index, assess(row, rate)), index, spec)


def cut_recording(
    samples_uv: Float32, rate: float, channel: str | None, spec: Preprocessing
) -> Iterator[GridEpoch]:
    if len(samples_uv) == 0:
        raise InputError("n_samples", 0, "give a recording that holds samples")
    return _cut(samples_uv, condition_recording(samples_uv, rate, spec), rate, channel, spec)


def _cut(
    samples_uv: Float32, conditioned: Float32, rate: float, channel: str | None, spec: Preprocessing
) -> Iterator[GridEpoch]:
    width = round(EPOCH_S * spec.sfreq)
    rows = epochs_of(len(samples_uv), rate)
    for index in range(rows):
        first, last = round(index * EPOCH_S * rate), round((index + 1) * EPOCH_S * rate)
        raw = samples_uv[first:last]
        short = last - first - len(raw)
        quality = assess(_filled(raw, last - first) if short > 1 else raw, rate)
        x = _filled(conditioned[index * width : (index + 1) * width], width)
        yield GridEpoch(index, EPOCH_S * index, x, quality, channel)


def _filled(x: Float32, length: int) -> Float32:
    if len(x) == length:
        return x
    return np.concatenate([x, np.full(length - len(x), np.nan, dtype=np.float32)])


def row_of(epoch: Epoch, index: int, spec: Preprocessing) -> GridEpoch:
    x = condition_epoch(epoch.samples_uv, epoch.sfreq, spec)
    return GridEpoch(index, epoch.start_s, x, epoch.quality, epoch.channel)


def check_length(n_samples: int, rate: float) -> None:
    if abs(n_samples - EPOCH_S * rate) > 1:
        raise InputError(
            "n_samples", n_samples, f"an epoch is 30 s: give {round(EPOCH_S * rate)} samples at {rate:g} Hz"
        )
