"""Signal quality of an epoch: flags, amplitude, and whether it can be scored."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import SamplingRateError
from .gaps import bridge_gaps, mean_gap
from .medians import medians
from .scipy_loops import rfft
from .units import LARGEST_SAMPLE_UV, not_one_channel

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Quality", "QualityFlag", "assess", "largest_loss", "mostly_missing", "qualities_of", "quality_of"]


FLAT_UV: Final = 0.5
HIGH_UV: Final = 500.0
LOW_UV: Final = 5.0
MUSCLE_UV: Final = 6.0
MUSCLE_BAND_HZ: Final = (25.0, 45.0)
CLIP_RUN: Final = 4
FLAG_SHARE: Final = 0.1
MUSCLE_SHARE: Final = 0.5
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


_ABSENT: Final = Quality(frozenset({QualityFlag.MISSING}), 1.0, float("nan"), False)
"""That of an epoch without a sample."""


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
    return qualities_of(samples_uv[None], rate)[0]


def qualities_of(samples_uv: NDArray[Any], rate: float) -> list[Quality]:
    """`quality_of` each of some epochs (n, m) of one length: each is judged on its own."""
    x = samples_uv.astype(np.float64)
    missing = ~(np.abs(x) < LARGEST_SAMPLE_UV)
    lost = np.count_nonzero(missing, axis=1)
    empty = lost == x.shape[1]
    if empty.all():
        return [_ABSENT] * len(x)
    if lost.any():
        # Zeros stand for the samples of an epoch that has none; nothing is said of it.
        x[empty] = 0.0
        x = bridge_gaps(x, ~missing)
    # Everything is judged by the second, as a scorer looks at an epoch: a disturbance counts by how much of
    # the 30 s it spoils.
    width = max(4, round(rate))
    seconds = _windows(x, width)
    count = seconds.shape[1]
    largest, smallest = seconds.max(axis=2), seconds.min(axis=2)
    ptp = largest - smallest
    gap = np.zeros(ptp.shape, dtype=np.bool_)
    if lost.any():
        gap = _windows(missing.astype(np.float64), width).mean(axis=2) > 0.5
    flat = (ptp < FLAT_UV) & ~gap
    high = (ptp > HIGH_UV) & ~gap
    # A flat second lies at its own extremes too: it is no clipping.
    clipped = _clipped(seconds, largest.max(axis=1), smallest.min(axis=1)) & ~gap & ~flat
    pairs = _windows(x, max(4, round(2 * rate)))
    amplitudes_uv = medians(pairs.max(axis=2) - pairs.min(axis=2))
    muscle = _fast_rms(seconds, rate) > MUSCLE_UV
    # One second may show several of them and is obscured once.
    spoilt = np.array([flat, high, clipped, muscle, gap | flat | high | clipped])
    shares = (spoilt.sum(axis=2) / count).T.tolist()
    return [
        _quality(mask, int(number), rate, float(amplitude_uv), *of_epoch)
        for mask, number, amplitude_uv, of_epoch in zip(missing, lost, amplitudes_uv, shares, strict=True)
    ]


def _quality(
    missing: NDArray[np.bool_],
    lost: int,
    rate: float,
    amplitude_uv: float,
    flat: float,
    high: float,
    clipped: float,
    muscle: float,
    obscured: float,
) -> Quality:
    """What the mask of missing samples, their number, and the shares of spoilt seconds say of an epoch."""
    if lost == len(missing):
        return _ABSENT
    flags = set()
    if flat >= FLAG_SHARE:
        flags.add(QualityFlag.FLAT)
    if high >= FLAG_SHARE:
        flags.add(QualityFlag.HIGH_AMPLITUDE)
    if clipped >= FLAG_SHARE:
        flags.add(QualityFlag.CLIPPED)
    if lost:
        flags.add(QualityFlag.MISSING)
        if lost / len(missing) > largest_loss(mean_gap(missing) / rate):
            flags.add(QualityFlag.LOSS)
    if amplitude_uv < LOW_UV:
        flags.add(QualityFlag.LOW_AMPLITUDE)
    if muscle >= MUSCLE_SHARE:
        flags.add(QualityFlag.MUSCLE)
    scorable = obscured <= UNSCORABLE_SHARE and QualityFlag.LOSS not in flags
    return Quality(frozenset(flags), lost / len(missing), amplitude_uv, scorable)


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
    """(n, k, width) pieces of (n, m) signals; the last one is filled up by their last number."""
    rest = -x.shape[1] % width
    return (np.pad(x, ((0, 0), (0, rest)), mode="edge") if rest else x).reshape(len(x), -1, width)


def _clipped(
    seconds: NDArray[np.float64], largest: NDArray[np.float64], smallest: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """(n, k) whether a second holds a run of samples at the largest or smallest number (n,) of its epoch."""
    at_rail = (seconds == largest[:, None, None]) | (seconds == smallest[:, None, None])
    clipped = np.zeros(seconds.shape[:2], dtype=np.bool_)
    # A sound signal touches its extremes once each: too few samples for a run anywhere.
    for row, of_epoch in zip(clipped, at_rail, strict=True):
        if np.count_nonzero(of_epoch) >= CLIP_RUN <= of_epoch.shape[1]:
            runs = np.lib.stride_tricks.sliding_window_view(of_epoch, CLIP_RUN, axis=1)
            row[:] = np.any(np.all(runs, axis=2), axis=1)
    return clipped


def _fast_rms(seconds: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    n = seconds.shape[2]
    taper, band, scale = _muscle_band(n, rate)
    spectrum = rfft((seconds - seconds.mean(axis=2, keepdims=True)) * taper)
    return np.asarray(np.sqrt(2.0 * (np.abs(spectrum[:, :, band]) ** 2).sum(axis=2) / scale))


@lru_cache(maxsize=16)
def _muscle_band(n: int, rate: float) -> tuple[NDArray[np.float64], slice, float]:
    """A Hann window of n samples, the places of the muscle band in its spectrum, and their scale."""
    taper = np.hanning(n)
    freqs = np.fft.rfftfreq(n, 1.0 / rate)
    band = np.flatnonzero((freqs >= MUSCLE_BAND_HZ[0]) & (freqs <= MUSCLE_BAND_HZ[1]))
    return taper, slice(band[0], band[-1] + 1) if len(band) else slice(0), float(n * np.sum(taper**2))
