"""Transient waves: spindles, K-complexes, vertex and sawtooth waves, eye movements, arousals, artefacts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .subject import Subject

__all__ = ["add_events", "brain_events", "foreign_events"]

Signal = NDArray[np.float32]
Maker = Callable[[np.random.Generator, Subject, float], Signal]

_EVENT_GAP_S = 0.1


def _wave(samples: NDArray[np.floating]) -> Signal:
    return np.asarray(samples, dtype=np.float32)


def _time(duration_s: float, sfreq: float) -> NDArray[np.float64]:
    return np.arange(max(2, round(duration_s * sfreq))) / sfreq


def _spindle(rng: np.random.Generator, subject: Subject, sfreq: float) -> Signal:
    """0.5-2 s, 11-16 Hz, waxing and waning, slowing by up to 1 Hz (AASM manual; Purcell et al. 2017)."""
    duration = float(np.clip(0.85 * np.exp(0.3 * rng.standard_normal()), 0.45, 2.2))
    t = _time(duration, sfreq)
    frequency = subject.spindle_hz + 0.35 * rng.standard_normal() - 0.5 * rng.random() * t / duration
    envelope = np.abs(np.sin(np.pi * t / duration)) ** rng.uniform(0.8, 2.0)
    peak = subject.spindle_uv * subject.montage.spindle * np.exp(0.3 * rng.standard_normal())
    phase = rng.uniform(0, 2 * np.pi)
    return _wave(peak * envelope * np.sin(2 * np.pi * np.cumsum(frequency) / sfreq + phase))


def _k_complex(rng: np.random.Generator, subject: Subject, sfreq: float) -> Signal:
    """Sharp negative, then slower positive wave, >= 0.5 s in all, often with a spindle (AASM manual)."""
    negative, positive = rng.uniform(0.25, 0.45), rng.uniform(0.45, 0.8)
    peak = subject.k_complex_uv * subject.montage.slow * np.exp(0.2 * rng.standard_normal())
    t = _time(negative + positive + 0.3, sfreq)
    wave = -peak * 0.62 * np.exp(-(((t - 0.35) / (0.42 * negative)) ** 2))
    wave += (
        peak
        * rng.uniform(0.3, 0.55)
        * np.exp(-(((t - 0.35 - 0.6 * (negative + positive)) / (0.5 * positive)) ** 2))
    )
    if rng.random() < 0.4:
        spindle = _spindle(rng, subject, sfreq)
        tail = max(0, len(wave) - len(spindle))
        wave[tail:] += spindle[: len(wave) - tail]
    return _wave(wave)


def _slow_wave(rng: np.random.Generator, subject: Subject, sfreq: float) -> Signal:
    """One 0.5-2 Hz cycle of N3, negative first (AASM manual: over 75 µV peak to peak)."""
    duration = 1.0 / np.clip(subject.slow_hz * np.exp(0.25 * rng.standard_normal()), 0.5, 2.0)
    t = _time(duration, sfreq)
    peak = 1.7 * subject.slow_uv * subject.montage.slow * np.exp(0.3 * rng.standard_normal())
    skew = t / duration + 0.08 * np.sin(2 * np.pi * t / duration) * rng.standard_normal()
    return _wave(-peak * np.sin(2 * np.pi * skew) * np.abs(np.sin(np.pi * t / duration)) ** 0.3)


def _vertex(rng: np.random.Generator, subject: Subject, sfreq: float) -> Signal:
    """Sharp negative wave under 0.5 s, N1 (AASM manual)."""
    t = _time(0.5, sfreq)
    peak = 0.5 * subject.k_complex_uv * subject.montage.slow * np.exp(0.25 * rng.standard_normal())
    wave = -peak * np.exp(-(((t - 0.2) / 0.05) ** 2)) + 0.45 * peak * np.exp(-(((t - 0.34) / 0.07) ** 2))
    return _wave(wave)


def _sawtooth(rng: np.random.Generator, subject: Subject, sfreq: float) -> Signal:
    """Trains of 2-6 Hz triangular waves, REM (AASM manual)."""
    t = _time(rng.uniform(1.5, 5.0), sfreq)
    frequency = rng.uniform(2.0, 5.0)
    peak = rng.uniform(8.0, 22.0) * subject.gain
    envelope = np.sqrt(np.abs(np.sin(np.pi * t / t[-1])))
    return _wave(peak * envelope * (2.0 * ((t * frequency) % 1.0) - 1.0))


def _saccade(rng: np.random.Generator, subject: Subject, sfreq: float) -> Signal:
    """Rapid eye movement through an AC amplifier: a step under 0.5 s that decays."""
    t = _time(rng.uniform(0.8, 2.0), sfreq)
    peak = (
        0.45
        * subject.eye_uv
        * subject.montage.eyes
        * np.exp(0.5 * rng.standard_normal())
        * rng.choice([-1.0, 1.0])
    )
    hold = rng.uniform(0.2, 0.7)
    wave = peak / (1.0 + np.exp(-(t - 0.15) / 0.025)) * np.exp(-np.clip(t - 0.15, 0.0, None) / hold)
    return _wave(wave * np.clip((t[-1] - t) / 0.2, 0.0, 1.0))


def _rolling(rng: np.random.Generator, subject: Subject, sfreq: float) -> Signal:
    """Slow rolling eye movement, initial deflection over 0.5 s (AASM manual)."""
    t = _time(rng.uniform(2.0, 6.0), sfreq)
    peak = (
        0.35
        * subject.eye_uv
        * subject.montage.eyes
        * np.exp(0.4 * rng.standard_normal())
        * rng.choice([-1.0, 1.0])
    )
    return _wave(peak * np.sin(np.pi * t / t[-1]) * np.sin(2 * np.pi * rng.uniform(0.2, 0.5) * t))


def _blink(rng: np.random.Generator, subject: Subject, sfreq: float) -> Signal:
    t = _time(0.5, sfreq)
    peak = subject.eye_uv * subject.montage.eyes * np.exp(0.3 * rng.standard_normal())
    return _wave(
        peak * np.exp(-(((t - 0.18) / 0.07) ** 2)) - 0.2 * peak * np.exp(-(((t - 0.36) / 0.09) ** 2))
    )


def _arousal(rng: np.random.Generator, subject: Subject, sfreq: float) -> Signal:
    """3-15 s of faster EEG with muscle (AASM manual: abrupt shift of at least 3 s)."""
    t = _time(rng.uniform(3.0, 12.0), sfreq)
    envelope = np.clip(np.minimum(t, t[-1] - t) / 0.7, 0.0, 1.0)
    alpha = 0.9 * subject.alpha_uv * np.sin(2 * np.pi * subject.alpha_hz * t + rng.uniform(0, 6.28))
    fast = (subject.muscle_uv * 1.2 + subject.beta_uv) * rng.standard_normal(len(t))
    return _wave(envelope * (alpha * subject.montage.alpha + 0.7 * fast))


def _movement(rng: np.random.Generator, subject: Subject, sfreq: float) -> Signal:
    t = _time(rng.uniform(1.0, 8.0), sfreq)
    drift = np.cumsum(rng.standard_normal(len(t))) / np.sqrt(sfreq)
    drift -= np.linspace(drift[0], drift[-1], len(t))
    envelope = np.sqrt(np.abs(np.sin(np.pi * t / t[-1])))
    return _wave(
        envelope * (rng.uniform(30.0, 160.0) * drift + 4.0 * subject.muscle_uv * rng.standard_normal(len(t)))
    )


def _pop(rng: np.random.Generator, subject: Subject, sfreq: float) -> Signal:
    """Electrode pop: a step that the amplifier's high-pass lets decay."""
    t = _time(3.0, sfreq)
    peak = rng.uniform(50.0, 250.0) * rng.choice([-1.0, 1.0])
    return _wave(peak * np.exp(-t / max(0.15, 0.16 / subject.highpass_hz)) * (1 - t / t[-1]))


