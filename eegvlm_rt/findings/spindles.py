"""Sleep spindles by the four features of A7 (Lacourse et al. 2019, J Neurosci Methods 316:3-11).

In windows of 0.3 s, every 0.1 s: absolute sigma power, sigma power relative to 4.5-30 Hz, covariance and
correlation of the 11-16 Hz signal with the broad-band signal. Relative power and covariance are z-scored
against the same epoch (the published baseline is 30 s around the event), with mean and spread taken between
its 10th and 90th percentile. An event lasts while absolute power and covariance are above a low threshold
(0.9 and 1.0), and counts where each feature reaches a high one within it, in the published context of sleep:
log10(1 + power of 0.5-8 Hz / power of 16-30 Hz) of the epoch at least 0.9. Two levels, because a spindle
waxes and wanes: an expert marks its whole length, of which only the middle is certain.

Relative power (1.6), covariance (1.3) and context have the thresholds published with the authors' code.
Theirs for power (1.25) and correlation (0.69) count many bursts that no expert marks; ours are 1.5 (5.6 µV
rms) and 0.72. Also ours: at least 0.7 s and at most 2.5 s (the AASM manual's 0.5 s and the 2 s of most
detectors, lengthened by the windows, of which half a window on both sides touches the event), sigma power at
least that of 7.5-10.5 Hz, so that an alpha rhythm is not read as spindles, and at least eight times that of
20-34 Hz during the event, so that a burst of muscle activity is not; and filters that never look past the
epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from .bands import Float32, band_filter, running_squares, runs

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LOOSE", "STANDARD", "STRICT", "SpindleThresholds", "find_spindles", "spindle_candidates"]

STEP: Final = 10
STEPS_PER_WINDOW: Final = 3
STEP_S: Final = 0.1
WINDOW_S: Final = 0.3
LASTING_POWER: Final = 0.9
LASTING_COVARIANCE_Z: Final = 1.0


@dataclass(frozen=True, slots=True)
class SpindleThresholds:
    """Bounds on a spindle.

    Log10 µV² of sigma power; z-scores of relative power and covariance; correlation; log10 ratio of slow to
    fast power of the epoch; log10 ratio of sigma power to that of 20-34 Hz during the event; durations in s.
    """

    power: float = 1.5
    relative_z: float = 1.6
    covariance_z: float = 1.3
    correlation: float = 0.72
    slow_ratio: float = 0.9
    above_muscle: float = 0.9
    shortest_s: float = 0.7
    longest_s: float = 2.5


STANDARD: Final = SpindleThresholds()
STRICT: Final = SpindleThresholds(
    power=1.6, relative_z=1.7, covariance_z=1.4, correlation=0.75, slow_ratio=0.95, above_muscle=1.0
)
LOOSE: Final = SpindleThresholds(
    power=1.4,
    relative_z=1.5,
    covariance_z=1.2,
    correlation=0.68,
    slow_ratio=0.85,
    above_muscle=0.8,
    shortest_s=0.6,
)


@dataclass(frozen=True, slots=True)
class SpindleCandidates:
    """Every run of windows above the low thresholds in a batch, and what decides whether it is a spindle.

    Row, onset and duration in s; the highest power, z-scores and correlation in it; the epoch's ratio of slow
    to fast power; sums of squares of sigma, 7.5-10.5 and 20-34 Hz.
    """

    rows: NDArray[np.intp]
    onset_s: NDArray[np.float64]
    duration_s: NDArray[np.float64]
    power: Float32
    relative_z: Float32
    covariance_z: Float32
    correlation: Float32
    slow_ratio: Float32
    sigma: NDArray[np.float64]
    alpha: NDArray[np.float64]
    muscle: NDArray[np.float64]


def spindle_candidates(
    x: Float32,
    spectrum: NDArray[np.complex64],
    slow_ratio: Float32,
    broad: Float32,
    muscle_sums: NDArray[np.float64],
) -> SpindleCandidates:
    """Candidates of (n, 3000) epochs, from the four features in windows of 0.3 s every 0.1 s.

    `slow_ratio` is that of `rhythm.slow_ratio`, (n,); `broad` the signal in 4.5-30 Hz; `muscle_sums` the
    running squares of 20-34 Hz.
    """
    # The sigma band itself, and the band below it that a spindle must exceed.
    sigma = band_filter(spectrum, 11.0, 16.0, 1.0)
    alpha = band_filter(spectrum, 7.5, 10.5, 1.0)
    count = STEP * STEPS_PER_WINDOW
    # Four questions of each window (Lacourse et al. 2019): is there sigma power, is it much of the power,
    # does it go along with the raw signal, and does it have the shape of it? Muscle and arousal pass one or
    # two of them, hardly all.
    sigma_power = _window_sums(sigma * sigma) / count
    broad_power = _window_sums(broad * broad) / count
    # Covariance and correlation of the raw signal with its sigma part: does the spindle show in the raw
    # trace?
    mean_x, mean_sigma = _window_sums(x) / count, _window_sums(sigma) / count
    variance_x = _window_sums(x * x) / count - mean_x * mean_x
    variance_sigma = sigma_power - mean_sigma * mean_sigma
    covariance = _window_sums(x * sigma) / count - mean_x * mean_sigma
    scale = np.sqrt(np.maximum(variance_x, 1e-6) * np.maximum(variance_sigma, 1e-6))
    # Power is absolute; the other two are compared with the rest of the same epoch.
    power = np.log10(sigma_power + 1e-6)
    covariance_z = _robust_z(np.log10(np.maximum(covariance, 0.0) + 1.0))
    relative_z = _robust_z(np.log10((sigma_power + 1e-6) / (broad_power + 1e-5)))

    # Where an event begins and ends: the low thresholds.
    lasting = (power >= LASTING_POWER) & (covariance_z >= LASTING_COVARIANCE_Z)
    rows, starts, stops = runs(lasting)
    last = stops + STEPS_PER_WINDOW - 1

    def highest(feature: Float32) -> Float32:
        if rows.size == 0:
            return np.zeros(0, dtype=np.float32)
        inside = np.where(lasting, feature, -np.inf).ravel()
        return np.asarray(np.maximum.reduceat(inside, rows * lasting.shape[1] + starts), dtype=np.float32)

    def during(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(sums[rows, last] - sums[rows, starts])

    return SpindleCandidates(
        rows=rows,
        onset_s=np.asarray(starts * STEP_S, dtype=np.float64),
        duration_s=np.asarray((stops - starts - 1) * STEP_S + WINDOW_S, dtype=np.float64),
        power=highest(power),
        relative_z=highest(relative_z),
        covariance_z=highest(covariance_z),
        correlation=highest(covariance / scale),
        slow_ratio=slow_ratio[rows],
        sigma=during(running_squares(sigma)),
        alpha=during(running_squares(alpha)),
        muscle=during(muscle_sums),
    )


def find_spindles(
    candidates: SpindleCandidates, thresholds: SpindleThresholds = STANDARD
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Row, onset in s and duration in s of every candidate that is a spindle."""
    # Length, and an epoch that is slow enough for sleep.
    keep = candidates.duration_s >= thresholds.shortest_s - 1e-9
    keep &= candidates.duration_s <= thresholds.longest_s + 1e-9
    keep &= candidates.slow_ratio >= thresholds.slow_ratio

    # Each feature reaches its high threshold somewhere in it.
    keep &= candidates.power >= thresholds.power
    keep &= candidates.relative_z >= thresholds.relative_z
    keep &= candidates.covariance_z >= thresholds.covariance_z
    keep &= candidates.correlation >= thresholds.correlation

    # Sigma against its neighbors over the whole event: alpha below, muscle activity above.
    keep &= candidates.sigma >= candidates.alpha
    keep &= candidates.sigma >= 10.0**thresholds.above_muscle * candidates.muscle
    return candidates.rows[keep], candidates.onset_s[keep], candidates.duration_s[keep]


def _window_sums(x: Float32) -> Float32:
    # Sums of steps first: each sample is added once, though every window holds it three times.
    blocks = x.reshape(len(x), -1, STEP).sum(axis=2)
    return np.asarray(blocks[:, :-2] + blocks[:, 1:-1] + blocks[:, 2:])


def _robust_z(x: Float32) -> Float32:
    ordered = np.sort(x, axis=1)
    # Mean and spread without the highest and lowest tenth, so that the events do not raise their own bound.
    cut = x.shape[1] // 10
    middle = ordered[:, cut:-cut]
    spread = np.maximum(middle.std(axis=1, keepdims=True), 1e-3)
    return np.asarray((x - middle.mean(axis=1, keepdims=True)) / spread, dtype=np.float32)
