"""Band powers by stage: measured as in the tables of real nights, and brought to those of one more person."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import welch

from eegvlm_rt.simulator.background import band_noise
from eegvlm_rt.simulator.spectra import (
    BAND_EDGES_HZ,
    SCALE_STAGES,
    Person,
    band_powers,
    equalise,
    sample_person,
    stage_medians,
)
from eegvlm_rt.stages import Stage

SFREQ = 100.0


def noise_night(stages: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)
    pink = np.fft.irfft(
        np.fft.rfft(rng.standard_normal(len(stages) * 3000))
        / np.sqrt(1.0 + np.arange(len(stages) * 1500 + 1) / (len(stages) * 30))
    )
    return pink.astype(np.float32)


@pytest.mark.parametrize("sfreq", [64.0, 100.0, 256.0])
def test_band_powers_are_those_of_welchs_method_with_the_tables_settings(sfreq: float) -> None:
    epochs = np.random.default_rng(1).standard_normal((40, round(30 * sfreq))).astype(np.float32)
    width = round(4 * sfreq)
    hz, density = welch(epochs, sfreq, "hamming", width, width // 2, detrend="constant", average="median")
    for number, (low, high) in enumerate(pairwise(BAND_EDGES_HZ)):
        inside = (hz >= low) & (hz <= high)
        expected = density[:, inside].sum(axis=1) * (hz[1] - hz[0])
        np.testing.assert_allclose(band_powers(epochs, sfreq)[:, number], expected, rtol=1e-3)


def test_a_sine_has_its_power_in_its_band_alone() -> None:
    sine = np.sin(2 * np.pi * 10.0 * np.arange(3000) / SFREQ, dtype=np.float32)[None]
    powers = band_powers(sine, SFREQ)[0]
    assert powers[2] > 1000 * max(powers[0], powers[1], powers[3], powers[4])


def test_medians_count_from_the_nights_scale_and_leave_out_rare_stages() -> None:
    stages = np.array([0] * 5 + [2] * 5 + [3] * 2)
    log_power = np.random.default_rng(0).standard_normal((12, 5))
    first, louder = stage_medians(log_power, stages), stage_medians(log_power + 3.0, stages)
    np.testing.assert_allclose(first, louder)
    assert np.isnan(first[[1, 3, 4]]).all()
    assert np.isfinite(first[[0, 2]]).all()
    assert first[[0, 2]].mean() == pytest.approx(0.0, abs=1e-12)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.floats(0.0, 0.9))
def test_a_night_of_pure_stages_gets_the_medians_that_are_asked_for(seed: int, size: float) -> None:
    stages = np.repeat(np.arange(5, dtype=np.int8), 12)
    signal = noise_night(stages)
    weights = np.repeat(np.eye(5, dtype=np.float32)[:, stages], 30, axis=1)
    before = stage_medians(np.log(band_powers(signal.reshape(-1, 3000), SFREQ)), stages)
    change = size * np.random.default_rng(seed).standard_normal((5, 5))
    change -= change[[int(stage) for stage in SCALE_STAGES]].mean()
    person = Person(before + change, np.zeros((5, 5)))
    shaped = equalise(np.random.default_rng(0), signal, SFREQ, stages, weights, person, contrasts_only=False)
    after = stage_medians(np.log(band_powers(shaped.reshape(-1, 3000), SFREQ)), stages)
    # The bands' smooth borders leak a little of a neighbour's gain.
    assert np.abs(after - person.medians).mean() < 0.03 + 0.25 * size
    assert size < 0.1 or np.corrcoef((after - before).ravel(), change.ravel())[0, 1] > 0.95


def test_contrasts_alone_keep_each_bands_power_over_the_night() -> None:
    stages = np.repeat(np.arange(5, dtype=np.int8), 12)
    signal = noise_night(stages)
    weights = np.repeat(np.eye(5, dtype=np.float32)[:, stages], 30, axis=1)
    before = stage_medians(np.log(band_powers(signal.reshape(-1, 3000), SFREQ)), stages)
    tilted = before + np.array([1.0, 0.5, 0.0, -0.5, -1.0])
    shaped = equalise(
        np.random.default_rng(0),
        signal,
        SFREQ,
        stages,
        weights,
        Person(tilted, np.zeros((5, 5))),
        contrasts_only=True,
    )
    np.testing.assert_allclose(shaped, signal, atol=0.05 * float(signal.std()))


@pytest.mark.parametrize("stage", [0, 3])
@pytest.mark.parametrize("minutes", [2, 6, 45])
def test_a_short_night_of_one_stage_keeps_its_level(stage: int, minutes: int) -> None:
    stages = np.full(2 * minutes, stage, dtype=np.int8)
    signal = noise_night(stages)
    weights = np.repeat(np.eye(5, dtype=np.float32)[:, stages], 30, axis=1)
    for seed in range(5):
        person = sample_person(np.random.default_rng(seed), "EEG Fpz-Cz")
        shaped = equalise(
            np.random.default_rng(seed), signal, SFREQ, stages, weights, person, contrasts_only=False
        )
        assert 0.3 < shaped.std() / signal.std() < 4.0


def test_a_night_of_two_epochs_of_a_stage_is_left_as_it_is() -> None:
    stages = np.array([2, 2], dtype=np.int8)
    signal = band_noise(np.random.default_rng(0), 6000, SFREQ, 1.0, 20.0)
    weights = np.repeat(np.eye(5, dtype=np.float32)[:, stages], 30, axis=1)
    person = sample_person(np.random.default_rng(0), "EEG Fpz-Cz")
    shaped = equalise(np.random.default_rng(0), signal, SFREQ, stages, weights, person, contrasts_only=False)
    np.testing.assert_array_equal(shaped, signal)


@pytest.mark.parametrize("channel", ["EEG Fpz-Cz", "EEG Pz-Oz"])
def test_people_differ_and_deep_sleep_is_slow(channel: str) -> None:
    people = np.stack([sample_person(np.random.default_rng(seed), channel).medians for seed in range(200)])
    assert people.std(axis=0).min() > 0.15, "1.5 dB of power"
    mean = people.mean(axis=0)
    assert mean[Stage.N3, 0] > mean[Stage.N2, 0] + 0.5 > mean[Stage.R, 0] + 1.0
    assert mean[Stage.W, 4] > mean[Stage.R, 4] > mean[Stage.N2, 4]


def test_n2_is_deeper_near_n3() -> None:
    """Delta of N2 beside N3 against N2 beside wake, in nights that differ in nothing else."""
    order = np.array([0] * 10 + [2] * 20 + [3] * 20 + [2] * 20, dtype=np.int8)
    stages = np.tile(order, 6)
    signal = noise_night(stages)
    weights = np.repeat(np.eye(5, dtype=np.float32)[:, stages], 30, axis=1)
    flat = stage_medians(np.log(band_powers(signal.reshape(-1, 3000), SFREQ)), stages)
    drift = np.zeros((5, 5))
    drift[2, 0] = 0.5
    near, far = [], []
    for seed in range(8):
        shaped = equalise(
            np.random.default_rng(seed),
            signal,
            SFREQ,
            stages,
            weights,
            Person(flat, drift),
            contrasts_only=False,
        )
        delta = np.log(band_powers(shaped.reshape(-1, 3000), SFREQ))[:, 0].reshape(6, -1)
        near.append(delta[:, 22:30].mean())
        far.append(delta[:, 10:18].mean())
    assert np.mean(near) > np.mean(far) + 0.15
