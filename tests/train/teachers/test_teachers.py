"""Teachers' labels are merged without loss; GSSC's input is what GSSC was trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from eegvlm_train.data.night_files import labels_path, night_path, save_npz
from eegvlm_train.prepare.simulate import write_night
from eegvlm_train.teachers.gssc import prepare
from eegvlm_train.teachers.label import consensus, main


def one_hot(column: int, n: int = 4) -> np.ndarray:
    return np.eye(5, dtype=np.float16)[np.full(n, column)]


def test_consensus_is_the_mean_and_sums_to_one() -> None:
    mean = consensus({"a": one_hot(0), "b": one_hot(2), "c": one_hot(2)})
    np.testing.assert_allclose(mean[0], [1 / 3, 0, 2 / 3, 0, 0], atol=1e-3)


def test_prepare_gives_z_scored_epochs_of_2560_samples() -> None:
    x = np.random.default_rng(0).normal(30.0, 12.0, 100 * 95).astype(np.float32)
    epochs = prepare(x, 100.0)
    assert epochs.shape == (3, 2560)
    assert abs(float(epochs.mean())) < 0.05
    assert 0.8 < float(epochs.std()) < 1.1


def test_teachers_that_know_the_night_count_twice() -> None:
    mean = consensus({"gssc_epoch": one_hot(0), "gssc_context": one_hot(1), "yasa": one_hot(2)})
    np.testing.assert_allclose(mean[0], [0.2, 0.4, 0.4, 0, 0], atol=1e-3)


@pytest.mark.parametrize("sfreq", [50.0, 100.0, 256.0])
def test_gssc_is_fed_a_flat_band_from_its_corner_to_30_hz(sfreq: float) -> None:
    t = np.arange(round(sfreq * 600)) / sfreq
    for hz in (1.0, 22.0, 29.0):
        if hz < sfreq / 2:
            both = prepare(
                (np.sin(2 * np.pi * hz * t) + np.sin(2 * np.pi * 5.0 * t)).astype(np.float32), sfreq
            )
            power = np.abs(np.fft.rfft(both[5])) ** 2
            assert power[round(hz * 30)] / power[150] == pytest.approx(1.0, abs=0.1)


def test_merge_keeps_both_sources_and_renews_the_mean(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    target = labels_path(night_path(here, 1))
    save_npz(target, yasa=one_hot(1), teacher=one_hot(1))
    save_npz(labels_path(night_path(there, 1)), gssc_epoch=one_hot(3), teacher=one_hot(3))
    assert main([str(here), "--merge", str(there)]) == 0
    with np.load(target) as file:
        assert set(file.files) == {"yasa", "gssc_epoch", "teacher"}
        np.testing.assert_allclose(file["teacher"][0], [0, 2 / 3, 0, 1 / 3, 0], atol=1e-3)


def test_a_written_night_is_conditioned_and_left_alone_the_second_time(tmp_path: Path) -> None:
    path = write_night(11, tmp_path, hours=0.1)
    stamp = path.stat().st_mtime_ns
    with np.load(path) as file:
        assert file["x"].shape == (12, 3000)
        assert file["x"].dtype == np.int16
        assert len(file["raw"]) == round(12 * 30 * float(file["sfreq"]))
        assert abs(float(file["x"].mean()) * float(file["uv_per_lsb"])) < 5.0
    assert write_night(11, tmp_path, hours=0.1).stat().st_mtime_ns == stamp
