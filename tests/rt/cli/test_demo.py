"""eegvlm-rt demo: a simulated night as an EDF file, staged from that file, compared with the simulation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from eegvlm_rt.hypnogram import from_csv, read_edf
from eegvlm_rt.sources import read_channel
from tests.rt.cli.cli_runs import cli

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("onnx")
from tests.rt.tiny_bundle import write_tiny_bundle

EPOCHS = 12


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_tiny_bundle(folder / "nano")
    return folder


@pytest.fixture
def demo(capsys, monkeypatch, models, tmp_path):
    """Run a demo of six minutes: (stdout, folder)."""
    monkeypatch.setenv("EEGVLM_RT_MODELS", str(models))
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*argv: object, name: str = "night") -> tuple[str, Path]:
        status, out, err = cli(capsys, "demo", "--hours", "0.1", "--out", tmp_path / name, *argv)
        assert (status, err) == (0, "")
        return out, tmp_path / name

    return run


def test_the_simulated_night_is_a_real_edf_file_with_its_stages(demo):
    _, folder = demo()
    assert read_channel(folder / "recording.edf").duration_s == 30 * EPOCHS
    assert len(read_edf(folder / "recording.edf")) == EPOCHS


def test_the_staged_night_is_written_beside_it(demo):
    out, folder = demo()
    staged = read_edf(folder / "hypnogram.edf")
    assert len(staged) == EPOCHS
    assert from_csv(folder / "hypnogram.csv").stages == staged.stages
    assert staged.start == read_channel(folder / "recording.edf").start
    assert "predictions.json" in out


def test_a_picture_is_drawn(demo):
    pytest.importorskip("matplotlib")
    _, folder = demo()
    assert (folder / "hypnogram.png").read_bytes().startswith(b"\x89PNG")


def test_agreement_is_with_a_simulation_and_says_so(demo):
    out, folder = demo()
    assert "Agreement  accuracy" in out
    assert "stages a simulator intended" in " ".join(out.split())
    assert "nothing about accuracy" in " ".join(out.split())
    found = json.loads((folder / "predictions.json").read_text())["agreement"]
    truth, staged = read_edf(folder / "recording.edf"), read_edf(folder / "hypnogram.edf")
    same = sum(a is b for a, b in zip(truth.stages, staged.stages, strict=True))
    assert found["accuracy"] == pytest.approx(same / EPOCHS)


def test_few_reasons_are_given_unless_all_are_asked_for(demo):
    few, _ = demo()
    everything, _ = demo("--reasons", "all")
    assert 1 <= few.count("Background:") < EPOCHS
    assert everything.count("Background:") == EPOCHS


def test_the_same_seed_gives_the_same_night_and_another_another(demo):
    one, two, other = (
        demo("--seed", seed, name=f"n{i}")[1] / "recording.edf" for i, seed in enumerate((3, 3, 4))
    )
    assert one.read_bytes() == two.read_bytes()
    assert one.read_bytes() != other.read_bytes()


@pytest.mark.parametrize("hours", ["0", "-1", "25", "nan", "long"])
def test_a_night_has_a_sensible_length(capsys, hours):
    status, _, err = cli(capsys, "demo", "--hours", hours)
    assert status == 2
    assert "give hours from 0.1 to 24" in err


def test_a_recording_that_cannot_be_written_is_one_message(capsys, tmp_path):
    (tmp_path / "recording.edf").mkdir()
    status, _, err = cli(capsys, "demo", "--hours", "0.1", "--out", tmp_path)
    assert status == 2
    assert err == f"eegvlm-rt: path: {tmp_path / 'recording.edf'}; this is a folder; name a file to write\n"
