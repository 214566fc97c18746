"""The benchmark of a night's statistics: errors are those of known hypnograms; no figure is asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks._night_shares import fit_shares, interval_score
from benchmarks.night_statistics import coverage, figures_of, main, summary, within
from eegvlm_rt.hypnogram import Hypnogram, Interval
from eegvlm_rt.stages import Stage
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path

W, N2, R = Stage.W, Stage.N2, Stage.R


def test_errors_are_in_minutes_and_one_stray_epoch_is_an_early_r() -> None:
    meant = [W] * 20 + [N2] * 200 + [R] * 20
    given = [W] * 10 + [N2] + [W] * 13 + [R] + [N2] * 195 + [R] * 20
    found = summary([(meant, given, figures_of(given)), (meant, meant, figures_of(meant))])
    assert (found["nights"], found["early_r"], found["early_r_by_period"]) == (2, 1, 0)
    # Onset: epoch 10 instead of 20, 5 min; of three in a row: epoch 24, 2 min.
    assert found["errors"]["onset_latency_min"]["largest"] == 5.0
    assert found["errors"]["onset_latency_3_epochs_min"]["largest"] == 2.0
    # R: 100 min after onset were meant, 7 min were given.
    assert found["errors"]["rem_latency_min"]["median"] == 93.0 / 2
    nothing = summary([(meant, [W] * 240, figures_of([W] * 240))])
    assert nothing["errors"]["rem_latency_min"]["one_side_only"] == 1


def test_the_error_of_an_interval_is_that_of_its_estimate_and_it_covers_the_truth_or_not() -> None:
    meant = [W] * 20 + [N2] * 200 + [R] * 20
    true = figures_of(meant)
    # R begins 100 min after sleep onset.
    near = {**true, "rem_latency_min": interval(90.0, 96.0, 110.0)}
    beside = {**true, "rem_latency_min": interval(None, None, None)}
    errors = summary([(meant, meant, near), (meant, meant, beside)])["errors"]["rem_latency_min"]
    assert (errors["median"], errors["one_side_only"], errors["covered"]) == (4.0, 1, 0.5)


def test_each_figure_with_an_interval_has_its_coverage_and_its_median_width() -> None:
    meant = [W] * 20 + [N2] * 200 + [R] * 20
    nights = [{"R_min": interval(low, 9.0, high)} for low, high in ((5.0, 15.0), (8.0, 9.0), (9.0, None))]
    assert coverage([(meant, meant, one) for one in nights]) == {"R_min": {"covered": 2 / 3, "width": 10.0}}
    # Most have no upper end.
    assert coverage([(meant, meant, nights[2])])["R_min"]["width"] is None
    assert coverage([(meant, meant, figures_of(meant))]) == {}


def test_the_interval_score_is_the_width_and_twenty_times_what_is_missed() -> None:
    draws = np.linspace(0.0, 100.0, 1001)
    assert interval_score(draws, 50.0) == pytest.approx(90.0)
    assert interval_score(draws, 96.0) == pytest.approx(90.0 + 20.0)
    assert interval_score(draws, 3.0) == pytest.approx(90.0 + 40.0)


def test_nights_that_err_all_night_get_a_share_and_nights_that_do_not_get_none() -> None:
    doubt = (0.5, 0.0, 0.5, 0.0, 0.0)
    night = Hypnogram((W,) * 400, None, (doubt,) * 400)
    together: list[list[Stage | None]] = [[W] * 400, [N2] * 400, [W] * 360 + [N2] * 40, [N2] * 400]
    apart: list[list[Stage | None]] = [[W, N2] * 200, [N2, W] * 200]
    fitted, none = (
        fit_shares([(meant, (night,)) for meant in nights], grid=(0.0, 0.5, 0.95), draws=100, rounds=1)
        for nights in (together, apart)
    )
    assert min(fitted[W], fitted[N2]) > 0.0
    assert none[W] == none[N2] == 0.0


def test_an_absent_figure_is_longer_than_every_other() -> None:
    assert within(None, interval(90.0, 120.0, None))
    assert not within(None, interval(90.0, 96.0, 110.0))
    assert not within(80.0, interval(90.0, 120.0, None))


def interval(low: float | None, estimate: float | None, high: float | None) -> Interval:
    return Interval(estimate=estimate, low=low, high=high, absent_share=0.0)


def test_both_sources_of_nights_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny_bundle(tmp_path / "tiny")
    rng = np.random.default_rng(0)
    hypnogram = np.repeat(rng.integers(0, 2, 6), 20).astype(np.int8)
    np.savez(tmp_path / "real.npz", night=hypnogram, note=np.array("text"))
    arguments = ["--bundle", str(tmp_path / "tiny"), "--nights", "1", "--hours", "0.2"]
    more = ["--fit-shares", "--hypnograms", str(tmp_path / "real.npz")]
    more += ["--json", str(tmp_path / "found.json")]
    assert main([*arguments, *more]) == 0
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert found["simulated"]["alone"]["nights"] == found["real"]["memory"]["nights"] == 1
    assert set(found["simulated"]["estimate"]["intervals"]) >= {"sleep_min", "efficiency_pct", "N3_min"}
    assert len(found["night_shares"]) == 5
    assert "early R" in capsys.readouterr().out
