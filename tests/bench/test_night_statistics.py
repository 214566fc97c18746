"""The benchmark of a night's statistics: errors are those of known hypnograms; no figure is asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.night_statistics import main, summary
from eegvlm_rt.stages import Stage
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

W, N2, R = Stage.W, Stage.N2, Stage.R


def test_errors_are_in_minutes_and_one_stray_epoch_is_an_early_r() -> None:
    meant = [W] * 20 + [N2] * 200 + [R] * 20
    given = [W] * 10 + [N2] + [W] * 13 + [R] + [N2] * 195 + [R] * 20
    found = summary([(meant, given), (meant, meant)])
    assert (found["nights"], found["early_r"], found["early_r_by_period"]) == (2, 1, 0)
    # Onset: epoch 10 instead of 20, 5 min; of three in a row: epoch 24, 2 min.
    assert found["errors"]["onset_latency_min"]["largest"] == 5.0
    assert found["errors"]["onset_latency_3_epochs_min"]["largest"] == 2.0
    # R: 100 min after onset were meant, 7 min were given.
    assert found["errors"]["rem_latency_min"]["median"] == 93.0 / 2
    nothing = summary([(meant, [W] * 240)])
    assert nothing["errors"]["rem_latency_min"]["one_side_only"] == 1


def test_both_sources_of_nights_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny_bundle(tmp_path / "tiny")
    rng = np.random.default_rng(0)
    hypnogram = np.repeat(rng.integers(0, 2, 6), 20).astype(np.int8)
    np.savez(tmp_path / "real.npz", night=hypnogram, note=np.array("text"))
    arguments = ["--bundle", str(tmp_path / "tiny"), "--nights", "1", "--hours", "0.2"]
    more = ["--hypnograms", str(tmp_path / "real.npz"), "--json", str(tmp_path / "found.json")]
    assert main([*arguments, *more]) == 0
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert found["simulated"]["alone"]["nights"] == found["real"]["memory"]["nights"] == 1
    assert "early R" in capsys.readouterr().out
