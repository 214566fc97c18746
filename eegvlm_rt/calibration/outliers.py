"""Whether an epoch looks like sleep EEG at all: its signal against simulated nights.

Each feature has the range it takes in simulated nights, which hold sleep, wake, muscle, movement and the
noise of many amplifiers. The score is how far the worst feature lies from the middle of its range, in halves
of the range: up to 1 is inside. A flat line, a saturated amplifier, muscle alone, mains alone or an open
electrode lie outside. The features and ranges are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from ..findings.bands import SFREQ_HZ
from ..signal.gaps import bridge_gaps
from ..signal.medians import medians
from ..signal.scipy_loops import rfft

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

__all__ = ["FEATURES", "OutlierModel", "signal_features"]

FEATURES: Final = ("log_amplitude", "log_largest", "tilt", "mains_ratio")
_WIDTH: Final = 2 * SFREQ_HZ
_BIN_HZ: Final = SFREQ_HZ / _WIDTH
_LEAST: Final = 1e-6
_LEAST_UV: Final = 0.01


@dataclass(frozen=True, slots=True)
class OutlierModel:
    """`ranges`: lowest and highest ordinary value of each of `FEATURES`."""

    ranges: Mapping[str, tuple[float, float]]

    def scores(self, x: ArrayLike) -> NDArray[np.float64]:
        """(n,) scores of conditioned epochs (n, 3000) µV at 100 Hz; above 1 is unlike any simulated night.

        Missing samples are bridged; an epoch without a sample scores infinity.
        """
        features = signal_features(x)
        low = np.array([self.ranges[name][0] for name in FEATURES])
        high = np.array([self.ranges[name][1] for name in FEATURES])
        distance = np.abs(features - (low + high) / 2) / np.maximum((high - low) / 2, _LEAST)
        return np.asarray(np.where(np.isnan(features).any(axis=1), np.inf, distance.max(axis=1)))


def signal_features(x: ArrayLike) -> NDArray[np.float64]:
    """(n, 4) `FEATURES` of conditioned epochs (n, 3000) in µV at 100 Hz, NaN where no sample is present.

    log_amplitude: log10 of the median peak-to-peak µV of 2 s windows. log_largest: the same of the largest.
    tilt: log10 of the mean power density of 1-4 Hz over that of 15-35 Hz, about 0 for white noise, negative
    for muscle. mains_ratio: log10 power of 45-50 Hz, where what the filters leave of a mains line stands,
    over 1-35 Hz. Powers are medians over the windows.
    """
    samples = np.clip(np.asarray(x, dtype=np.float64), -1e5, 1e5)
    samples = bridge_gaps(samples, np.isfinite(samples))
    windows = samples.reshape(len(samples), -1, _WIDTH)
    spans = windows.max(axis=2) - windows.min(axis=2)
    spectrum = rfft((windows - windows.mean(axis=2, keepdims=True)) * _taper())
    power = medians(spectrum.real**2 + spectrum.imag**2) + _LEAST

    def density(low_hz: float, high_hz: float) -> NDArray[np.float64]:
        inside = power[:, round(low_hz / _BIN_HZ) : round(high_hz / _BIN_HZ) + 1]
        return np.asarray(inside.mean(axis=1))

    features = [
        np.log10(medians(spans) + _LEAST_UV),
        np.log10(spans.max(axis=1) + _LEAST_UV),
        np.log10(density(1.0, 4.0) / density(15.0, 35.0)),
        np.log10(density(45.0, 50.0) * 5.0 / (density(1.0, 35.0) * 34.0)),
    ]
    return np.asarray(np.stack(features, axis=1))


@cache
def _taper() -> NDArray[np.float64]:
    return np.hanning(_WIDTH)
