"""Nights in memory: the split is by subject, what is missing is named, values are what was stored."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from eegvlm_train.data.findings import FindingsTable
from eegvlm_train.data.labels import load_split, with_teacher
from eegvlm_train.data.night_files import labels_path, save_npz
from eegvlm_train.data.nightset import (
    CONSENSUS,
    EPOCH_OPINION,
    NIGHT_OPINION,
    list_nights,
    load_nights,
    split_nights,
    teacher_rows,
)

from eegvlm_rt.findings import measure_batch
from eegvlm_rt.stages import Stage
from tests.train.noise_nights import EPOCHS_PER_NIGHT, noise_night


def test_the_last_tenth_of_the_nights_is_validation() -> None:
    nights = [Path(f"night-{i:05d}.npz") for i in range(20)]
    assert split_nights(nights, "train") == nights[:18]
    assert split_nights(nights, "validation") == nights[18:]
    assert split_nights(nights, "all") == nights


def test_two_nights_are_one_for_training_and_one_for_validation() -> None:
    nights = [Path("night-00000.npz"), Path("night-00001.npz")]
    assert split_nights(nights, "train") == nights[:1]
    assert split_nights(nights, "validation") == nights[1:]


def test_no_night_is_on_both_sides(nights_folder: Path) -> None:
    train, held_out = load_nights(nights_folder, "train"), load_nights(nights_folder, "validation")
    assert set(train.names).isdisjoint(held_out.names)
    assert len(train) == 3 * EPOCHS_PER_NIGHT
    assert len(held_out) == EPOCHS_PER_NIGHT


def test_epochs_come_back_in_microvolts_with_their_labels(nights_folder: Path) -> None:
    nights = load_nights(nights_folder, "train")
    with np.load(nights_folder / "night-00001.npz") as file:
        stored = file["x"][3] * 0.1
    with np.load(nights_folder / "night-00001.labels.npz") as file:
        label = file["teacher"][3].astype(np.float64)
    row = EPOCHS_PER_NIGHT + 3
    assert nights.names[nights.night[row]] == "night-00001.npz"
    np.testing.assert_allclose(nights.microvolts(np.array([row]))[0], stored, rtol=1e-6)
    np.testing.assert_allclose(nights.teacher[row], label / label.sum(), atol=1e-6)


def test_an_epoch_has_the_opinion_of_who_saw_it_alone_and_of_who_knows_its_night(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for seed in range(2):
        night = noise_night(tmp_path, seed)
        alone = rng.dirichlet(np.ones(5), EPOCHS_PER_NIGHT).astype(np.float16)
        # The second night has no opinion of one epoch alone: what the teachers say together stands in.
        extra = {EPOCH_OPINION: alone} if seed == 0 else {}
        with np.load(labels_path(night)) as file:
            consensus = file["teacher"]
        save_npz(labels_path(night), teacher=consensus, **extra)
        nights = load_nights(tmp_path, "all")
        rows = slice(seed * EPOCHS_PER_NIGHT, (seed + 1) * EPOCHS_PER_NIGHT)
        expected = (alone if seed == 0 else consensus).astype(np.float64)
        known = consensus.astype(np.float64)
        np.testing.assert_allclose(nights.teacher[rows], expected / expected.sum(1, keepdims=True), atol=1e-6)
        np.testing.assert_allclose(nights.context[rows], known / known.sum(1, keepdims=True), atol=1e-6)
    np.testing.assert_allclose(nights.teacher.sum(1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(nights.context.sum(1), 1.0, rtol=1e-5)


def test_the_consensus_of_all_teachers_can_stand_for_the_one_who_knows_the_night(tmp_path: Path) -> None:
    night = noise_night(tmp_path, 0)
    with np.load(labels_path(night)) as file:
        consensus = file["teacher"]
    knows = np.random.default_rng(5).dirichlet(np.ones(5), EPOCHS_PER_NIGHT).astype(np.float16)
    save_npz(labels_path(night), **{"teacher": consensus, NIGHT_OPINION: knows})
    nights = load_nights(tmp_path, "all")
    mean = with_teacher(nights, tmp_path, CONSENSUS)
    said = consensus.astype(np.float32)
    np.testing.assert_allclose(mean.context, said / said.sum(1, keepdims=True), rtol=1e-5)
    np.testing.assert_array_equal(mean.teacher, nights.teacher)
    assert (mean.context != nights.context).any()


def test_a_day_awake_is_w_in_its_context_whatever_the_teachers_say(tmp_path: Path) -> None:
    night, day = (noise_night(tmp_path, seed) for seed in range(2))
    with np.load(day) as file:
        content = dict(file)
    save_npz(day, **content, awake=np.True_)
    alone, in_context = teacher_rows(day)
    with np.load(labels_path(day)) as file:
        said = file["teacher"].astype(np.float32)
    np.testing.assert_allclose(alone, said / said.sum(1, keepdims=True), rtol=1e-5)
    assert in_context.shape == alone.shape
    assert (in_context.argmax(1) == Stage.W).all()
    np.testing.assert_allclose(in_context.sum(1), 1.0, rtol=1e-6)
    assert (teacher_rows(night)[1] != in_context).any()


def test_findings_are_those_the_runtime_measures(nights_folder: Path) -> None:
    nights = load_nights(nights_folder, "train")
    assert nights.findings is not None
    measured = measure_batch(nights.microvolts(np.arange(4)))
    for row, findings in enumerate(measured):
        kept = nights.findings.row(row)
        assert kept.rhythm is findings.rhythm
        assert (kept.spindles, kept.k_complexes) == (findings.spindles, findings.k_complexes)
        assert kept.alpha_share == pytest.approx(findings.alpha_share, abs=1e-6)
        assert kept.amplitude_uv == pytest.approx(findings.amplitude_uv, rel=1e-6)
        assert kept.relative_powers == pytest.approx(findings.relative_powers, abs=1e-6)


def test_an_empty_table_of_findings_has_all_columns() -> None:
    assert FindingsTable.from_findings([]).relative_powers.shape == (0, 4)


def test_a_folder_without_nights_says_how_to_make_some(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="eegvlm_train simulate"):
        list_nights(tmp_path)


def test_unlabelled_nights_are_left_out(tmp_path: Path, nights_folder: Path) -> None:
    folder = tmp_path / "nights"
    shutil.copytree(nights_folder, folder)
    noise_night(folder, 9, labelled=False)
    assert "night-00009.npz" not in load_nights(folder, "all").names


def test_unmeasured_nights_are_named_with_the_command_that_measures_them(tmp_path: Path) -> None:
    noise_night(tmp_path, 0, measured=False)
    with pytest.raises(FileNotFoundError, match="1 nights unmeasured; run `eegvlm_train findings"):
        load_nights(tmp_path, "all")
    assert load_nights(tmp_path, "all", with_findings=False).findings is None


def test_balance_moves_from_the_data_to_equal_stages(nights_folder: Path) -> None:
    nights = load_nights(nights_folder, "train")
    np.testing.assert_allclose(nights.sampling_weights(0.0), 1 / len(nights), rtol=1e-6)
    balanced = nights.sampling_weights(1.0)
    mass = balanced @ nights.teacher
    natural = nights.teacher.mean(0)
    assert balanced.sum() == pytest.approx(1.0)
    assert np.ptp(mass) < np.ptp(natural)


def test_validation_epochs_are_spread_over_all_nights(nights_folder: Path) -> None:
    nights = load_nights(nights_folder, "train")
    index = nights.every(6)
    assert len(index) == 6
    assert set(nights.night[index]) == {0, 1, 2}
    assert len(nights.every(10**6)) == len(nights)


def test_intended_stages_need_no_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(3):
        noise_night(tmp_path, seed, labelled=False)
    train, held_out = load_split(tmp_path, "intended")
    assert (train.names, held_out.names) == (("night-00000.npz", "night-00001.npz"), ("night-00002.npz",))
    np.testing.assert_array_equal(train.teacher, np.eye(5)[np.zeros(24, dtype=int)])
    np.testing.assert_array_equal(held_out.teacher, np.eye(5)[np.zeros(12, dtype=int)])
    assert "speaks of the intended stages" in capsys.readouterr().out
    with pytest.raises(FileNotFoundError, match="or use --set labels=intended"):
        load_split(tmp_path, "teacher")


def test_validation_speaks_of_the_teachers_where_they_labelled(nights_folder: Path) -> None:
    train, held_out = load_split(nights_folder, "intended")
    assert set(np.unique(train.teacher)) == {0.0, 1.0}
    assert 0.0 < held_out.teacher.min() < held_out.teacher.max() < 1.0
