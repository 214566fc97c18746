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

from eegvlm_rt.errors import OutputError

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
    assert main([str(nights), str(out), "--copies", "2", "--workers", "2"]) == 0
    listed = list_nights(out)
    assert len(listed) == 9
    assert [path.name for path in split_nights(listed, "validation")] == [
        "night-00002.npz",
        "night-0000201.npz",
        "night-0000202.npz",
    ]
    assert json.loads((out / "split.json").read_text())["test"] == []


def test_what_a_killed_run_left_is_completed(nights: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    options = ["--copies", "2", "--workers", "1"]
    main([str(nights), str(whole), *options])
    main([str(nights), str(out), *options])
    for name in ("night-0000101.npz", "night-00002.npz", "night-0000201.labels.npz", "split.json"):
        (out / name).unlink()
    main([str(nights), str(out), *options])
    assert {path.name for path in out.iterdir()} == {path.name for path in whole.iterdir()}
    with np.load(out / "night-0000101.npz") as one, np.load(whole / "night-0000101.npz") as other:
        assert one["gain"] == other["gain"]


def test_findings_of_an_older_copy_go(nights: Path, tmp_path: Path) -> None:
    main([str(nights), str(tmp_path / "out"), "--workers", "1"])
    measure_night(tmp_path / "out" / "night-0000101.npz")
    main([str(nights), str(tmp_path / "out"), "--workers", "1", "--low", "1.5"])
    assert not (tmp_path / "out" / "night-0000101.findings.npz").exists()


def test_copies_of_another_run_would_be_on_no_side(nights: Path, tmp_path: Path) -> None:
    """Copies that no list names would be trained on, those of validation nights too."""
    main([str(nights), str(tmp_path / "out"), "--copies", "2", "--workers", "1"])
    with pytest.raises(ValueError, match=r"night-0000002\.labels.*of another run; name an empty"):
        main([str(nights), str(tmp_path / "out"), "--copies", "1", "--workers", "1"])


def test_copies_are_not_copied_again(nights: Path, tmp_path: Path) -> None:
    """The copy of a night would replace that copy of the older run, and its labels by their second name."""
    main([str(nights), str(tmp_path / "out"), "--workers", "1"])
    with pytest.raises(ValueError, match=r"night-0000001\.npz is the name of a copy too"):
        main([str(tmp_path / "out"), str(tmp_path / "again"), "--workers", "1"])
    assert not (tmp_path / "again").exists()


def test_the_folder_of_the_nights_is_not_written_to(nights: Path) -> None:
    before = sorted(nights.iterdir())
    with pytest.raises(OutputError, match="input"):
        main([str(nights), str(nights / "." / ".." / "nights")])
    assert sorted(nights.iterdir()) == before


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--copies", "0"], "--copies"),
        (["--low", "0"], "--low"),
        (["--low", "3"], "--low"),
        (["--high", "inf"], "--high"),
    ],
)
def test_a_bad_option_is_refused_by_name(nights: Path, tmp_path: Path, options: list[str], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        main([str(nights), str(tmp_path / "out"), *options])
    assert not (tmp_path / "out").exists()
