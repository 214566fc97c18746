"""The cycles of real nights: what is counted, and what is chosen from nights that were staged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from eegvlm_train.cli import main
from eegvlm_train.sleep_edf.cycles import choose, fit_transitions

from eegvlm_rt.calibration.cycles import NREM, REM, WAKE, CycleModel, age_of
from eegvlm_rt.simulator import sample_hypnogram
from tests.rt.tiny_bundle import write_tiny_bundle

W, N1, N2, N3, R = range(5)


def hypnograms(n: int, epochs: int = 400) -> list[np.ndarray]:
    return [sample_hypnogram(np.random.default_rng(seed), epochs) for seed in range(n)]


def test_what_follows_is_counted_by_the_time_since_sleep_onset_and_since_the_last_r() -> None:
    night = np.array([W] * 20 + [N2] * 100 + [R] * 10 + [W] + [N3] * 30)
    found = {name: np.asarray(rows) for name, rows in fit_transitions([night] * 50).items()}
    # 20 epochs of wake, then sleep.
    assert found["before"] == pytest.approx([0.95, 0.05, 0.0], abs=1e-3)
    # R comes after 50 min of sleep and not before.
    assert found["first"][age_of(99), NREM, REM] > 0.03
    assert found["first"][age_of(40), NREM, REM] < 0.001
    # After R one epoch of wake, at age 0, then NREM sleep.
    assert found["later"][0, WAKE, NREM] > 0.9
    assert found["rem"][9, WAKE] > 0.9 > 0.1 > found["rem"][4, WAKE]
    for rows in found.values():
        np.testing.assert_allclose(rows.sum(axis=-1), 1.0, atol=1e-5)


def test_an_unscored_epoch_is_followed_by_nothing() -> None:
    night = np.array([W] * 10 + [N2, -1, R] * 5)
    found = {name: np.asarray(rows) for name, rows in fit_transitions([night]).items()}
    assert found["first"][0, NREM] == pytest.approx([1 / 3] * 3)


def test_the_setting_that_is_chosen_makes_errors_smaller_and_no_early_r() -> None:
    transitions = fit_transitions(hypnograms(20))
    pairs = []
    rng = np.random.default_rng(0)
    for meant in hypnograms(3):
        # One epoch in five is anything, and R is seen in wake and soon after sleep onset.
        seen = np.where(rng.random(len(meant)) < 0.2, rng.integers(0, 5, len(meant)), meant)
        seen[[8, 23]] = R
        given = np.full((len(meant), 5), 0.05)
        given[np.arange(len(meant)), seen] = 0.8
        pairs.append((meant, given))
    grid = {"evidence_rem": (0.5, 1.0), "evidence_wake": (1.0,), "odds_rem": (0.0,), "odds_wake": (0.0,)}
    setting, figures = choose(transitions, pairs, grid)
    assert setting["evidence_rem"] in grid["evidence_rem"]
    assert (figures["without"]["early_share"], figures["with"]["early_share"]) == (1.0, 0.0)
    assert figures["with"]["kappa"] > figures["without"]["kappa"]
    for name in ("rem_latency_min", "waso_min"):
        assert figures["with"][name] < figures["without"][name], name


def test_the_command_writes_a_table_that_the_runtime_reads(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "tiny")
    nights = hypnograms(3, 80)
    np.savez(
        tmp_path / "bandpower.npz",
        features=np.zeros((240, 2, 10), np.float32),
        y=np.concatenate(nights),
        rec=np.repeat(np.arange(3), 80),
        subject=np.repeat(["07", "21", "22"], 80),
        psg=np.array([f"SC4{n}-PSG.edf" for n in range(3)]),
    )
    out = tmp_path / "cycles.json"
    options = ["--bundle", str(tmp_path / "tiny"), "--nights", "1"]
    assert main(["fit-cycles", str(tmp_path), str(out), *options]) == 0
    table = json.loads(out.read_text(encoding="utf-8"))
    assert "2 nights of 2 people" in table["source"]
    assert CycleModel.from_dict(table).probabilities(np.full((9, 5), 0.2)).shape == (9, 5)
