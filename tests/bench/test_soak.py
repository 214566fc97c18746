"""The soak benchmark: every night is accounted for. How fast or small anything is, is not asked here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from benchmarks.soak import main
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path


def test_every_night_has_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny")
    path = tmp_path / "soak.json"
    arguments = ["--bundle", str(bundle.path), "--nights", "2", "--hours", "0.2", "--json", str(path)]
    assert main(arguments) == 0
    results = json.loads(path.read_text(encoding="utf-8"))
    assert results["bundle"]["digest"] == bundle.digest
    assert len(results["nights"]) == 2
    for night in results["nights"]:
        assert night["epochs"] == sum(night["outcomes"].values()) == night["answer_ms"]["n"] == 24
        assert night["real_time_factor"] > 0
        assert night["handles"] > 0
        assert night["journal_bytes"] > 24 * 500
    assert results["peak_mib"] >= results["loaded_mib"] > 0
    assert len(results["goals"]) == 2
    printed = " ".join(capsys.readouterr().out.split())
    assert "growth after the first night" in printed
    assert printed.count("kept") + printed.count("missed") == 2


def test_a_bundle_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--bundle", "/nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--nights", "0"], ["--hours", "99"], ["--chunk", "0"]])
def test_senseless_numbers_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
