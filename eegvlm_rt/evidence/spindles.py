"""Sleep spindles by the four features of A7 (Lacourse et al. 2019, J Neurosci Methods 316:3-11).

In windows of 0.3 s, every 0.1 s: absolute sigma power, sigma power relative to 4.5-30 Hz, covariance and
correlation of the 11-16 Hz signal with the broad-band signal. Relative power and covariance are z-scored
against the same epoch (the published baseline is 30 s around the event), with mean and spread taken between
its 10th and 90th percentile. An event lasts while absolute power and covariance are above threshold and
counts where all four are at least once, in the published context of sleep: log10(1 + power of 0.5-8 Hz /
power of 16-30 Hz) of the epoch at least 0.9. These thresholds are those published with the authors' code.
Ours: the AASM manual's minimum duration of 0.5 s, at most 3 s, sigma power at least that of 7.5-10.5 Hz, so
that an alpha rhythm is not read as spindles, and filters that never look past the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from .bands import Float32, band_filter, runs

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LOOSE", "PUBLISHED", "STRICT", "SpindleThresholds", "find_spindles", "spindle_features"]

STEP: Final = 10
STEPS_PER_WINDOW: Final = 3
STEP_S: Final = 0.1
WINDOW_S: Final = 0.3


@dataclass(frozen=True, slots=True)
class SpindleThresholds:
    """Bounds on a spindle.

    Log10 µV² of sigma power; z-scores of relative power and covariance; correlation; log10 ratio of slow to
    fast power of the epoch; durations in s.
    """

    power: float = 1.25
    relative_z: float = 1.6
    covariance_z: float = 1.3
    correlation: float = 0.69
    slow_ratio: float = 0.9
    shortest_s: float = 0.5
    longest_s: float = 3.0


PUBLISHED: Final = SpindleThresholds()
STRICT: Final = SpindleThresholds(
    power=1.33, relative_z=1.7, covariance_z=1.4, correlation=0.715, slow_ratio=0.95, shortest_s=0.6
)
LOOSE: Final = SpindleThresholds(
    power=1.17, relative_z=1.5, covariance_z=1.2, correlation=0.665, slow_ratio=0.85, shortest_s=0.4
)


@dataclass(frozen=True, slots=True)
class SpindleFeatures:
    power: Float32
    relative_z: Float32
    covariance_z: Float32
    correlation: Float32
    slow_ratio: Float32
    above_alpha: NDArray[np.bool_]


def spindle_features(x: Float32, spectrum: NDArray[np.complex64], slow_ratio: Float32) -> SpindleFeatures:
    """The four features, and whether sigma exceeds alpha, in (n, 298) windows of 0.3 s every 0.1 s.

    `slow_ratio` is that of `rhythm.slow_ratio`, (n,).
    """
    sigma = band_filter(spectrum, 11.0, 16.0, 1.0)
    broad = band_filter(spectrum, 4.5, 30.0, 1.0)
    alpha = band_filter(spectrum, 7.5, 10.5, 1.0)
    count = STEP * STEPS_PER_WINDOW
    sigma_power = _window_sums(sigma * sigma) / count
    broad_power = _window_sums(broad * broad) / count
    mean_x, mean_sigma = _window_sums(x) / count, _window_sums(sigma) / count
    variance_x = _window_sums(x * x) / count - mean_x * mean_x
    variance_sigma = sigma_power - mean_sigma * mean_sigma
    covariance = _window_sums(x * sigma) / count - mean_x * mean_sigma
    scale = np.sqrt(np.maximum(variance_x, 1e-6) * np.maximum(variance_sigma, 1e-6))
    return SpindleFeatures(
        power=np.log10(sigma_power + 1e-6),
        relative_z=_robust_z(np.log10((sigma_power + 1e-6) / (broad_power + 1e-5))),
        covariance_z=_robust_z(np.log10(np.maximum(covariance, 0.0) + 1.0)),
        correlation=covariance / scale,
        slow_ratio=slow_ratio[:, None],
        above_alpha=_smooth(sigma_power) >= _smooth(_window_sums(alpha * alpha) / count),
    )


def find_spindles(
    features: SpindleFeatures, thresholds: SpindleThresholds = PUBLISHED
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Row, onset in s and duration in s of every spindle."""
    lasting = (features.power >= thresholds.power) & (features.covariance_z >= thresholds.covariance_z)
    certain = (
        lasting
        & (features.relative_z >= thresholds.relative_z)
        & (features.correlation >= thresholds.correlation)
        & (features.slow_ratio >= thresholds.slow_ratio)
        & features.above_alpha
    )
    rows, starts, stops = runs(lasting)
    counted = np.zeros((certain.shape[0], certain.shape[1] + 1), dtype=np.intp)
    np.cumsum(certain, axis=1, out=counted[:, 1:])
    duration_s = (stops - starts - 1) * STEP_S + WINDOW_S
    keep = counted[rows, stops] > counted[rows, starts]
    keep &= (duration_s >= thresholds.shortest_s - 1e-9) & (duration_s <= thresholds.longest_s + 1e-9)
    onset_s = np.asarray(starts[keep] * STEP_S, dtype=np.float64)
    return rows[keep], onset_s, np.asarray(duration_s[keep], dtype=np.float64)


def _window_sums(x: Float32) -> Float32:
    blocks = x.reshape(len(x), -1, STEP).sum(axis=2)
    return np.asarray(blocks[:, :-2] + blocks[:, 1:-1] + blocks[:, 2:])


def _smooth(x: NDArray[np.floating]) -> Float32:
    padded = np.pad(x, ((0, 0), (3, 3)), mode="edge")
    total = np.cumsum(padded, axis=1, dtype=np.float64)
    total = np.concatenate([np.zeros((len(x), 1)), total], axis=1)
    return np.asarray(total[:, 7:] - total[:, :-7], dtype=np.float32)


def _robust_z(x: Float32) -> Float32:
    ordered = np.sort(x, axis=1)
    cut = x.shape[1] // 10
    middle = ordered[:, cut:-cut]
    spread = np.maximum(middle.std(axis=1, keepdims=True), 1e-3)
    return np.asarray((x - middle.mean(axis=1, keepdims=True)) / spread, dtype=np.float32)
