"""Slow time-courses at one value per second: stage weights and random modulations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft, rfftfreq
from scipy.ndimage import gaussian_filter1d

from ..stages import STAGES

__all__ = ["STATES", "modulation", "smooth_noise", "stage_weights", "with_active_wake"]

STATES = (*(stage.name for stage in STAGES), "active W")
"""What a second of signal is made of: the five stages, and wake with open eyes and a moving head."""

Course = NDArray[np.float32]


def smooth_noise(rng: np.random.Generator, n: int, correlation_s: float) -> Course:
    """White noise of n seconds under a Gaussian window of `correlation_s` (1 sigma) that wraps, (n,)."""
    noise = rng.standard_normal(n).astype(np.float32)
    window = np.exp(-2.0 * (np.pi * correlation_s * rfftfreq(n)) ** 2).astype(np.float32)
    return np.asarray(irfft(rfft(noise) * window, n=n), dtype=np.float32)


def modulation(rng: np.random.Generator, n: int, correlation_s: float, sigma: float) -> Course:
    """Log-normal course, shape (n,), unit median, `sigma` in log units, correlated over `correlation_s`."""
    smooth = smooth_noise(rng, n, max(correlation_s, 0.5))
    smooth -= smooth.mean()
    spread = float(smooth.std())
    course: Course = np.exp(smooth * np.float32(sigma / max(spread, 1e-6)))
    return course


def stage_weights(
    rng: np.random.Generator, stages: NDArray[np.int8], epoch_s: int, blend_s: float, wander: float
) -> Course:
    """How much of each stage is present each second, shape (5, n_epochs * epoch_s), columns sum to one.

    Real sleep has no borders: the stage is blurred over `blend_s`, its borders shift, and `wander` mixes
    neighbouring stages in: a picture can be hard to call.
    """
    n = len(stages) * epoch_s
    jitter = smooth_noise(rng, n, 20.0)
    jitter *= 12.0 / max(float(jitter.std()), 1e-9)
    seconds = np.clip(np.arange(n) + jitter, 0, n - 1).astype(np.int64)
    per_second = stages[seconds // epoch_s]
    hard = np.stack([(per_second == int(stage)) for stage in STAGES]).astype(np.float32)
    soft = gaussian_filter1d(hard, blend_s, axis=1, mode="nearest")
    context = gaussian_filter1d(hard, 150.0, axis=1, mode="nearest")
    noise = np.stack([modulation(rng, n, float(rng.uniform(15.0, 60.0)), 1.0) for _ in STAGES])
    depth = smooth_noise(rng, n, 45.0)
    depth = np.clip(wander * (0.6 + 0.5 * depth / max(float(depth.std()), 1e-6)), 0.0, 0.8)
    mixed = (1.0 - depth) * soft + depth * (context + 0.04) * noise
    weights: Course = (mixed / mixed.sum(axis=0, keepdims=True)).astype(np.float32)
    return weights


def with_active_wake(rng: np.random.Generator, weights: Course, share: float) -> Course:
    """Split wake in rest and activity, in bouts of minutes: (5, seconds) -> (6, seconds)."""
    restless = modulation(rng, weights.shape[1], 60.0, 1.0)
    threshold = np.quantile(restless, 1.0 - share)
    active = gaussian_filter1d((restless > threshold).astype(np.float32), 4.0, mode="nearest")
    wake = weights[0]
    parts = [(wake * (1.0 - active))[None], weights[1:], (wake * active)[None]]
    states: Course = np.concatenate(parts).astype(np.float32)
    return states
