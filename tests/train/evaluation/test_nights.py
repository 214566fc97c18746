"""Whole nights of a bundle: with the memory, with an offline step after it, and alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eegvlm_train.cli import main

from tests.rt.tiny_bundle import write_tiny_bundle


def test_the_offline_step_is_scored_between_the_memory_and_the_epoch_alone(
    tmp_path: Path, nights_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tiny_bundle(tmp_path / "tiny")
    out = tmp_path / "figures.json"
    arguments = [str(tmp_path / "tiny"), "--data", f"sim:{nights_folder}", "--smooth", "cycles"]
    assert main(["evaluate-nights", *arguments, "--out", str(out)]) == 0
    rows = json.loads(out.read_text(encoding="utf-8"))
    assert [(row["memory"], row["smooth"]) for row in rows] == [
        (True, None),
        (True, "cycles"),
        (False, None),
    ]
    assert len({row["all"]["n"] for row in rows}) == 1
    assert capsys.readouterr().out.count("kappa") == 3
