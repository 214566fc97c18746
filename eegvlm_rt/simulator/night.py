"""One simulated night: hypnogram, person, signal, amplifier."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from ..signal.units import EPOCH_S
from .background import activity, background, band_noise
from .course import stage_weights, with_active_wake
from .events import add_events, brain_events, foreign_events
from .hypnogram import sample_hypnogram
from .spectra import equalise, sample_person
from .subject import Subject, sample_subject

__all__ = ["SimulatedNight", "amplify", "simulate_night"]

_DRIFT_HZ = (0.05, 0.25)
"""Sweat, breathing and electrode drift, before the amplifier's high-pass."""


@dataclass(frozen=True, slots=True)
class SimulatedNight:
    """`samples_uv` float32 (n,), µV; `stages` int8 (n_epochs,), the stage that was intended per 30 s."""

    samples_uv: NDArray[np.float32]
    sfreq: float
    stages: NDArray[np.int8]
    channel: str
    start: datetime
    seed: int
    subject: Subject


def amplify(
    rng: np.random.Generator, subject: Subject, signal: NDArray[np.float32], sfreq: float
) -> NDArray[np.float32]:
    """What a person's amplifier makes of `signal` (n,) µV: drift, mains and noise added, its band kept."""
    t = np.arange(len(signal), dtype=np.float64) / sfreq
    signal = signal + subject.drift_uv * band_noise(rng, len(signal), sfreq, *_DRIFT_HZ)
    mains_hz = 50.0 if rng.random() < 0.6 else 60.0
    if mains_hz < 0.5 * sfreq:
        signal = signal + (subject.mains_uv * np.sin(2 * np.pi * mains_hz * t)).astype(np.float32)
    signal = signal + (subject.noise_uv * rng.standard_normal(len(signal), dtype=np.float32))
    high = butter(1, subject.highpass_hz, "highpass", fs=sfreq, output="sos")
    signal = sosfilt(high, signal)
    if subject.lowpass_hz < 0.45 * sfreq:
        low = butter(int(rng.integers(1, 5)), subject.lowpass_hz, "lowpass", fs=sfreq, output="sos")
        signal = sosfilt(low, signal)
    return np.asarray(signal, dtype=np.float32)


def simulate_night(
    seed: int,
    *,
    hours: float = 8.0,
    sfreq: float = 100.0,
    stages: NDArray[np.int8] | None = None,
    channel: str | None = None,
    derivation: str | None = None,
) -> SimulatedNight:
    """Simulate one channel of one night, the same for the same arguments.

    `stages` fixes the hypnogram (30 s, values of `Stage`), `derivation` the electrodes (one of `MONTAGES`);
    `channel` renames the derivation. Raises ValueError for a night shorter than one epoch, a rate below
    50 Hz or another derivation.
    """
    if sfreq < 50.0:
        raise ValueError(f"sfreq: {sfreq} Hz; at least 50 Hz is needed")
    rng = np.random.default_rng([0x5EE9, seed])
    subject = sample_subject(rng, derivation)
    if stages is None:
        n_epochs = int(hours * 3600 // EPOCH_S)
        wake_epochs = min(int(rng.integers(8, 50)), max(1, n_epochs // 8))
        stages = sample_hypnogram(rng, n_epochs, wake_epochs=wake_epochs, youth=subject.youth)
    weights = stage_weights(rng, stages, int(EPOCH_S), subject.blend_s, subject.wander)
    states = with_active_wake(rng, weights, subject.restless_share)
    signal = background(rng, subject, states, sfreq)
    add_events(rng, subject, brain_events(subject), states, sfreq, signal)
    # The tables' derivations are brought to the spectra of one more person; in others the stages differ as in
    # the tables, and each band keeps its own power.
    table, own = subject.montage.table, subject.montage.channel == subject.montage.table
    person = sample_person(rng, table)
    signal = equalise(rng, signal, sfreq, stages, weights, person, contrasts_only=not own)
    signal += activity(rng, subject, states, sfreq)
    add_events(rng, subject, foreign_events(subject), states, sfreq, signal)
    return SimulatedNight(
        samples_uv=amplify(rng, subject, signal, sfreq),
        sfreq=float(sfreq),
        stages=stages,
        channel=channel or subject.montage.channel,
        start=datetime(2026, 1, 1, 22, 30),
        seed=seed,
        subject=subject,
    )
