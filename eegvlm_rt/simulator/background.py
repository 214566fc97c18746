"""Ongoing EEG: an aperiodic spectrum that changes with the stage, and sustained rhythms on top of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

from .course import modulation
from .subject import Subject

__all__ = ["activity", "background", "band_noise", "per_sample"]

Signal = NDArray[np.float32]
Band = tuple[NDArray[np.floating], float, float]
"""Amplitude in µV per second of time, lowest and highest frequency."""

_SLOW_RATE_HZ = 32.0
_SLOWEST_SHARE = 0.42

_BAND_EDGES_HZ = (0.15, 0.4, 0.8, 1.4, 2.2, 3.3, 5.0, 7.0, 9.5, 12.5, 16.0, 22.0, 30.0, 49.0)

# Columns of `course.STATES`: W N1 N2 N3 R and active wake. Slopes steepen with depth and REM lies between N1
# and N2: order and size after Schneider et al. 2022 and Bodizs et al. 2021 (both 2-48 Hz). Levels (µV per
# root Hz at 10 Hz) and knees give the amplitudes of the AASM manual's figures; where sleep's own were too low
# between 4 and 16 Hz, spectra of real sleep said so (docs/simulator.md). Active wake has more muscle and less
# alpha than rest.
_EXPONENT = np.array([1.55, 2.3, 3.0, 3.1, 2.05, 1.35])
_LEVEL_10HZ = np.array([0.75, 1.0, 1.35, 1.45, 0.8, 0.95])
_KNEE_HZ = np.array([1.3, 2.1, 2.8, 2.4, 1.8, 1.2])
_ALPHA = np.array([1.0, 0.3, 0.14, 0.1, 0.15, 0.2])
_THETA = np.array([0.3, 0.9, 0.6, 0.4, 0.7, 0.4])
_SIGMA = np.array([0.0, 0.15, 1.0, 0.8, 0.1, 0.0])
_BETA = np.array([0.75, 0.45, 0.3, 0.2, 0.4, 1.1])
_SLOW = np.array([0.0, 0.02, 0.08, 1.0, 0.0, 0.0])
_MUSCLE = np.array([0.4, 0.2, 0.15, 0.12, 0.06, 0.4])
_ACTIVE_MUSCLE = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 2.1])
_RESTLESS = np.array([0.05, 0.02, 0.0, 0.0, 0.01, 1.0])


def band_noise(rng: np.random.Generator, n: int, sfreq: float, low_hz: float, high_hz: float) -> Signal:
    """Gaussian noise with unit variance between two frequencies (raised-cosine edges), shape (n,)."""
    size = next_fast_len(n, real=True)
    frequency = rfftfreq(size, 1.0 / sfreq)
    width = 0.25 * (high_hz - low_hz)
    rise = np.clip((frequency - (low_hz - width)) / (2 * width), 0.0, 1.0)
    fall = np.clip(((high_hz + width) - frequency) / (2 * width), 0.0, 1.0)
    active = np.flatnonzero(rise * fall > 0)
    if not len(active):
        return np.zeros(n, dtype=np.float32)
    spectrum = np.zeros(len(frequency), dtype=np.complex64)
    draws = rng.standard_normal((2, len(active)), dtype=np.float32)
    gain = (np.sin(0.5 * np.pi * rise[active]) * np.sin(0.5 * np.pi * fall[active])).astype(np.float32)
    spectrum[active] = (draws[0] + 1j * draws[1]) * gain
    noise = irfft(spectrum, n=size)[:n]
    signal: Signal = (noise / max(float(noise.std()), 1e-12)).astype(np.float32)
    return signal


def per_sample(course: NDArray[np.floating], n: int) -> Signal:
    """A course of one value per second stretched linearly to n samples."""
    values = np.asarray(course, dtype=np.float32)
    width, rest = divmod(n, len(values))
    if rest:
        at = np.linspace(0.0, len(values) - 1.0, n, dtype=np.float32)
        return np.interp(at, np.arange(len(values)), values).astype(np.float32)
    # A whole number of samples a second: one line from each second's start to the next one's.
    share = (np.arange(width, dtype=np.float32) / np.float32(width))[None]
    step = np.append(np.diff(values), np.float32(0.0))[:, None]
    stretched: Signal = (values[:, None] + step * share).reshape(n)
    return stretched


def _aperiodic_power(subject: Subject, weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """Power in each band each second, µV^2, shape (bands, seconds)."""
    mean = float(_EXPONENT[:5].mean())
    exponent = (mean + subject.exponent_spread * (_EXPONENT - mean) + subject.exponent_shift) @ weights
    level = (subject.gain * _LEVEL_10HZ) @ weights
    knee = _KNEE_HZ @ weights
    powers = []
    for low, high in pairwise(_BAND_EDGES_HZ):
        centre = float(np.sqrt(low * high))
        density = level**2 * (10.0**exponent + knee**exponent) / (centre**exponent + knee**exponent)
        powers.append(density * (high - low))
    return np.stack(powers)


def _sum_of_bands(rng: np.random.Generator, bands: Sequence[Band], n: int, sfreq: float) -> Signal:
    """Noise of each band times its course in µV, (n,)."""
    signal = np.zeros(n, dtype=np.float32)
    for course, low, high in bands:
        signal += band_noise(rng, n, sfreq, low, high) * per_sample(course, n)
    return signal


def _synthesise(rng: np.random.Generator, bands: Sequence[Band], seconds: int, sfreq: float) -> Signal:
    """`_sum_of_bands` in µV, (seconds * sfreq,), what is slow at a low rate first: a third of the time."""
    n, n_slow = round(seconds * sfreq), round(seconds * _SLOW_RATE_HZ)
    nyquist = 0.5 * sfreq
    audible = [(course, low, min(high, 0.98 * nyquist)) for course, low, high in bands if low < 0.9 * nyquist]
    slow = [band for band in audible if band[2] <= _SLOWEST_SHARE * _SLOW_RATE_HZ]
    fast = [band for band in audible if band[2] > _SLOWEST_SHARE * _SLOW_RATE_HZ]
    low_rate = _sum_of_bands(rng, slow, n_slow, _SLOW_RATE_HZ)
    signal: Signal = irfft(rfft(low_rate), n=n) * np.float32(n / n_slow)
    return signal + _sum_of_bands(rng, fast, n, sfreq)


def background(
    rng: np.random.Generator, subject: Subject, weights: NDArray[np.float32], sfreq: float
) -> Signal:
    """Ongoing activity in µV, shape (seconds * sfreq,)."""
    seconds = weights.shape[1]
    bands: list[Band] = []
    for power, (low, high) in zip(_aperiodic_power(subject, weights), pairwise(_BAND_EDGES_HZ), strict=True):
        course = np.sqrt(power).astype(np.float32) * modulation(rng, seconds, 3.0, 0.18)
        bands.append((course * modulation(rng, seconds, 120.0, 0.12), low, high))

    montage = subject.montage
    # Alpha comes with closed eyes: a slow course above a quantile gives a person their share of it.
    eyes_closed = modulation(rng, seconds, 40.0, 1.0)
    eyes_closed = (eyes_closed < np.quantile(eyes_closed, subject.alpha_share)).astype(np.float32)
    waxing = modulation(rng, seconds, 1.2, 0.45)
    # Each rhythm: a person's size, the place of the electrodes, waxing and waning, and the stages it is of.
    alpha = subject.alpha_uv * montage.alpha * waxing * (_ALPHA @ weights) * (0.2 + 0.8 * eyes_closed)
    theta = subject.theta_uv * modulation(rng, seconds, 2.5, 0.4) * (_THETA @ weights)
    beta = subject.beta_uv * modulation(rng, seconds, 6.0, 0.3) * (_BETA @ weights)
    sigma = subject.sigma_uv * montage.spindle * modulation(rng, seconds, 2.0, 0.6) * (_SIGMA @ weights)
    slow = subject.slow_uv * montage.slow * modulation(rng, seconds, 4.0, 0.25) * (_SLOW @ weights) ** 0.8
    muscle = subject.muscle_uv * montage.muscle * modulation(rng, seconds, 8.0, 0.7) * (_MUSCLE @ weights)
    rhythms = (
        (alpha, subject.alpha_hz - 0.6, subject.alpha_hz + 0.6),
        (theta, subject.theta_hz - 1.0, subject.theta_hz + 1.0),
        (sigma, subject.spindle_hz - 1.2, subject.spindle_hz + 1.2),
        (beta, 15.0, min(28.0, 0.45 * sfreq)),
        (slow, 0.65 * subject.slow_hz, 1.6 * subject.slow_hz),
        (muscle, 22.0, 0.49 * sfreq),
    )
    bands += [(subject.gain * course, low, high) for course, low, high in rhythms]
    return _synthesise(rng, bands, seconds, sfreq)


def activity(
    rng: np.random.Generator, subject: Subject, weights: NDArray[np.float32], sfreq: float
) -> Signal:
    """Muscle and the sway of a moving head in µV, shape (seconds * sfreq,): what no brain makes."""
    seconds = weights.shape[1]
    # What muscles and a moving head add keeps its own size, whatever the brain's spectrum is made to be.
    active_muscle = subject.muscle_uv * subject.montage.muscle * (_ACTIVE_MUSCLE @ weights)
    restless = subject.restless_uv * (_RESTLESS @ weights)
    bands = (
        (active_muscle * modulation(rng, seconds, 8.0, 0.7), 22.0, 0.49 * sfreq),
        (restless * modulation(rng, seconds, 2.0, 0.8), 0.25, 1.1),
        (0.4 * restless * modulation(rng, seconds, 1.0, 0.9), 1.0, 4.0),
    )
    return _synthesise(rng, [(subject.gain * one, low, high) for one, low, high in bands], seconds, sfreq)
