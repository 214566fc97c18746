"""Measurement of whole batches of conditioned epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import InputError
from ..signal.gaps import bridge_gaps
from ..signal.units import not_one_channel
from . import slow_waves, spindles
from .arousal import count_arousals, muscle_seconds
from .bands import EPOCH_SAMPLES, SFREQ_HZ, Float32, band_filter, padded_spectrum, running_squares
from .model import NO_FINDINGS, Findings, Span
from .rhythm import alpha_windows, mean_powers, name_rhythms, slow_ratio, window_spectra

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["measure", "measure_batch", "slow_wave_spans"]

CHUNK: Final = 64
HALF_S: Final = 15.0
LARGEST_UV: Final = 1e5


def measure(x: ArrayLike) -> Findings:
    """Findings of one conditioned epoch: (3000,) µV at 100 Hz, NaN where samples are missing.

    Raises:
        InputError: another shape.
    """
    samples = np.asarray(x)
    if samples.ndim != 1:
        raise not_one_channel("x", samples.shape)
    if samples.shape != (EPOCH_SAMPLES,):
        raise InputError("x", f"shape {samples.shape}", "give one conditioned epoch, 3000 samples at 100 Hz")
    return measure_batch(samples[None])[0]


def measure_batch(x: ArrayLike) -> list[Findings]:
    """Findings of conditioned epochs: (n, 3000) µV at 100 Hz, NaN where samples are missing.

    Gaps are bridged by a straight line, so nothing is found in them; `measured_share` says how much was
    there. An epoch without a single sample gives zeros. Each epoch is measured on its own: the result does
    not depend on the batch.

    Raises:
        InputError: another shape.
    """
    with np.errstate(over="ignore"):
        samples = np.asarray(x, dtype=np.float32)
    if samples.ndim != 2 or samples.shape[1] != EPOCH_SAMPLES:
        raise InputError(
            "x", f"shape {samples.shape}", "give conditioned epochs, (n, 3000) samples at 100 Hz"
        )
    rows: list[Findings] = []
    for start in range(0, len(samples), CHUNK):
        rows.extend(_measure_chunk(samples[start : start + CHUNK]))
    return rows


def slow_wave_spans(x: ArrayLike) -> tuple[Span, ...]:
    """(onset_s, duration_s) of each slow wave above 75 µV in one epoch; takes what `measure` takes."""
    samples = np.asarray(x, dtype=np.float32)
    if samples.shape != (EPOCH_SAMPLES,):
        raise InputError("x", f"shape {samples.shape}", "give one conditioned epoch, 3000 samples at 100 Hz")
    signal, _ = _without_gaps(samples[None])
    spectrum = padded_spectrum(signal)
    broad_sums = running_squares(band_filter(spectrum, 4.5, 30.0, 1.0))
    muscle_sums = running_squares(band_filter(spectrum, 20.0, 34.0, 1.0))
    waves = slow_waves.find_slow_waves(spectrum, broad_sums, muscle_sums)
    large = waves.of_sleep & (waves.ptp_uv > slow_waves.SLOW_WAVE_UV)
    onsets, lengths = waves.starts[large] / SFREQ_HZ, waves.lengths[large] / SFREQ_HZ
    return _spans(1, waves.rows[large], onsets, lengths)[0]


def _measure_chunk(raw: Float32) -> list[Findings]:
    n = len(raw)
    x, present = _without_gaps(raw)
    # One transform of the whole epoch serves all band filters, one of its windows all shares of power.
    spectrum = padded_spectrum(x)
    spectra = window_spectra(x)
    ratio = slow_ratio(spectra)
    broad = band_filter(spectrum, 4.5, 30.0, 1.0)
    muscle = band_filter(spectrum, 20.0, 34.0, 1.0)
    broad_sums, muscle_sums = running_squares(broad), running_squares(muscle)
    candidates = spindles.spindle_candidates(x, spectrum, ratio, broad, muscle_sums)
    waves = slow_waves.find_slow_waves(spectrum, broad_sums, muscle_sums)
    tense, level = muscle_seconds(broad_sums, muscle_sums)

    amplitude = np.median(np.ptp(x.reshape(n, -1, 2 * SFREQ_HZ), axis=2), axis=1).astype(np.float64)
    slow = waves.share(n)
    deflection = waves.deflection_share(n)
    alpha = alpha_windows(spectra)
    alpha_share = alpha.mean(axis=1, dtype=np.float64)
    tense_share = tense.mean(axis=1, dtype=np.float64)
    arousals = count_arousals(tense, level, alpha)
    powers = mean_powers(spectra)
    spindle_spans = _spans(n, *spindles.find_spindles(candidates))
    complex_spans = _spans(n, *slow_waves.find_k_complexes(waves, ratio))
    # The candidates are looked for once and judged three times: an event near a threshold is there or not by
    # a hair, and what is said of it must not hang on that. The strict count is what is clear, the loose one
    # what is possible.
    sure_spindles = spindles.find_spindles(candidates, spindles.STRICT)
    sure_complexes = slow_waves.find_k_complexes(waves, ratio, slow_waves.STRICT)
    spindle_low, complex_low = _counts(n, sure_spindles[0]), _counts(n, sure_complexes[0])
    spindle_high = _counts(n, spindles.find_spindles(candidates, spindles.LOOSE)[0])
    complex_high = _counts(n, slow_waves.find_k_complexes(waves, ratio, slow_waves.LOOSE)[0])
    early = np.zeros(n, dtype=np.intp)
    for rows, onsets, _ in (sure_spindles, sure_complexes):
        early += np.bincount(rows[onsets < HALF_S], minlength=n)

    findings = []
    for i in range(n):
        if present[i] == 0.0:
            findings.append(NO_FINDINGS)
            continue
        shares = tuple(powers[i].tolist())
        rhythm, alternatives = name_rhythms(shares, float(amplitude[i]), float(slow[i]), float(deflection[i]))
        findings.append(
            Findings(
                rhythm=rhythm,
                alpha_share=float(alpha_share[i]),
                spindles=len(spindle_spans[i]),
                k_complexes=len(complex_spans[i]),
                slow_wave_share=float(slow[i]),
                amplitude_uv=float(amplitude[i]),
                spindle_spans=spindle_spans[i],
                k_complex_spans=complex_spans[i],
                rhythm_alternatives=alternatives,
                spindle_range=_around(len(spindle_spans[i]), spindle_low[i], spindle_high[i]),
                k_complex_range=_around(len(complex_spans[i]), complex_low[i], complex_high[i]),
                relative_powers=shares,
                measured_share=float(present[i]),
                deflection_share=float(deflection[i]),
                muscle_share=float(tense_share[i]),
                arousals=int(arousals[i]),
                early_events=int(early[i]),
            )
        )
    return findings


def _around(count: int, low: int, high: int) -> tuple[int, int] | None:
    return None if low == count == high else (min(low, count), max(high, count))


def _counts(n: int, rows: NDArray[np.intp]) -> list[int]:
    counts: list[int] = np.bincount(rows, minlength=n).tolist()
    return counts


def _spans(
    n: int, rows: NDArray[np.intp], onsets: NDArray[np.float64], durations: NDArray[np.float64]
) -> list[tuple[Span, ...]]:
    spans: list[list[Span]] = [[] for _ in range(n)]
    for row, onset, duration in zip(rows.tolist(), onsets.tolist(), durations.tolist(), strict=True):
        spans[row].append((round(onset, 2), round(duration, 2)))
    return [tuple(row) for row in spans]


def _without_gaps(raw: Float32) -> tuple[Float32, NDArray[np.float64]]:
    good = np.isfinite(raw)
    present = good.mean(axis=1, dtype=np.float64)
    x = np.clip(raw, -LARGEST_UV, LARGEST_UV)
    x[present == 0.0] = 0.0
    return bridge_gaps(x, good), present
