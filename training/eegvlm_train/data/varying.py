"""Nights as other amplifiers, electrodes and people would have given them; what comes out is labelled anew.

A student of one simulator learns its spectra. Each variation keeps what a scorer reads and changes what
differs between recordings: the gain, the tilt of the spectrum, its noise, the polarity, and how clearly
stages stand apart. The teachers label the varied night, so a variation that does change the stage is no wrong
label.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["vary_night"]

Float32 = NDArray[np.float32]

_GAINS = (0.4, 2.5)
_TILT_DB = 6.0
_TILT_KNOTS_HZ = (0.3, 1.0, 2.5, 6.0, 12.0, 20.0, 35.0, 60.0)
_NOISE_SHARE = 0.25
_MIXED_SHARE = 0.25
_STRETCH_S = 300.0


def vary_night(rng: np.random.Generator, samples_uv: Float32, sfreq: float) -> Float32:
    """A varied copy of (n,) µV: mixed, equalized, with noise, turned over and amplified, each by its own
    draw."""
    varied = samples_uv
    if rng.random() < 0.4:
        varied = _mixed(rng, varied, sfreq)
    if rng.random() < 0.7:
        varied = _equalized(rng, varied, sfreq)
    if rng.random() < 0.4:
        varied = _noisy(rng, varied, sfreq)
    if rng.random() < 0.5:
        varied = -varied
    if rng.random() < 0.6:
        varied = varied * np.exp(rng.uniform(*np.log(_GAINS)))
    return np.asarray(varied, dtype=np.float32)


def _mixed(rng: np.random.Generator, samples: Float32, sfreq: float) -> Float32:
    """Stretches of the night with another stretch of the same night added, so that stages overlap."""
    mixed = samples.copy()
    length = int(_STRETCH_S * sfreq)
    ramp = np.minimum(1.0, np.arange(length) / (5.0 * sfreq))
    fade = (ramp * ramp[::-1]).astype(np.float32)
    for start in range(0, len(samples) - length, length):
        if rng.random() < _MIXED_SHARE:
            other = int(rng.integers(0, len(samples) - length))
            share = rng.uniform(0.2, 0.6) * fade
            piece = samples[other : other + length]
            mixed[start : start + length] = (
                np.sqrt(1.0 - share**2) * mixed[start : start + length] + share * piece
            )
    return mixed


def _gain_curve(rng: np.random.Generator, hz: NDArray[np.float64], decibel: float) -> NDArray[np.float64]:
    """A smooth random gain over frequency, at most `decibel` up or down."""
    knots = np.log(_TILT_KNOTS_HZ)
    heights = np.clip(np.cumsum(rng.normal(0.0, decibel / 3.0, len(knots))), -decibel, decibel)
    heights -= heights.mean()
    return 10.0 ** (np.interp(np.log(np.maximum(hz, 0.1)), knots, heights) / 20.0)


def _equalized(rng: np.random.Generator, samples: Float32, sfreq: float) -> Float32:
    hz = np.fft.rfftfreq(len(samples), 1.0 / sfreq).astype(np.float64)
    shaped = np.fft.rfft(samples) * _gain_curve(rng, hz, _TILT_DB)
    return np.asarray(np.fft.irfft(shaped, n=len(samples)), dtype=np.float32)


def _noisy(rng: np.random.Generator, samples: Float32, sfreq: float) -> Float32:
    """Noise with a spectrum of 1 / f**k, k from 0 to 1, up to a quarter of the night's usual amplitude."""
    hz = np.maximum(np.fft.rfftfreq(len(samples), 1.0 / sfreq), 0.3)
    white = np.fft.rfft(rng.standard_normal(len(samples), dtype=np.float32))
    noise = np.fft.irfft(white * hz ** -rng.uniform(0.0, 1.0), n=len(samples))
    usual = float(np.median(np.abs(samples))) / 0.6745
    level = rng.uniform(0.02, _NOISE_SHARE) * usual / max(float(noise.std()), 1e-9)
    return np.asarray(samples + level * noise, dtype=np.float32)
