"""Background rhythm and alpha share, from the spectra of 2 s windows.

Bands: delta 0.5-4, theta 4-8, alpha 8-13, beta 13-30 Hz (AASM manual). The power law of EEG makes delta the
largest band in nearly every epoch, so the faster bands are compared with each other, without it. The
thresholds are ours.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from ..signal.scipy_loops import rfft
from .bands import SFREQ_HZ, Float32
from .model import Rhythm

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["alpha_windows", "mean_powers", "name_rhythms", "slow_ratio", "window_spectra"]

WIDTH: Final = 2 * SFREQ_HZ
BIN_HZ: Final = 0.5
BANDS_HZ: Final = ((0.5, 4.0), (4.0, 8.0), (8.0, 13.0), (13.0, 30.0))
ALPHA_CORE_HZ: Final = (8.0, 12.0)

ALPHA_WINDOW_SHARE: Final = 0.3
DELTA_SHARE: Final = 0.8
DELTA_MARGIN: Final = 0.03
VOLTAGE_UV: Final = 75.0
VOLTAGE_MARGIN: Final = 0.07
DOMINANT_SHARE: Final = {Rhythm.ALPHA: 0.45, Rhythm.BETA: 0.45, Rhythm.THETA: 0.5}
DOMINANT_MARGIN: Final = 0.05
KIND_MARGIN: Final = 0.05


def window_spectra(x: Float32) -> Float32:
    """(n, 29, 101) power in µV² per 0.5 Hz bin of 2 s windows, one a second, of (n, 3000) epochs."""
    # Overlapping windows (Welch 1967): the power of a wave does not depend on where a window begins.
    windows = np.lib.stride_tricks.sliding_window_view(x, WIDTH, axis=1)[:, ::SFREQ_HZ]
    spectrum = rfft((windows - windows.mean(axis=2, keepdims=True)) * _taper())
    return np.asarray(spectrum.real**2 + spectrum.imag**2, dtype=np.float32)


def alpha_windows(spectra: Float32) -> NDArray[np.bool_]:
    """(n, 29) whether alpha dominates a window.

    In such a window the power of 8-12 Hz exceeds that of 4-8 Hz and that of 12-30 Hz, and is at least 30 % of
    2-30 Hz. 12-13 Hz is left to the spindles.
    """
    alpha = _power(spectra, *ALPHA_CORE_HZ)
    rivals = np.maximum(_power(spectra, 4.0, ALPHA_CORE_HZ[0]), _power(spectra, ALPHA_CORE_HZ[1], 30.0))
    dominant = (alpha > rivals) & (alpha >= ALPHA_WINDOW_SHARE * _power(spectra, 2.0, 30.0))
    return np.asarray(dominant)


def slow_ratio(spectra: Float32) -> Float32:
    """(n,) log10(1 + power of 0.5-8 Hz / power of 16-30 Hz): the context of sleep of Lacourse et al. 2019."""
    mean = spectra.mean(axis=1)
    return np.asarray(np.log10(1.0 + _power(mean, 0.5, 8.0) / (_power(mean, 16.0, 30.0) + 1e-6)))


def mean_powers(spectra: Float32) -> NDArray[np.float64]:
    """(n, 4) share of delta, theta, alpha and beta in the 0.5-30 Hz power; zeros for a flat epoch."""
    mean = spectra.mean(axis=1, dtype=np.float64)
    powers = np.stack([_power(mean, low, high) for low, high in BANDS_HZ], axis=1)
    total = powers.sum(axis=1, keepdims=True)
    return np.asarray(powers / np.where(total > 1e-6, total, np.inf))


def name_rhythms(
    powers: tuple[float, float, float, float],
    amplitude_uv: float,
    slow_wave_share: float = 0.0,
    deflection_share: float = 0.0,
) -> tuple[Rhythm, tuple[Rhythm, ...]]:
    """Rhythm of an epoch and those that narrowly missed.

    Delta: at least 80 % of the power, at 75 µV or more, where large waves are at least as often slow waves of
    sleep as deflections (eye movements, sway, movement). Otherwise, of the power above 4 Hz: alpha from 45 %,
    low-voltage fast from 45 % below 75 µV, theta from 50 %; the one furthest above its bound, or mixed
    frequency. Alternatives lie within 5 points of the one named, delta's bound within 3 points and 7 %
    of amplitude, and of the two kinds of waves within 5 points.
    """
    # Delta apart, which the power law makes the largest nearly always: how far is each of the faster bands
    # above its own bound? Mixed frequency is what is left where none is.
    delta, theta, alpha, beta = powers
    fast = theta + alpha + beta
    share = {Rhythm.ALPHA: alpha, Rhythm.BETA: beta, Rhythm.THETA: theta}
    score = {
        name: (share[name] / fast if fast > 0 else 0.0) - bound for name, bound in DOMINANT_SHARE.items()
    }
    score[Rhythm.MIXED] = 0.0
    if amplitude_uv >= VOLTAGE_UV:
        del score[Rhythm.BETA]
    best = max(score, key=lambda name: score[name])
    near = [name for name in score if name is not best and score[name] >= score[best] - DOMINANT_MARGIN]

    # Delta comes first where it is asked for at all. Three bounds: what it is, what it may be by a little,
    # and what no measuring error changes; they decide which other names count as right too.
    is_delta = delta >= DELTA_SHARE and amplitude_uv >= VOLTAGE_UV
    may_be_delta = delta >= DELTA_SHARE - DELTA_MARGIN and amplitude_uv >= VOLTAGE_UV * (1 - VOLTAGE_MARGIN)
    surely_delta = delta >= DELTA_SHARE + DELTA_MARGIN and amplitude_uv >= VOLTAGE_UV * (1 + VOLTAGE_MARGIN)
    # Eye movements and sway have the same band; the waves themselves tell them from sleep.
    of_sleep = slow_wave_share - deflection_share
    is_delta &= of_sleep >= 0.0
    may_be_delta &= of_sleep >= -KIND_MARGIN
    surely_delta &= of_sleep >= KIND_MARGIN or deflection_share == 0.0
    if is_delta:
        return Rhythm.DELTA, () if surely_delta else (best,)
    return best, (*near, Rhythm.DELTA) if may_be_delta else tuple(near)


def _power(spectra: NDArray[np.floating], low_hz: float, high_hz: float) -> NDArray[np.floating]:
    low, high = round(low_hz / BIN_HZ), round(high_hz / BIN_HZ)
    return np.asarray(spectra[..., low:high].sum(axis=-1))


@cache
def _taper() -> Float32:
    taper = np.hanning(WIDTH + 1)[:-1]
    return np.asarray(taper * np.sqrt(2.0 / np.sum(taper**2) / WIDTH), dtype=np.float32)
