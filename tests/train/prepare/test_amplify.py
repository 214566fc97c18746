"""`amplify`: copies of nights with another gain, on the side of their night, with its labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from eegvlm_train.data.findings import measure_night
from eegvlm_train.data.night_files import labels_path, night_path
from eegvlm_train.data.nightset import list_nights, split_nights
from eegvlm_train.prepare.amplify import amplify_night, main

from ..noise_nights import noise_night


@pytest.fixture
def nights(tmp_path: Path) -> Path:
    folder = tmp_path / "nights"
    folder.mkdir()
    for seed in range(3):
        noise_night(folder, seed)
    return folder


def test_a_copy_is_its_night_times_one_gain_with_the_same_labels(nights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    itself, copy = amplify_night(night_path(nights, 2), out, copies=1, low=1.5, high=2.5)
    with np.load(itself) as one, np.load(copy) as other:
        gain = float(other["gain"])
        assert 1.5 <= gain <= 2.5
        np.testing.assert_allclose(other["x"], np.clip(one["x"] * gain, -32767, 32767), atol=0.51)
        assert (other["intended"] == one["intended"]).all()
    with np.load(labels_path(itself)) as one, np.load(labels_path(copy)) as other:
        assert (one["teacher"] == other["teacher"]).all()


def test_findings_of_a_copy_are_not_those_of_its_night(nights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    itself, copy = amplify_night(night_path(nights, 0), out, copies=1, low=2.0, high=2.0)
    assert itself.with_suffix(".findings.npz").exists()
    assert not copy.with_suffix(".findings.npz").exists()
    with np.load(itself.with_suffix(".findings.npz")) as one, np.load(measure_night(copy)) as other:
        np.testing.assert_allclose(other["amplitude_uv"], 2.0 * one["amplitude_uv"], rtol=0.02)


def test_a_night_and_its_copies_are_on_one_side(nights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main([str(nights), str(out), "--copies", "2", "--workers", "1"]) == 0
    listed = list_nights(out)
    assert len(listed) == 9
    assert [path.name for path in split_nights(listed, "validation")] == [
        "night-00002.npz",
        "night-0000201.npz",
        "night-0000202.npz",
    ]
    assert json.loads((out / "split.json").read_text())["test"] == []


@pytest.mark.parametrize(
    ("options", "name"),
    [(["--copies", "0"], "--copies"), (["--low", "0"], "--low"), (["--low", "3"], "--low")],
)
def test_a_bad_option_is_refused_by_name(nights: Path, tmp_path: Path, options: list[str], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        main([str(nights), str(tmp_path / "out"), *options])
    assert not (tmp_path / "out").exists()
