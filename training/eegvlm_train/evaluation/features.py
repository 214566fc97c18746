"""Features of conditioned epochs in which simulated and real recordings can be compared."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.signal import welch

from eegvlm_rt.findings import measure_batch

__all__ = ["BANDS_HZ", "FREQUENCIES_HZ", "FeatureTable", "features_of", "spectra_of"]

SFREQ_HZ = 100.0
BANDS_HZ: dict[str, tuple[float, float]] = {
    "delta": (0.5, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 12.0),
    "sigma": (12.0, 16.0),
    "beta": (16.0, 30.0),
}
_SEGMENT = 400
_SLOPE_HZ = (2.0, 28.0)
_PEAKS_HZ = (7.0, 16.0)
_CHUNK = 256
FREQUENCIES_HZ: NDArray[np.float64] = np.fft.rfftfreq(_SEGMENT, 1.0 / SFREQ_HZ).astype(np.float64)


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """Columns of n epochs, float64 (n,). Band powers are log10 µV²; `slope` is the exponent of the power
    spectrum over 2-28 Hz without 7-16 Hz, where rhythms stand; amplitudes are µV of the 2 s windows, peak to
    peak; `spindles` and `k_complexes` are counts per epoch; `alpha_share` and `slow_wave_share` are 0..1."""

    delta: NDArray[np.float64]
    theta: NDArray[np.float64]
    alpha: NDArray[np.float64]
    sigma: NDArray[np.float64]
    beta: NDArray[np.float64]
    slope: NDArray[np.float64]
    amplitude_p10_uv: NDArray[np.float64]
    amplitude_p50_uv: NDArray[np.float64]
    amplitude_p90_uv: NDArray[np.float64]
    spindles: NDArray[np.float64]
    k_complexes: NDArray[np.float64]
    alpha_share: NDArray[np.float64]
    slow_wave_share: NDArray[np.float64]

    @classmethod
    def names(cls) -> tuple[str, ...]:
        return tuple(field.name for field in fields(cls))


def spectra_of(x_uv: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n, 201) power spectral density in µV²/Hz of (n, 3000) epochs, 0.25 Hz apart (Welch, 4 s, Hann)."""
    parts = [
        welch(np.nan_to_num(x_uv[start : start + _CHUNK]), SFREQ_HZ, nperseg=_SEGMENT, axis=1)[1]
        for start in range(0, len(x_uv), _CHUNK)
    ]
    return np.concatenate(parts).astype(np.float64)


def _slope(density: NDArray[np.float64]) -> NDArray[np.float64]:
    hz = FREQUENCIES_HZ
    inside = (hz >= _SLOPE_HZ[0]) & (hz <= _SLOPE_HZ[1]) & ((hz < _PEAKS_HZ[0]) | (hz > _PEAKS_HZ[1]))
    log_f = np.log10(hz[inside])
    log_f = log_f - log_f.mean()
    return np.asarray(-(np.log10(density[:, inside] + 1e-9) @ log_f) / (log_f @ log_f))


def features_of(x_uv: NDArray[np.float32]) -> FeatureTable:
    """Features of conditioned epochs (n, 3000) in µV at 100 Hz."""
    density = spectra_of(x_uv)
    bands = {}
    for name, (low, high) in BANDS_HZ.items():
        inside = (low <= FREQUENCIES_HZ) & (high > FREQUENCIES_HZ)
        bands[name] = np.log10(density[:, inside].sum(axis=1) * 0.25 + 1e-6)
    windows = np.ptp(np.nan_to_num(x_uv).reshape(len(x_uv), -1, 200), axis=2).astype(np.float64)
    low, middle, high = np.quantile(windows, (0.1, 0.5, 0.9), axis=1)
    findings = measure_batch(x_uv)
    return FeatureTable(
        **bands,
        slope=_slope(density),
        amplitude_p10_uv=low,
        amplitude_p50_uv=middle,
        amplitude_p90_uv=high,
        spindles=np.array([one.spindles for one in findings], dtype=np.float64),
        k_complexes=np.array([one.k_complexes for one in findings], dtype=np.float64),
        alpha_share=np.array([one.alpha_share for one in findings], dtype=np.float64),
        slow_wave_share=np.array([one.slow_wave_share for one in findings], dtype=np.float64),
    )
