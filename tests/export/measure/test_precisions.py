"""The benchmark of precisions: every figure is there, and ratios are of what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.precisions import MODELS, TOWERS, main


@pytest.mark.usefixtures("traced_once", "short_simulated_nights")
def test_every_precision_is_compared_sized_and_timed(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    options = ["--epochs", "3", "--reasonings", "1", "--rounds", "2", "--threads", "1", "--json", str(out)]
    assert main([str(checkpoint), *options]) == 0
    results = json.loads(out.read_text())
    rows = {(row["part"], row["precision"]): row for row in results["rows"]}
    assert list(rows) == [*(("tower", name) for name in TOWERS), *(("llm", name) for name in MODELS)]
    for (part, name), row in rows.items():
        reference = rows[part, "fp32" if part == "tower" else "fp32_fused"]
        assert row["size_ratio"] == row["bytes"] / reference["bytes"]
        assert 0 <= row["direct"] <= 1
        for kind in ("tower",) if part == "tower" else ("llm_picture", "llm_token"):
            assert row[f"{kind}_ms"]["n"] == 2
            assert row[f"{kind}_ratio"] == row[f"{kind}_ms"]["p50"] / reference[f"{kind}_ms"]["p50"]
        assert ("cot" in row) == (name == "int4_fused")
    assert rows["tower", "fp32"]["head"] == 1.0
    assert results["environment"]["threads"] == 1
    shown = capsys.readouterr().out
    assert "int4_fused" in shown
    assert "3 epochs, 1 with reasoning" in shown


def test_a_checkpoint_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none")]) == 2
    assert "none" in capsys.readouterr().err
