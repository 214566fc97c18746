"""Zero-phase band filters inside one epoch, and runs of true values."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..signal.scipy_loops import irfft, rfft

__all__ = [
    "EPOCH_SAMPLES",
    "SFREQ_HZ",
    "STEP",
    "Float32",
    "band_filter",
    "padded_spectrum",
    "running_squares",
    "runs",
]

SFREQ_HZ: Final = 100
EPOCH_SAMPLES: Final = 3000
PAD: Final = 100
STEP: Final = 10
"""Samples between two values of `running_squares`: 0.1 s."""

Float32 = NDArray[np.float32]


def padded_spectrum(x: Float32) -> NDArray[np.complex64]:
    """Spectrum of (n, 3000) epochs, continued by one second of odd reflection at both ends."""
    # Odd reflection continues level and slope: no jump at the ends, which would be read as fast activity.
    padded = np.empty((len(x), EPOCH_SAMPLES + 2 * PAD), dtype=np.float32)
    padded[:, PAD:-PAD] = x
    padded[:, :PAD] = 2 * x[:, :1] - x[:, PAD:0:-1]
    padded[:, -PAD:] = 2 * x[:, -1:] - x[:, -2 : -PAD - 2 : -1]
    return np.asarray(rfft(padded))


def band_filter(spectrum: NDArray[np.complex64], low_hz: float, high_hz: float, edge_hz: float) -> Float32:
    """(n, 3000) signals in low_hz..high_hz; gain falls over `edge_hz`, half of it at the two frequencies."""
    full = irfft(spectrum * _gain(low_hz, high_hz, edge_hz), EPOCH_SAMPLES + 2 * PAD)
    return np.asarray(full[:, PAD:-PAD], dtype=np.float32)


@cache
def _gain(low_hz: float, high_hz: float, edge_hz: float) -> Float32:
    freqs = np.fft.rfftfreq(EPOCH_SAMPLES + 2 * PAD, 1.0 / SFREQ_HZ)
    # A raised cosine in frequency: no sharp edge, which would ring in time.
    inside = np.minimum(freqs - low_hz, high_hz - freqs) / edge_hz + 0.5
    gain = 0.5 - 0.5 * np.cos(np.pi * np.clip(inside, 0.0, 1.0))
    return np.asarray(gain, dtype=np.float32)


def running_squares(x: Float32) -> NDArray[np.float64]:
    """(n, 301) sum of the squares of (n, 3000) samples before each step of 0.1 s."""
    sums = np.zeros((len(x), EPOCH_SAMPLES // STEP + 1), dtype=np.float64)
    np.cumsum((x * x).reshape(len(x), -1, STEP).sum(axis=2), axis=1, out=sums[:, 1:])
    return sums


def runs(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Row, first column and one past the last column of every run of True in (n, m)."""
    # A run begins where the mask rises and ends where it falls.
    edges = np.zeros((mask.shape[0], mask.shape[1] + 1), dtype=np.int8)
    edges[:, :-1] = mask
    edges[:, 1:] -= mask
    rows, starts = np.nonzero(edges == 1)
    _, stops = np.nonzero(edges == -1)
    return rows, starts, stops
