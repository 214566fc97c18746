"""Signal quality of an epoch: flags, amplitude, and whether it can be scored."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import SamplingRateError
from .gaps import bridge_gaps, mean_gap
from .units import LARGEST_SAMPLE_UV, not_one_channel

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Quality", "QualityFlag", "assess", "largest_loss", "mostly_missing", "quality_of"]


FLAT_UV: Final = 0.5
HIGH_UV: Final = 500.0
LOW_UV: Final = 5.0
MUSCLE_UV: Final = 6.0
MUSCLE_BAND_HZ: Final = (25.0, 45.0)
CLIP_RUN: Final = 4
FLAG_SHARE: Final = 0.1
UNSCORABLE_SHARE: Final = 0.5
LOSS_GAPS_S: Final = (0.004, 0.016, 0.047, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0)
LOSS_SHARES: Final = (0.05, 0.07, 0.09, 0.11, 0.15, 0.18, 0.22, 0.40, 0.50)


class QualityFlag(StrEnum):
    """What was seen in the raw signal of an epoch, and on a stream also in the clock of its device.

    GAP: timestamps leave out time, whose samples are missing. OVERLAP: samples for a time that was filled
    already were dropped. LOSS: so much is missing, in gaps so short, that the stage does not hold
    (`largest_loss`). DUPLICATE: the same with equal values, a packet sent twice. CLOCK: the device's
    clock jumped, back or out of reach, and the signal went on in its place. DRIFT: a sample was repeated or
    dropped, because the device's rate is not quite the nominal one.
    """

    FLAT = "flat"
    CLIPPED = "clipped"
    MISSING = "missing"
    LOSS = "loss"
    HIGH_AMPLITUDE = "high amplitude"
    MUSCLE = "muscle"
    LOW_AMPLITUDE = "low amplitude"
    GAP = "gap"
    OVERLAP = "overlap"
    DUPLICATE = "duplicate"
    CLOCK = "clock"
    DRIFT = "drift"


@dataclass(frozen=True, slots=True)
class Quality:
    """Signal quality of one epoch.

    `missing_share` is 0..1, `amplitude_uv` the median peak-to-peak amplitude of its 2 s windows in µV (NaN
    where all is missing). `scorable` is False where more samples are missing than the stage was measured to
    bear (flag LOSS), or more than half of the seconds are missing, flat, clipped or above 500 µV: the AASM
    manual's measure for an epoch that a disturbance obscures.
    """

    flags: frozenset[QualityFlag]
    missing_share: float
    amplitude_uv: float
    scorable: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields; flags sorted, an amplitude that could not be measured is None."""
        finite = np.isfinite(self.amplitude_uv)
        return {
            "flags": sorted(self.flags),
            "missing_share": self.missing_share,
            "amplitude_uv": self.amplitude_uv if finite else None,
            "scorable": self.scorable,
        }


def assess(samples_uv: ArrayLike, sfreq: float) -> Quality:
    """Signal quality of (n,) raw samples in µV at `sfreq` Hz; NaN, infinite or >= 1e9 µV is missing.

    A second is flat below 0.5 µV peak to peak, too high above 500 µV, clipped where it holds a run of at
    least four samples at the epoch's largest or smallest value. A flag is raised where a tenth of the seconds
    show it; MISSING where any sample is missing; MUSCLE where in half of the seconds the 25-45 Hz activity
    exceeds 6 µV rms; LOW_AMPLITUDE where the amplitude is below 5 µV. These numbers are our own.

    Raises:
        InputError: not one-dimensional. SamplingRateError: rate not positive and finite.
    """
    x = np.asarray(samples_uv, dtype=np.float64)
    if x.ndim != 1:
        raise not_one_channel("samples_uv", x.shape)
    rate = float(sfreq)
    if not (np.isfinite(rate) and rate > 0):
        raise SamplingRateError("sfreq", sfreq, "give a positive rate in Hz")
    return quality_of(x, rate)


