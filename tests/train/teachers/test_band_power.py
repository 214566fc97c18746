"""The stager of band powers: what it sees, that it is causal where it says so, and where it votes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from eegvlm_train.cli import main
from eegvlm_train.data.night_files import labels_path, night_path, save_npz
from eegvlm_train.evaluation.epoch_sets import EvaluationSet
from eegvlm_train.evaluation.peers import peer_answers
from eegvlm_train.evaluation.recordings import ScoredRecording, stage_rows
from eegvlm_train.sleep_edf.tables import TableNight
from eegvlm_train.teachers.band_power import CAUSAL, OFFLINE, BandPowerStager, View, features_of
from eegvlm_train.teachers.band_power_training import agreement, train_stager
from eegvlm_train.teachers.label import consensus
from hypothesis import given, settings
from hypothesis import strategies as st

SHIFT = np.array([[0.0, 0, 2, 0, 3], [0, 2, 0, 0, 1], [2, 1, 0, 2, 0], [4, 1, 0, 0, 0], [0, 1, 0, -2, 1]])
"""What each stage adds to the five log powers of a made night."""


def made_night(seed: int, epochs: int = 400) -> TableNight:
    rng = np.random.default_rng(seed)
    stages = np.repeat(rng.permutation(np.arange(epochs // 10) % 5), 10).astype(np.int8)
    powers = 0.5 * rng.standard_normal((epochs, 2, 5)) + SHIFT[stages][:, None] + 10.0 * rng.standard_normal()
    stages[3] = -1
    return TableNight(f"SC4{seed:02d}", f"{20 + seed}", stages, powers.astype(np.float32), powers)


@pytest.fixture(scope="module")
def stager() -> BandPowerStager:
    return train_stager([made_night(seed) for seed in range(4)], rounds=8, threads=1)


@pytest.fixture(scope="module")
def folder(stager: BandPowerStager, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stager") / "band-power"
    stager.save(path, {"source": "made"})
    return path


@pytest.mark.parametrize("view", [OFFLINE, CAUSAL], ids=lambda view: view.name)
def test_it_learns_the_stages_of_nights_of_any_scale(stager: BandPowerStager, view: View) -> None:
    found = agreement(stager, [made_night(seed) for seed in (50, 51)], view)
    assert found["EEG Fpz-Cz"]["n"] == 2 * 399
    assert found["EEG Pz-Oz"]["kappa"] > 0.85


def test_the_saved_stager_answers_the_same(stager: BandPowerStager, folder: Path) -> None:
    powers = made_night(60).log_power[:, 0]
    loaded = BandPowerStager.load(folder)
    for view in (OFFLINE, CAUSAL):
        np.testing.assert_array_equal(loaded.of_powers(powers, view), stager.of_powers(powers, view))
    assert loaded.of_powers(powers, OFFLINE).shape == (400, 5)


def test_a_folder_without_a_stager_says_how_to_train_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="eegvlm_train band-power"):
        BandPowerStager.load(tmp_path)


@settings(max_examples=30, deadline=None)
@given(cut=st.integers(1, 59), seed=st.integers(0, 1000))
def test_the_causal_view_is_the_same_whatever_comes_later(cut: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    powers = rng.standard_normal((60, 5)) * 3 + rng.standard_normal(5) * 20
    np.testing.assert_allclose(
        features_of(powers[:cut], CAUSAL), features_of(powers, CAUSAL)[:cut], atol=1e-5
    )


@settings(max_examples=30, deadline=None)
@given(scale=st.floats(-30, 30), n=st.integers(1, 40))
@pytest.mark.parametrize("view", [OFFLINE, CAUSAL], ids=lambda view: view.name)
def test_features_are_finite_and_do_not_know_the_scale(view: View, scale: float, n: int) -> None:
    powers = np.random.default_rng(n).standard_normal((n, 5))
    first, second = features_of(powers, view), features_of(powers + scale, view)
    assert first.shape == (n, 60)
    assert np.isfinite(first).all()
    np.testing.assert_allclose(first, second, atol=1e-4)


def test_the_offline_view_sees_five_epochs_on_both_sides() -> None:
    powers = np.zeros((30, 5))
    powers[15] = 1.0
    powers[15, 2] = 2.0
    seen = np.flatnonzero((features_of(powers, OFFLINE) > 0).any(axis=1))
    np.testing.assert_array_equal(seen, np.arange(10, 21))


def noise(epochs: int) -> np.ndarray:
    return (20.0 * np.random.default_rng(0).standard_normal(epochs * 3000)).astype(np.float32)


def test_it_joins_the_peers_of_an_evaluation(folder: Path) -> None:
    stages = np.array([0, 2, -1, 4], dtype=np.int64)
    one = ScoredRecording("a", "a", noise(4), 100.0, stages, stage_rows(stages), np.ones(4, dtype=np.float32))
    answers = peer_answers("band-power", [one], EvaluationSet.of([one]), folder)
    assert list(answers) == ["band powers (+-5 epochs)", "band powers (causal)"]
    for one_way in answers.values():
        assert one_way.stages.shape == (3,)
        np.testing.assert_allclose(one_way.probabilities.sum(axis=1), 1.0, rtol=1e-5)


def test_without_a_folder_the_peer_says_what_it_needs() -> None:
    with pytest.raises(ValueError, match="--band-power FOLDER"):
        peer_answers("band-power", [], EvaluationSet.of([made_recording()]))


def made_recording() -> ScoredRecording:
    stages = np.zeros(2, dtype=np.int64)
    return ScoredRecording(
        "a", "a", noise(2), 100.0, stages, stage_rows(stages), np.ones(2, dtype=np.float32)
    )


def test_it_votes_as_a_teacher_where_it_is_asked_to(folder: Path, tmp_path: Path) -> None:
    path = night_path(tmp_path, 1)
    raw = np.round(10 * noise(4)).astype(np.int16)
    save_npz(path, x=np.zeros((4, 3000), np.int16), raw=raw, sfreq=100.0, uv_per_lsb=0.1, seed=1)
    before = {"yasa": np.full((4, 5), 0.2), "gssc_epoch": np.full((4, 5), 0.2)}
    save_npz(labels_path(path), **before, teacher=consensus(before))
    assert main(["label", str(tmp_path), "--teachers", "yasa", "--band-power", str(folder)]) == 0
    with np.load(labels_path(path)) as file:
        vote = BandPowerStager.load(folder)(raw * np.float32(0.1), 100.0, OFFLINE)
        np.testing.assert_allclose(file["band_power"], vote, atol=1e-3)
        expected = consensus({**before, "band_power": file["band_power"]})
        np.testing.assert_allclose(file["teacher"], expected, atol=2e-3)


def test_the_command_trains_on_people_20_and_more_and_reports_on_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nights = [made_night(seed) for seed in range(4)]
    features = np.concatenate([np.concatenate([one.log_power, one.relative], axis=2) for one in nights])
    np.savez(
        tmp_path / "bandpower.npz",
        features=features.astype(np.float32),
        y=np.concatenate([one.stages for one in nights]),
        rec=np.repeat(np.arange(4), 400).astype(np.int16),
        subject=np.repeat(["07", "20", "20", "45"], 400),
        psg=np.array([f"{one.name}-PSG.edf" for one in nights]),
    )
    out = tmp_path / "trained"
    assert main(["band-power", str(tmp_path), str(out), "--rounds", "4", "--threads", "1"]) == 0
    card = json.loads((out / "card.json").read_text(encoding="utf-8"))
    assert "3 nights of 2 people" in card["source"]
    assert card["people 00-19"]["causal"]["EEG Pz-Oz"]["n"] == 399
    assert capsys.readouterr().out.count("kappa") == 4
