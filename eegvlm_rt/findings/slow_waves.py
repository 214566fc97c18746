"""Slow waves and K-complexes, told from eye movements, sway, sweat and movement.

Slow wave (AASM manual, adult): 0.5-2 Hz and more than 75 µV peak to peak. A wave runs from one downward zero
crossing of the 0.3-4 Hz signal to the next, so its trough comes first.

Blinks, glances, sweat and movement make waves of the same size and frequency. What differs is the signal
around them: in N3 the muscles are quiet and the EEG itself (theta, alpha, sigma) is large; awake it is the
other way round. So a wave counts as a slow wave where, from half a second before it to half a second after
it, the 4.5-30 Hz signal is at least 2.5 times the 20-34 Hz signal (rms), where the wave is at least 45 times
as large, peak to peak, as the rms of 20-34 Hz, and where it is no larger than 500 µV, which only movement
reaches. The other large waves are deflections. Where 20-34 Hz is below 0.3 µV, less than any scalp shows, the
first of the three is not asked for. The numbers are ours: simulated nights and real recordings of wakefulness
and of N3 leave a wide gap between them (10th percentile of N3 about 50 times, median of wakefulness 20).

Consecutive slow waves form a group. A group of at most two waves, 0.5-3 s long in all, whose negative part
stands out and which is at least 1.6 times the usual amplitude of its surroundings is a K-complex (AASM: a
well-delineated negative sharp wave followed by a positive component, at least 0.5 s long, standing out from
the background). The manual asks for no amplitude; 75 µV follows Rechtschaffen & Kales' slow-wave bound and
keeps ordinary background out. As for spindles, the epoch must show the context of sleep of Lacourse et al.
2019. The other numbers are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from .bands import EPOCH_SAMPLES, SFREQ_HZ, STEP, Float32, band_filter

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "LOOSE",
    "STANDARD",
    "STRICT",
    "KComplexThresholds",
    "SlowWaves",
    "find_k_complexes",
    "find_slow_waves",
]

SLOW_WAVE_UV: Final = 75.0
SHORTEST_S: Final = 0.5
LONGEST_S: Final = 2.0
LARGEST_UV: Final = 500.0
AROUND_S: Final = 0.5
OVER_MUSCLE: Final = 45.0
BROAD_OVER_MUSCLE: Final = 2.5
QUIET_UV: Final = 0.3


@dataclass(frozen=True, slots=True)
class KComplexThresholds:
    """Bounds on a K-complex.

    Peak-to-peak µV, its ratio to the surroundings, least share of the trough in it, log10 ratio of slow to
    fast power of the epoch, longest group in s and in waves.
    """

    amplitude_uv: float = SLOW_WAVE_UV
    prominence: float = 1.6
    trough_share: float = 0.35
    slow_ratio: float = 0.9
    longest_s: float = 3.0
    waves: int = 2


STANDARD: Final = KComplexThresholds()
STRICT: Final = KComplexThresholds(amplitude_uv=82.0, prominence=1.74, trough_share=0.385, slow_ratio=0.95)
LOOSE: Final = KComplexThresholds(amplitude_uv=68.0, prominence=1.46, trough_share=0.315, slow_ratio=0.85)


@dataclass(frozen=True, slots=True)
class SlowWaves:
    """Every wave of 0.5-2 s in a batch: row, first sample, number of samples, amplitudes and background.

    `of_sleep`: the muscles are quiet around the wave, so that it may be a slow wave.
    """

    rows: NDArray[np.intp]
    starts: NDArray[np.intp]
    lengths: NDArray[np.intp]
    ptp_uv: Float32
    trough_uv: Float32
    background_uv: Float32
    of_sleep: NDArray[np.bool_]

    def share(self, n: int) -> NDArray[np.float64]:
        """(n,) share of each epoch that slow waves above 75 µV fill."""
        return self._filled(n, self.of_sleep)

    def deflection_share(self, n: int) -> NDArray[np.float64]:
        """(n,) share of each epoch that other waves above 75 µV fill: eye movements, sway, movement."""
        return self._filled(n, ~self.of_sleep)

    def _filled(self, n: int, kind: NDArray[np.bool_]) -> NDArray[np.float64]:
        large = kind & (self.ptp_uv > SLOW_WAVE_UV)
        filled = np.bincount(self.rows[large], weights=self.lengths[large], minlength=n)
        return np.asarray(np.minimum(filled / EPOCH_SAMPLES, 1.0))


def find_slow_waves(
    spectrum: NDArray[np.complex64], broad_sums: NDArray[np.float64], muscle_sums: NDArray[np.float64]
) -> SlowWaves:
    """Waves of 0.5-2 s of each epoch, from the padded spectrum of the batch.

    `broad_sums` and `muscle_sums` are `running_squares` of 4.5-30 and of 20-34 Hz.
    """
    # A wave runs from one crossing to below zero to the next: first its trough, then its peak.
    slow = band_filter(spectrum, 0.3, 4.0, 0.4)
    n = len(slow)
    below = slow < 0
    falling = np.zeros(slow.shape, dtype=np.bool_)
    falling[:, 0] = True
    falling[:, 1:] = below[:, 1:] & ~below[:, :-1]
    # All epochs in one line from here on: an epoch begins a wave of its own, so none reaches over the border,
    # and the extremes of all waves are one pass.
    starts = np.flatnonzero(falling)
    flat = slow.ravel()
    peaks = np.maximum.reduceat(flat, starts)
    troughs = np.minimum.reduceat(flat, starts)
    lengths = np.diff(starts, append=flat.size)
    rows = starts // EPOCH_SAMPLES
    # The background: the usual peak-to-peak size of 2 s of this epoch.
    windows = slow.reshape(n, -1, 2 * SFREQ_HZ)
    background = np.median(windows.max(axis=2) - windows.min(axis=2), axis=1)
    keep = (lengths >= SHORTEST_S * SFREQ_HZ) & (lengths <= LONGEST_S * SFREQ_HZ)
    rows, starts, lengths = rows[keep], (starts - rows * EPOCH_SAMPLES)[keep], lengths[keep]
    ptp = (peaks - troughs)[keep]

    # Is the EEG large and are the muscles quiet around the wave?
    around = round(AROUND_S * SFREQ_HZ)
    first = np.maximum(starts - around, 0) // STEP
    last = np.minimum(starts + lengths + around, EPOCH_SAMPLES) // STEP
    span = (last - first) * STEP
    muscle = np.sqrt(np.maximum(muscle_sums[rows, last] - muscle_sums[rows, first], 0.0) / span)
    broad = np.sqrt(np.maximum(broad_sums[rows, last] - broad_sums[rows, first], 0.0) / span)
    of_sleep = (ptp >= OVER_MUSCLE * muscle) & (ptp <= LARGEST_UV)
    of_sleep &= (broad >= BROAD_OVER_MUSCLE * muscle) | (muscle <= QUIET_UV)
    return SlowWaves(
        rows=rows,
        starts=starts,
        lengths=lengths,
        ptp_uv=ptp,
        trough_uv=-troughs[keep],
        background_uv=background.astype(np.float32),
        of_sleep=of_sleep,
    )


def find_k_complexes(
    waves: SlowWaves, slow_ratio: Float32, thresholds: KComplexThresholds = STANDARD
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Row, onset in s and duration in s of every K-complex; `slow_ratio` (n,) is `rhythm.slow_ratio`'s."""
    large = waves.of_sleep & (waves.ptp_uv > thresholds.amplitude_uv)
    rows, starts, lengths = waves.rows[large], waves.starts[large], waves.lengths[large]
    empty = np.zeros(0, dtype=np.float64)
    if rows.size == 0:
        return rows, empty, empty
    # Waves that follow each other within half a second are one group, which may be one K-complex.
    ends = starts + lengths
    first = np.ones(rows.size, dtype=np.bool_)
    first[1:] = (rows[1:] != rows[:-1]) | (starts[1:] > ends[:-1] + SFREQ_HZ // 2)
    heads = np.flatnonzero(first)
    tails = np.append(heads[1:], rows.size) - 1
    # A group counts by its largest wave and its deepest trough.
    ptp = np.maximum.reduceat(waves.ptp_uv[large], heads)
    negative = np.maximum.reduceat(waves.trough_uv[large] / waves.ptp_uv[large], heads)
    duration = ends[tails] - starts[heads]
    row = rows[heads]
    # A K-complex stands alone and stands out: few waves, above the background, a clear trough, in slow sleep.
    keep = (tails - heads < thresholds.waves) & (duration <= thresholds.longest_s * SFREQ_HZ)
    keep &= ptp >= thresholds.prominence * waves.background_uv[row]
    keep &= negative >= thresholds.trough_share
    keep &= slow_ratio[row] >= thresholds.slow_ratio
    return row[keep], starts[heads][keep] / SFREQ_HZ, duration[keep] / SFREQ_HZ
