"""Signals that are no sleep EEG: made on purpose, to fit and to try the test for them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from eegvlm_rt.calibration import OutlierModel, signal_features
from eegvlm_rt.calibration.outliers import FEATURES
from eegvlm_rt.signal.conditioning import condition_epochs

__all__ = ["FAULTS", "disturbed", "fault_epochs", "fit_outliers"]

Float32 = NDArray[np.float32]
Maker = Callable[[np.random.Generator, int], NDArray[np.float64]]
_SFREQ_HZ = 256.0
_SAMPLES = 7680
_TIME_S = np.arange(_SAMPLES) / _SFREQ_HZ
_FAR = {"log_amplitude": 6.0, "log_largest": -3.0, "tilt": 12.0, "mains_ratio": -14.0}
_FALSE_FLAG_WEIGHT = 4.0
_MOST_ORDINARY = 0.999


def _size(rng: np.random.Generator, n: int, low_uv: float, high_uv: float) -> NDArray[np.float64]:
    return np.asarray(np.exp(rng.uniform(np.log(low_uv), np.log(high_uv), n))[:, None])


def _white(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    return rng.standard_normal((n, _SAMPLES))


def _flat(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Shorted input: amplifier noise alone."""
    return _size(rng, n, 0.05, 0.8) * _white(rng, n)


def _saturated(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Rail to rail."""
    wander = np.cumsum(_white(rng, n), axis=1)
    return np.where(wander > np.median(wander, axis=1, keepdims=True), 1.0, -1.0) * _size(rng, n, 600.0, 5e3)


def _muscle(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Surface EMG, 20-100 Hz, no EEG."""
    sos = butter(2, [20.0, 100.0], "bandpass", fs=_SFREQ_HZ, output="sos")
    return np.asarray(_size(rng, n, 8.0, 100.0) * sosfilt(sos, _white(rng, n), axis=1))


def _mains(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Mains of 50 Hz over amplifier noise."""
    line = np.sin(2 * np.pi * 50.0 * _TIME_S + rng.uniform(0, 6.28, (n, 1)))
    return _size(rng, n, 30.0, 500.0) * line + _size(rng, n, 0.3, 3.0) * _white(rng, n)


def _open(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Electrode off: broad noise, half of the time with mains."""
    line = rng.integers(0, 2, (n, 1)) * _size(rng, n, 5.0, 300.0) * np.sin(2 * np.pi * 50.0 * _TIME_S)
    return _size(rng, n, 3.0, 150.0) * _white(rng, n) + line


FAULTS: dict[str, tuple[Maker, tuple[str, ...]]] = {
    "flat": (_flat, ("log_amplitude",)),
    "saturated": (_saturated, ("log_largest",)),
    "muscle only": (_muscle, ("tilt",)),
    "mains only": (_mains, ("mains_ratio",)),
    "electrode off": (_open, ("tilt",)),
}
"""Each kind of fault: its maker, and the features by which it is to be known."""


def fault_epochs(name: str, n: int, seed: int = 0) -> Float32:
    """(n, 3000) conditioned epochs of one kind of `FAULTS`."""
    rng = np.random.default_rng([0xFA17, list(FAULTS).index(name), seed])
    signal = FAULTS[name][0](rng, n).astype(np.float32)
    return np.asarray(condition_epochs(signal, _SFREQ_HZ))


def disturbed(x_uv: Float32, seed: int = 0) -> Float32:
    """The same epochs as another, still usable amplifier would give them: gain x0.5 to x2, broad noise to
    5 µV, up to 5 µV of what the filters leave of a mains line."""
    rng = np.random.default_rng([0xD157, seed])
    n, samples = x_uv.shape
    gain = np.exp(rng.uniform(np.log(0.5), np.log(2.0), (n, 1)))
    noise = rng.uniform(0.0, 5.0, (n, 1)) * rng.standard_normal((n, samples))
    sos = butter(4, 35.0, "lowpass", fs=100.0, output="sos")
    line = rng.uniform(0.0, 5.0, (n, 1)) * np.sin(2 * np.pi * 0.48 * np.arange(samples))
    return np.asarray(x_uv * gain + sosfilt(sos, noise, axis=1) + line, dtype=np.float32)


def fit_outliers(x_uv: Float32, *, faults_each: int = 400) -> OutlierModel:
    """Ranges from simulated nights (n, 3000), the same disturbed, and made faults.

    The bound against a kind of fault lies where the share of missed faults and four times the share of
    flagged epochs are least together, in the middle of the gap where there is one.
    """
    ordinary = signal_features(np.concatenate([x_uv, disturbed(x_uv)]))
    ranges = {}
    for number, name in enumerate(FEATURES):
        values = ordinary[:, number]
        kinds = [kind for kind, (_, features) in FAULTS.items() if name in features]
        wrong = np.concatenate(
            [signal_features(fault_epochs(kind, faults_each))[:, number] for kind in kinds]
        )
        bound = _bound(values, wrong)
        low, high = (bound, _FAR[name]) if np.median(wrong) < np.median(values) else (_FAR[name], bound)
        ranges[name] = (round(float(low), 4), round(float(high), 4))
    return OutlierModel(ranges)


def _bound(ordinary: NDArray[np.float64], wrong: NDArray[np.float64]) -> float:
    sign = 1.0 if np.median(wrong) > np.median(ordinary) else -1.0
    inside, outside = np.sort(sign * ordinary), np.sort(sign * wrong)
    top = float(np.quantile(inside, _MOST_ORDINARY))
    if top < outside[0]:
        return sign * (top + float(outside[0])) / 2
    grid = np.linspace(min(outside[0], np.quantile(inside, 0.5)), top, 400)
    flagged = 1.0 - np.searchsorted(inside, grid, side="right") / len(inside)
    missed = np.searchsorted(outside, grid, side="right") / len(outside)
    return sign * float(grid[np.argmin(missed + _FALSE_FLAG_WEIGHT * flagged)])
