"""Band powers by stage of real nights, and how a simulated night is brought to those of one more person."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq
from scipy.ndimage import gaussian_filter1d
from scipy.signal import get_window

from ..stages import STAGES, Stage
from .background import per_sample
from .course import smooth_noise

__all__ = [
    "BAND_EDGES_HZ",
    "SCALE_STAGES",
    "Person",
    "band_powers",
    "equalise",
    "sample_person",
    "stage_medians",
]

Signal = NDArray[np.float32]
Float64 = NDArray[np.float64]

BAND_EDGES_HZ: Final = (0.5, 4.0, 8.0, 12.0, 16.0, 30.0)
"""Delta, theta, alpha, sigma, beta: the bands of the tables of real nights."""
SCALE_STAGES: Final = (Stage.W, Stage.N1, Stage.N2, Stage.R)
"""A night's scale is unknown: powers count from their mean over these stages and all bands."""
_EPOCH_S = 30
_SEGMENT_S = 4
_FEWEST_EPOCHS = 3
_LARGEST_GAIN = np.log(6.0)
_CROSSFADE = 0.12
_CHUNK_EPOCHS = 128
_DRIFT_S = 150.0
_DRIFT_SPREAD = 0.3
# W N1 N2 N3 R: the part of the tables' drift that the simulator's own changes of depth do not make already.
_DRIFT_SHARE = np.array([0.7, 1.0, 0.95, 0.2, 0.6])
# N1 and N2 are deeper near N3 and lighter near wake: in the tables N2's delta follows the N3 of the minutes
# around with a correlation of 0.45, N1's the N2 with 0.33. Depths of the stages are ours.
_DEPTH = np.array([-1.0, -0.5, 0.3, 1.0, -0.3])
_DEPTH_SHARE = np.array([0.0, 0.4, 0.4, 0.0, 0.0])
# The median of a chi-square of two degrees of freedom under its mean: bias of a median over 14 segments.
_MEDIAN_BIAS = float(np.sum(1.0 / np.arange(1, 15, 2)) - np.sum(1.0 / np.arange(2, 14, 2)))


