"""The tables' features from a recording's own signal: filtered, scaled by night, band powers per 30 s."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, resample_poly, sosfiltfilt

from eegvlm_rt.simulator.spectra import band_powers

__all__ = ["log_powers"]

_SFREQ_HZ = 100.0
_BAND_HZ = (0.5, 30.0)
_EPOCH_SAMPLES = 3000
_SMALLEST_POWER = 1e-12


def log_powers(samples: NDArray[np.floating], sfreq: float) -> NDArray[np.float32]:
    """Natural log of the five band powers of every whole 30 s, (n_epochs, 5); of the z-scored night (n,).

    The signal is brought to 100 Hz and filtered without delay, 0.5-30 Hz.
    """
    signal = np.nan_to_num(np.asarray(samples, dtype=np.float64))
    if sfreq != _SFREQ_HZ:
        ratio = (Fraction(_SFREQ_HZ) / Fraction(sfreq)).limit_denominator(1000)
        signal = resample_poly(signal, ratio.numerator, ratio.denominator)
    # A recording slower than 60 Hz has nothing to cut off above.
    kind, edges = ("bandpass", _BAND_HZ) if sfreq > 2 * _BAND_HZ[1] else ("highpass", _BAND_HZ[:1])
    sos = butter(4, edges if len(edges) > 1 else edges[0], kind, fs=_SFREQ_HZ, output="sos")
    filtered = sosfiltfilt(sos, signal)
    filtered = (filtered - filtered.mean()) / max(float(filtered.std()), 1e-9)
    n_epochs = len(filtered) // _EPOCH_SAMPLES
    epochs = filtered[: n_epochs * _EPOCH_SAMPLES].reshape(n_epochs, _EPOCH_SAMPLES)
    return np.log(np.maximum(band_powers(epochs, _SFREQ_HZ), _SMALLEST_POWER)).astype(np.float32)