def quality_of(samples_uv: NDArray[Any], rate: float) -> Quality:
    """`assess` for (n,) numbers at a rate that are known to be such."""
    x = samples_uv.astype(np.float64)
    missing = ~(np.abs(x) < LARGEST_SAMPLE_UV)
    lost = int(np.count_nonzero(missing))
    if lost == len(x):
        return Quality(frozenset({QualityFlag.MISSING}), 1.0, float("nan"), False)

    if lost:
        x = bridge_gaps(x[None], ~missing[None])[0]
    width = max(4, round(rate))
    # Everything is judged by the second, as a scorer looks at an epoch: a disturbance counts by how much of
    # the 30 s it spoils.
    seconds = _windows(x, width)
    count = len(seconds)
    largest, smallest = seconds.max(axis=1), seconds.min(axis=1)
    ptp = largest - smallest
    gap = np.zeros(count, dtype=np.bool_)
    if lost:
        gap = _windows(missing.astype(np.float64), width).mean(axis=1) > 0.5
    flat = (ptp < FLAT_UV) & ~gap
    high = (ptp > HIGH_UV) & ~gap
    # A flat second lies at its own extremes too: it is no clipping.
    clipped = _clipped(seconds, float(largest.max()), float(smallest.min())) & ~gap & ~flat
    pairs = _windows(x, max(4, round(2 * rate)))
    amplitude_uv = _median(pairs.max(axis=1) - pairs.min(axis=1))

    flags = {
        flag
        for flag, spoilt in (
            (QualityFlag.FLAT, flat),
            (QualityFlag.HIGH_AMPLITUDE, high),
            (QualityFlag.CLIPPED, clipped),
        )
        if np.count_nonzero(spoilt) / count >= FLAG_SHARE
    }
    if lost:
        flags.add(QualityFlag.MISSING)
        if lost / len(x) > largest_loss(mean_gap(missing) / rate):
            flags.add(QualityFlag.LOSS)
    if amplitude_uv < LOW_UV:
        flags.add(QualityFlag.LOW_AMPLITUDE)
    if np.count_nonzero(_fast_rms(seconds, rate) > MUSCLE_UV) / count >= 0.5:
        flags.add(QualityFlag.MUSCLE)
    # One second may show several of them and is obscured once.
    obscured = int(np.count_nonzero(gap | flat | high | clipped)) / count
    scorable = obscured <= UNSCORABLE_SHARE and QualityFlag.LOSS not in flags
    return Quality(frozenset(flags), lost / len(x), amplitude_uv, scorable)


def mostly_missing(quality: Quality) -> bool:
    """Whether so much of the signal did not come that there is nothing to be said of the epoch."""
    return QualityFlag.LOSS in quality.flags or quality.missing_share > UNSCORABLE_SHARE


def largest_loss(gap_s: float) -> float:
    """Share of an epoch that may be missing in gaps of a mean length, in seconds, for its stage to hold.

    Measured for gaps up to 5 s: up to there about three of four stages are those of the same epochs without
    loss (`python -m benchmarks.missing`, docs/streaming.md). Many short gaps cost more than a few long ones.
    One gap of 10 s and more leaves a whole piece of the epoch: there the AASM manual's half is approached.
    """
    return float(np.interp(np.log(max(gap_s, 1e-6)), np.log(LOSS_GAPS_S), LOSS_SHARES))


def _windows(x: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    rest = -x.size % width
    return (np.pad(x, (0, rest), mode="edge") if rest else x).reshape(-1, width)


def _median(values: NDArray[np.float64]) -> float:
    """`np.median` of a few finite numbers, without its preparations, which take most of its time."""
    ordered, middle = np.sort(values), len(values) // 2
    return float(ordered[middle] if len(values) % 2 else (ordered[middle - 1] + ordered[middle]) / 2.0)


def _clipped(seconds: NDArray[np.float64], largest: float, smallest: float) -> NDArray[np.bool_]:
    at_rail = (seconds == largest) | (seconds == smallest)
    # A sound signal touches its extremes once each: too few samples for a run anywhere.
    if seconds.shape[1] < CLIP_RUN or np.count_nonzero(at_rail) < CLIP_RUN:
        return np.zeros(len(seconds), dtype=np.bool_)
    runs = np.lib.stride_tricks.sliding_window_view(at_rail, CLIP_RUN, axis=1)
    return np.asarray(np.any(np.all(runs, axis=2), axis=1))


def _fast_rms(seconds: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    n = seconds.shape[1]
    taper, band, scale = _muscle_band(n, rate)
    spectrum = np.fft.rfft((seconds - seconds.mean(axis=1, keepdims=True)) * taper, axis=1)
    return np.asarray(np.sqrt(2.0 * (np.abs(spectrum[:, band]) ** 2).sum(axis=1) / scale))


@lru_cache(maxsize=16)
def _muscle_band(n: int, rate: float) -> tuple[NDArray[np.float64], NDArray[np.intp], float]:
    """A Hann window of n samples, the places of the muscle band in its spectrum, and their scale."""
    taper = np.hanning(n)
    freqs = np.fft.rfftfreq(n, 1.0 / rate)
    band = np.flatnonzero((freqs >= MUSCLE_BAND_HZ[0]) & (freqs <= MUSCLE_BAND_HZ[1]))
    return taper, band, float(n * np.sum(taper**2))
