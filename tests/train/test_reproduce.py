"""One command from a dataset to the figures of a model trained on it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eegvlm_train.cli import main

from tests.train.prepare.test_prepare import sleep_edf_layout

TINY = ("steps=2", "batch_size=4", "workers=1", "validation_epochs=4", "warmup_steps=1")


def test_a_dataset_is_prepared_trained_on_and_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sleep_edf_layout(tmp_path / "data")
    settings = [argument for pair in TINY for argument in ("--set", pair)]
    command = ["reproduce", "sleep-edf", str(tmp_path / "data"), str(tmp_path / "out"), "--no-gpu", *settings]
    assert main([*command, "--fold", "1/3", "--mode", "head", "direct"]) == 0
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert figures["n"] == 12
    assert set(figures["modes"]) == {"head", "direct"}
    capsys.readouterr()
    assert main([*command, "--fold", "1/3", "--mode", "head"]) == 0
    told = capsys.readouterr().out
    for step in ("prepare", "train-enhancement", "train-tower", "train-language"):
        assert f"{step}: done before" in told


def test_a_dataset_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "bids", str(tmp_path), str(tmp_path / "out")]) == 2
    assert "_eeg.edf" in capsys.readouterr().err
