"""Ongoing EEG: an aperiodic spectrum that changes with the stage, and sustained rhythms on top of it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfftfreq

from .course import modulation
from .subject import Subject

__all__ = ["background", "band_noise", "per_sample"]

Signal = NDArray[np.float32]

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
_MUSCLE = np.array([0.4, 0.2, 0.15, 0.12, 0.06, 2.2])
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
    at = np.linspace(0.0, len(course) - 1.0, n, dtype=np.float32)
    stretched: Signal = np.interp(at, np.arange(len(course)), course).astype(np.float32)
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


def background(
    rng: np.random.Generator, subject: Subject, weights: NDArray[np.float32], sfreq: float
) -> Signal:
    """Ongoing activity in µV, shape (seconds * sfreq,)."""
    seconds = weights.shape[1]
    n = round(seconds * sfreq)
    nyquist = 0.5 * sfreq
    signal = np.zeros(n, dtype=np.float32)
    powers = _aperiodic_power(subject, weights)
    for power, (low, high) in zip(powers, pairwise(_BAND_EDGES_HZ), strict=True):
        if low >= 0.95 * nyquist:
            continue
        course = np.sqrt(power).astype(np.float32) * modulation(rng, seconds, 3.0, 0.18)
        course *= modulation(rng, seconds, 120.0, 0.12)
        signal += band_noise(rng, n, sfreq, low, min(high, 0.98 * nyquist)) * per_sample(course, n)

    montage = subject.montage
    eyes_closed = modulation(rng, seconds, 40.0, 1.0)
    eyes_closed = (eyes_closed < np.quantile(eyes_closed, subject.alpha_share)).astype(np.float32)
    waxing = modulation(rng, seconds, 1.2, 0.45)
    alpha = subject.alpha_uv * montage.alpha * waxing * (_ALPHA @ weights) * (0.2 + 0.8 * eyes_closed)
    theta = subject.theta_uv * modulation(rng, seconds, 2.5, 0.4) * (_THETA @ weights)
    beta = subject.beta_uv * modulation(rng, seconds, 6.0, 0.3) * (_BETA @ weights)
    sigma = subject.sigma_uv * montage.spindle * modulation(rng, seconds, 2.0, 0.6) * (_SIGMA @ weights)
    slow = subject.slow_uv * montage.slow * modulation(rng, seconds, 4.0, 0.25) * (_SLOW @ weights) ** 0.8
    muscle = subject.muscle_uv * montage.muscle * modulation(rng, seconds, 8.0, 0.7) * (_MUSCLE @ weights)
    sway = subject.restless_uv * modulation(rng, seconds, 2.0, 0.8) * (_RESTLESS @ weights)
    twitch = 0.4 * subject.restless_uv * modulation(rng, seconds, 1.0, 0.9) * (_RESTLESS @ weights)
    rhythms = (
        (alpha, subject.alpha_hz - 0.6, subject.alpha_hz + 0.6),
        (theta, subject.theta_hz - 1.0, subject.theta_hz + 1.0),
        (sigma, subject.spindle_hz - 1.2, subject.spindle_hz + 1.2),
        (beta, 15.0, min(28.0, 0.9 * nyquist)),
        (slow, 0.65 * subject.slow_hz, 1.6 * subject.slow_hz),
        (muscle, 22.0, 0.98 * nyquist),
        (sway, 0.25, 1.1),
        (twitch, 1.0, 4.0),
    )
    for amplitude, low, high in rhythms:
        if low < 0.9 * nyquist:
            signal += band_noise(rng, n, sfreq, low, high) * per_sample(subject.gain * amplitude, n)
    return signal