def band_powers(epochs: NDArray[np.floating], sfreq: float) -> Float64:
    """Power of each band, (n_epochs, 5), in the squared unit of `epochs` (n_epochs, samples of 30 s).

    Welch: 4 s Hamming windows, half overlapped, mean removed, median over the windows: the recipe of the
    tables. A rate below 60 Hz has no band beyond its half.
    """
    # The same estimate as that of the tables, so that a simulated band and a measured one mean the same.
    width = round(_SEGMENT_S * sfreq)
    window = get_window("hamming", width).astype(np.float32)
    hz = rfftfreq(width, 1.0 / sfreq)
    starts = np.arange(0, epochs.shape[1] - width + 1, width // 2)
    scale = 2.0 * (hz[1] - hz[0]) / (sfreq * float((window**2).sum()) * _MEDIAN_BIAS)
    bands = [(hz >= low) & (hz <= high) for low, high in pairwise(BAND_EDGES_HZ)]
    powers = []
    for first in range(0, len(epochs), _CHUNK_EPOCHS):
        part = np.asarray(epochs[first : first + _CHUNK_EPOCHS], dtype=np.float32)
        segments = np.stack([part[:, start : start + width] for start in starts], axis=1)
        segments = (segments - segments.mean(axis=2, keepdims=True)) * window
        spectrum = rfft(segments, axis=2)
        # A median over the windows: a movement in one of them is not the spectrum of the epoch.
        density = np.median(spectrum.real**2 + spectrum.imag**2, axis=1)
        powers.append(np.stack([density[:, band].sum(axis=1) for band in bands], axis=1))
    return np.asarray(np.concatenate(powers).astype(np.float64) * scale)


def stage_medians(log_power: NDArray[np.floating], stages: NDArray[np.integer]) -> Float64:
    """Median of (n_epochs, 5) log powers by stage, (5 stages, 5 bands), counted from the night's scale.

    nan for a stage of fewer than three epochs.
    """
    medians = np.full((len(STAGES), len(BAND_EDGES_HZ) - 1), np.nan)
    for stage in STAGES:
        rows = log_power[np.asarray(stages) == int(stage)]
        if len(rows) >= _FEWEST_EPOCHS:
            medians[int(stage)] = np.median(rows, axis=0)
    # A night has a gain of its own; only what is left beyond it is compared.
    whole = [int(stage) for stage in SCALE_STAGES if np.isfinite(medians[int(stage)]).all()]
    scale = float(medians[whole].mean()) if whole else 0.0
    return np.asarray(medians - scale)


@dataclass(frozen=True, slots=True)
class Person:
    """Natural logarithms, (5 stages, 5 bands): `medians` as `stage_medians` gives them, and `drift`, the size
    of slow changes within a stage."""

    medians: Float64
    drift: Float64


@cache
def _people() -> dict[str, tuple[Float64, ...]]:
    """By derivation: mean (25,), factors (25, k) and rest (25,) of `stage_medians`, drift (5, 5)."""
    table = json.loads(files(__package__).joinpath("spectra.json").read_text(encoding="utf-8"))
    return {
        name: tuple(np.asarray(one[part]) for part in ("mean", "factors", "rest", "drift"))
        for name, one in table["channels"].items()
    }


def sample_person(rng: np.random.Generator, channel: str) -> Person:
    """One person's spectra in "EEG Fpz-Cz" or "EEG Pz-Oz".

    From the spread of 114 nights of 58 people of the Sleep-EDF Database Expanded 1.0.0 (Kemp et al. 2000;
    Goldberger et al. 2000, ODC-By 1.0); only its mean and main components are shipped.
    """
    mean, factors, rest, drift = _people()[channel]
    # Main components carry what bands have in common; the rest is independent.
    drawn = mean + factors @ rng.standard_normal(factors.shape[1]) + rest * rng.standard_normal(len(rest))
    size = float(np.exp(_DRIFT_SPREAD * rng.standard_normal()))
    return Person(drawn.reshape(drift.shape), size * _DRIFT_SHARE[:, None] * drift)


def equalise(
    rng: np.random.Generator,
    signal: Signal,
    sfreq: float,
    stages: NDArray[np.integer],
    weights: NDArray[np.float32],
    person: Person,
    *,
    contrasts_only: bool,
) -> Signal:
    """`signal` (n,) with the band powers of `person`; its overall level stays.

    `weights` (5, seconds) is how much of each stage is present. With `contrasts_only` each band keeps its
    own power over the night, and only the stages differ as in `person`: for a derivation without a table.
    """
    n_epochs = len(stages)
    samples = len(signal) // n_epochs
    powers = band_powers(signal[: n_epochs * samples].reshape(n_epochs, samples), sfreq)
    actual = stage_medians(np.log(np.maximum(powers, 1e-9)), stages)
    present = np.flatnonzero(np.isfinite(actual).all(axis=1))
    if not len(present):
        return signal
    # How much each band of each stage lacks, in logarithms.
    correction = (person.medians - actual)[present]
    if contrasts_only:
        correction = correction - correction.mean(axis=0)
    # A night without some stages has another scale than the person: the mean gain is one of none.
    counted = np.isin(present, [int(stage) for stage in SCALE_STAGES])
    correction = correction - correction[counted if counted.any() else slice(None)].mean()
    correction = np.clip(correction, -2 * _LARGEST_GAIN, 2 * _LARGEST_GAIN)
    # Each epoch holds some of its neighbours' stages, so the gains of pure stages must be larger than what
    # the epochs need: one small linear system a night.
    per_epoch = weights.reshape(len(STAGES), n_epochs, -1).mean(axis=2)
    shares = np.stack([per_epoch[present][:, stages == stage].mean(axis=1) for stage in present])
    shares /= shares.sum(axis=1, keepdims=True)
    gains = np.zeros((len(STAGES), correction.shape[1]))
    gains[present] = np.linalg.solve(shares + 0.02 * np.eye(len(present)), correction) * 0.5
    gains = np.clip(gains, -_LARGEST_GAIN, _LARGEST_GAIN)
    # The gain follows the mixture of stages second by second, and within a stage its own slow drift.
    course = gains.T @ weights
    for stage in present:
        drift = _drift(rng, weights, int(stage))
        course += 0.5 * person.drift[stage][:, None] * (drift * weights[stage])
    return _filter_bank(signal, sfreq, np.exp(course).astype(np.float32))


def _drift(rng: np.random.Generator, weights: NDArray[np.float32], stage: int) -> NDArray[np.float32]:
    """How much deeper a stage is than on average, (seconds,), of unit spread: sleep deepens and lightens over
    minutes, in part towards the stages around."""
    slow = smooth_noise(rng, weights.shape[1], _DRIFT_S)
    slow -= slow.mean()
    slow /= max(float(slow.std()), 1e-6)
    # Sleep is deeper between two deep stages than between two light ones.
    around = gaussian_filter1d(_DEPTH.astype(np.float32) @ weights, _DRIFT_S, mode="nearest")
    presence = weights[stage] / max(float(weights[stage].sum()), 1e-6)
    around -= float(around @ presence)
    around /= max(float(np.sqrt(around**2 @ presence)), 0.05)
    share = float(_DEPTH_SHARE[stage])
    return np.asarray(np.sqrt(1.0 - share**2) * slow + share * around, dtype=np.float32)


def _filter_bank(signal: Signal, sfreq: float, gains: NDArray[np.float32]) -> Signal:
    """The sum of five bands, each multiplied by its course (5, seconds); below and above the bands the gain
    of the nearest holds."""
    n = len(signal)
    size = next_fast_len(n, real=True)
    spectrum = rfft(signal, n=size)
    log_hz = np.log(np.maximum(rfftfreq(size, 1.0 / sfreq), 1e-3)).astype(np.float32)
    shaped = np.zeros(n, dtype=np.float32)
    below = np.zeros(len(log_hz), dtype=np.float32)
    edges = [*BAND_EDGES_HZ[1:-1], None]
    for edge, gain in zip(edges, gains, strict=True):
        # Masks are differences of smooth steps, so that they add up to one at every frequency.
        if edge is None:
            mask = 1.0 - below
        else:
            position = np.clip((log_hz - np.log(edge)) / (2 * _CROSSFADE) + 0.5, 0.0, 1.0)
            up_to = np.cos(0.5 * np.pi * position) ** 2
            mask, below = up_to - below, up_to
        shaped += irfft(spectrum * mask.astype(np.float32), n=size)[:n] * per_sample(gain, n)
    return shaped
