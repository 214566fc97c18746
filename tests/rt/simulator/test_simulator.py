"""Simulated nights are reproducible, physiological in size, and written as real EDF+."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import welch

from eegvlm_rt.simulator import MONTAGES, sample_hypnogram, sample_subject, simulate_night, write_edf
from eegvlm_rt.simulator.background import band_noise
from eegvlm_rt.simulator.course import STATES, stage_weights, with_active_wake
from eegvlm_rt.simulator.history import FEATURES, History
from eegvlm_rt.simulator.hypnogram import habits_of, transition_counts
from eegvlm_rt.simulator.night import amplify
from eegvlm_rt.stages import Stage

SFREQ = 100.0


@pytest.fixture(scope="module")
def pure_stages() -> dict[Stage, np.ndarray]:
    """Two hours of each stage, five people each: (epochs, 3000) µV."""
    signals = {}
    for stage in Stage:
        hypnogram = np.full(40, int(stage), dtype=np.int8)
        nights = [simulate_night(seed, stages=hypnogram) for seed in range(5)]
        signals[stage] = np.concatenate([night.samples_uv.reshape(-1, 3000) for night in nights])
    return signals


@pytest.fixture(scope="module")
def hypnograms() -> list[np.ndarray]:
    """7.5 hours each of 60 people of 75 years and more."""
    return [sample_hypnogram(np.random.default_rng(seed), 900, wake_epochs=1) for seed in range(60)]


def band_power(epochs: np.ndarray, low_hz: float, high_hz: float) -> float:
    frequency, density = welch(epochs, SFREQ, nperseg=400, axis=1)
    inside = (frequency >= low_hz) & (frequency < high_hz)
    return float(np.median(density[:, inside].mean(axis=1)))


def test_a_seed_gives_the_same_night_twice() -> None:
    first, second = simulate_night(7, hours=0.5), simulate_night(7, hours=0.5)
    np.testing.assert_array_equal(first.samples_uv, second.samples_uv)
    np.testing.assert_array_equal(first.stages, second.stages)
    assert first.subject == second.subject


def test_different_seeds_are_different_people() -> None:
    assert simulate_night(1, hours=0.1).subject != simulate_night(2, hours=0.1).subject


@pytest.mark.parametrize("sfreq", [50.0, 100.0, 128.0, 256.0, 500.0])
def test_every_rate_gives_the_same_length_and_finite_microvolts(sfreq: float) -> None:
    night = simulate_night(3, hours=0.1, sfreq=sfreq)
    assert len(night.samples_uv) == round(len(night.stages) * 30 * sfreq)
    assert night.samples_uv.dtype == np.float32
    assert np.isfinite(night.samples_uv).all()
    assert 2.0 < night.samples_uv.std() < 200.0


def test_rates_below_50_hz_are_refused() -> None:
    with pytest.raises(ValueError, match="sfreq"):
        simulate_night(0, hours=0.1, sfreq=20.0)


def test_transitions_are_counted_between_all_stages_that_follow_one_another() -> None:
    counts = transition_counts()
    assert counts.shape == (5, 5)
    assert (np.diagonal(counts) > 0.4 * counts.sum(axis=1)).all(), "every stage tends to continue"


def test_sleep_comes_in_cycles_of_about_100_minutes_and_rem_after_an_hour(
    hypnograms: list[np.ndarray],
) -> None:
    latencies, periods = [], []
    for stages in hypnograms:
        rem = np.flatnonzero(stages == Stage.R)
        if len(rem):
            latencies.append((rem[0] - 1) / 2)
            periods.append(1 + int((np.diff(rem) > 30).sum()))
    assert len(latencies) > 50
    assert 60 < np.median(latencies) < 120
    assert 3 <= np.median(periods) <= 5


def test_bouts_are_not_those_of_a_chain_without_memory(hypnograms: list[np.ndarray]) -> None:
    """In a memoryless chain the chance to stay does not depend on the length of the bout."""
    stay = {True: [0, 0], False: [0, 0]}
    for stages in hypnograms:
        borders = np.flatnonzero(np.diff(stages)) + 1
        for bout in np.split(stages, borders)[1:-1]:
            if bout[0] == Stage.W:
                for length in range(1, len(bout) + 1):
                    old = length > 6
                    stay[old][0] += length < len(bout)
                    stay[old][1] += 1
    young, old = (stay[key][0] / stay[key][1] for key in (False, True))
    assert old > young + 0.1, "who has been awake for minutes stays awake longer"


def test_a_young_person_has_more_n3_and_less_wake(hypnograms: list[np.ndarray]) -> None:
    young = [
        sample_hypnogram(np.random.default_rng(seed), 900, wake_epochs=1, youth=1.0) for seed in range(40)
    ]
    (n3, wake), (old_n3, old_wake) = (
        [(np.stack(nights) == stage).mean() for stage in (Stage.N3, Stage.W)]
        for nights in (young, hypnograms)
    )
    assert n3 > 1.5 * old_n3
    assert wake < old_wake


def test_habits_are_log_odds_of_shares() -> None:
    habits = habits_of(np.array([2, 2, 2, 2, 4, 4, 4, 4], dtype=np.int8))
    assert habits[3] == pytest.approx(0.0)
    assert habits[4] == pytest.approx(np.log(1 / 6))
    assert np.isfinite(habits).all(), "a stage that a night lacks has finite odds"


def test_the_history_knows_bout_cycle_and_recent_stages() -> None:
    history = History(Stage.N1)
    for stage in [1, 2, 2, 2, 4, 4, 2]:
        history.advance(stage)
    facts = dict(zip(FEATURES, history.features(), strict=True))
    assert len(history.features()) == len(FEATURES)
    assert facts["no REM yet"] == 0.0
    assert facts["REM of this period, log"] == pytest.approx(np.log1p(2))
    assert facts["bout came from R"] == 1.0
    assert facts["R in the last 10 min"] == pytest.approx(2 / 20)
    assert facts["N1 in the last 10 min"] == pytest.approx(2 / 20)
    assert facts["since REM beyond 0 min"] == pytest.approx(0.5 / 20)


def test_n3_is_commonest_in_the_first_third_and_rem_in_the_last(hypnograms: list[np.ndarray]) -> None:
    first, _, last = np.array_split(np.stack(hypnograms), 3, axis=1)
    assert (first == Stage.N3).mean() > (last == Stage.N3).mean()
    assert (last == Stage.R).mean() > (first == Stage.R).mean()


def test_a_hypnogram_begins_and_ends_awake() -> None:
    stages = sample_hypnogram(np.random.default_rng(0), 200, wake_epochs=12)
    assert (stages[:12] == Stage.W).all()
    assert stages[-1] == Stage.W


def test_an_empty_night_is_refused() -> None:
    with pytest.raises(ValueError, match="n_epochs"):
        sample_hypnogram(np.random.default_rng(0), 0)


def test_stage_weights_sum_to_one_and_mostly_follow_the_hypnogram() -> None:
    rng = np.random.default_rng(0)
    stages = sample_hypnogram(rng, 400)
    weights = stage_weights(rng, stages, 30, blend_s=8.0, wander=0.25)
    np.testing.assert_allclose(weights.sum(axis=0), 1.0, rtol=1e-5)
    leading = weights.reshape(5, 400, 30).mean(axis=2).argmax(axis=0)
    assert (leading == stages).mean() > 0.7


def test_active_wake_takes_its_share_of_wake_alone() -> None:
    rng = np.random.default_rng(1)
    stages = np.array([0] * 200 + [2] * 200, dtype=np.int8)
    weights = stage_weights(rng, stages, 30, blend_s=5.0, wander=0.1)
    states = with_active_wake(rng, weights, 0.5)
    assert states.shape == (len(STATES), weights.shape[1])
    np.testing.assert_allclose(states[0] + states[5], weights[0], atol=1e-6)
    np.testing.assert_array_equal(states[1:5], weights[1:])
    assert 0.3 < states[5].sum() / weights[0].sum() < 0.7


@pytest.mark.parametrize("hours", [0.01, 0.02, 0.05])
def test_the_shortest_nights_are_finite(hours: float) -> None:
    night = simulate_night(0, hours=hours)
    assert len(night.stages) >= 1
    assert np.isfinite(night.samples_uv).all()


def test_band_noise_keeps_to_its_band() -> None:
    noise = band_noise(np.random.default_rng(0), 60_000, SFREQ, 8.0, 12.0)
    frequency, density = welch(noise, SFREQ, nperseg=1000)
    inside = density[(frequency > 7.0) & (frequency < 13.0)].sum()
    assert inside / density.sum() > 0.98
    assert noise.std() == pytest.approx(1.0, rel=0.01)


def test_n3_has_the_largest_slow_waves(pure_stages: dict[Stage, np.ndarray]) -> None:
    slow = {stage: band_power(epochs, 0.5, 2.0) for stage, epochs in pure_stages.items()}
    assert slow[Stage.N3] > 4 * slow[Stage.N2] > 4 * slow[Stage.R]


def test_n2_has_more_sigma_than_rem(pure_stages: dict[Stage, np.ndarray]) -> None:
    sigma = {stage: band_power(epochs, 12.0, 15.0) for stage, epochs in pure_stages.items()}
    assert sigma[Stage.N2] > 2 * sigma[Stage.R]


def test_the_spectrum_is_steepest_in_deep_sleep_and_flattest_awake(
    pure_stages: dict[Stage, np.ndarray],
) -> None:
    fall = {
        stage: band_power(epochs, 4, 8) / band_power(epochs, 20, 30) for stage, epochs in pure_stages.items()
    }
    assert fall[Stage.W] < fall[Stage.R] < fall[Stage.N2]
    assert fall[Stage.W] < fall[Stage.N1] < fall[Stage.N3]


def test_electrodes_drift_below_the_band_that_is_kept() -> None:
    subject = replace(sample_subject(np.random.default_rng(0)), drift_uv=20.0, highpass_hz=0.1)
    flat = np.zeros(60_000, dtype=np.float32)
    frequency, density = welch(amplify(np.random.default_rng(0), subject, flat, SFREQ), SFREQ, nperseg=6000)
    drifts = (frequency >= 0.03) & (frequency <= 0.35)
    assert density[drifts].sum() > 0.9 * density.sum()


def test_wake_has_the_most_fast_activity(pure_stages: dict[Stage, np.ndarray]) -> None:
    fast = {stage: band_power(epochs, 18.0, 32.0) for stage, epochs in pure_stages.items()}
    assert fast[Stage.W] == max(fast.values())


@pytest.mark.parametrize("derivation", [montage.channel for montage in MONTAGES])
def test_a_derivation_can_be_chosen(derivation: str) -> None:
    assert simulate_night(1, hours=0.1, derivation=derivation).channel == derivation


def test_an_unknown_derivation_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"derivation: 'EEG T3'.*EEG Pz-Oz"):
        simulate_night(1, hours=0.1, derivation="EEG T3")


def test_subjects_cover_every_montage() -> None:
    rng = np.random.default_rng(0)
    seen = {sample_subject(rng).montage.channel for _ in range(200)}
    assert seen == {montage.channel for montage in MONTAGES}


def test_the_edf_file_is_read_back_by_edfio_with_its_stages(tmp_path: Path) -> None:
    from edfio import read_edf

    night = simulate_night(5, hours=0.1)
    edf = read_edf(write_edf(night, tmp_path / "night.edf"))
    signal = edf.signals[0]
    assert (signal.label, signal.physical_dimension, signal.sampling_frequency) == (
        night.channel,
        "uV",
        100.0,
    )
    np.testing.assert_allclose(signal.data, np.clip(night.samples_uv, -1000, 1000), atol=0.02)
    texts = [annotation.text for annotation in edf.annotations]
    assert texts == [Stage(int(stage)).to_edf_text() for stage in night.stages]