Rates = tuple[tuple[Maker, tuple[float, ...]], ...]
"""Events per minute of each pure state (`course.STATES`)."""


def brain_events(subject: Subject) -> Rates:
    """What the brain makes."""
    spindles, k_complexes = subject.spindle_per_min, subject.k_complex_per_min
    return (
        (_spindle, (0.0, 0.25, spindles, 0.7 * spindles, 0.03, 0.0)),
        (_k_complex, (0.0, 0.05, k_complexes, 0.8 * k_complexes, 0.0, 0.0)),
        (_slow_wave, (0.0, 0.0, 1.0, 20.0, 0.0, 0.0)),
        (_vertex, (0.0, 1.5, 0.4, 0.0, 0.0, 0.0)),
        (_sawtooth, (0.0, 0.15, 0.0, 0.0, 1.2, 0.0)),
    )


def foreign_events(subject: Subject) -> Rates:
    """Eyes, muscles, movements and electrodes; an arousal is mostly muscle."""
    arousals = subject.arousals_per_h / 60.0
    return (
        (_saccade, (3.0, 0.3, 0.0, 0.0, 7.0, 12.0)),
        (_rolling, (0.6, 3.0, 0.1, 0.0, 0.3, 0.2)),
        (_blink, (2.5, 0.1, 0.0, 0.0, 0.0, 15.0)),
        (_arousal, (0.6, arousals * 1.5, arousals, 0.2 * arousals, arousals, 0.0)),
        (_movement, (0.7, 0.15, 0.05, 0.02, 0.05, 4.0)),
        (_pop, (0.03, 0.02, 0.02, 0.02, 0.02, 0.15)),
    )


def add_events(
    rng: np.random.Generator,
    subject: Subject,
    kinds: Rates,
    weights: NDArray[np.float32],
    sfreq: float,
    signal: Signal,
) -> None:
    """Add the transients of some kinds to `signal` (µV, in place); `weights` is (6, seconds)."""
    n = len(signal)
    for maker, rates in kinds:
        vigor = np.exp(0.35 * rng.standard_normal())
        intensity = vigor * (np.asarray(rates) / 60.0) @ (weights**1.5)
        counts = rng.poisson(np.clip(intensity, 0.0, 1.5))
        seconds = np.repeat(np.arange(len(counts)), counts)
        onsets = np.sort(((seconds + rng.random(len(seconds))) * sfreq).astype(np.int64))
        free_from = 0
        for onset in onsets:
            if onset < free_from:
                continue
            wave = maker(rng, subject, sfreq)[: n - onset]
            signal[onset : onset + len(wave)] += np.float32(subject.gain) * wave
            free_from = onset + len(wave) + round(_EVENT_GAP_S * sfreq)
