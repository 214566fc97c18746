"""What follows the model is fitted on simulated nights, written as numbers, and used by the evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from eegvlm_train.cli import main
from eegvlm_train.evaluation.calibrate import calibrate, night_smoother
from eegvlm_train.evaluation.epoch_sets import EvaluationSet
from eegvlm_train.evaluation.evaluate import evaluate
from eegvlm_train.evaluation.figures import print_figures
from eegvlm_train.evaluation.plots import plot_figures
from eegvlm_train.evaluation.recordings import load_recordings
from eegvlm_train.sleep_edf.comparison import distance

from eegvlm_rt.calibration import Scoring
from eegvlm_rt.prompt import Mode
from tests.train.evaluation.test_evaluation_parts import ByAmplitude


def test_the_smoother_has_the_transitions_of_real_nights() -> None:
    smoother = night_smoother(np.full(5, 0.2))
    rows = np.array(smoother.transitions)
    assert rows.shape == (5, 5)
    assert np.allclose(rows.sum(axis=1), 1.0, atol=1e-3)
    assert (np.diag(rows) > 0.6).all()
    assert rows[3, 4] < 0.01


def test_calibration_and_evaluation_go_together(
    nights_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recordings = load_recordings(f"sim:{nights_folder}", "all")
    data = EvaluationSet.of(recordings)
    scoring, figures = calibrate(ByAmplitude(), data, [Mode.HEAD, Mode.COT], cot_limit=12, faults_each=20)
    assert Scoring.from_dict(json.loads(json.dumps(scoring.to_dict()))) == scoring
    assert set(scoring.temperature) == {Mode.HEAD, Mode.COT}
    assert figures["modes"]["head"]["n"] == len(data)
    result = {"data": "sim"} | evaluate(
        ByAmplitude(scoring), recordings, data, [Mode.HEAD, Mode.COT], free=0, smooth=True
    )
    assert set(result["modes"]["head"]["smoothed"]) == {"causal", "viterbi", "cycles"}
    assert result["outliers"]["n"] == len(data)
    by_kind = result["faithfulness"]["by_kind"]
    assert {kind for kind, (supported, *_) in by_kind.items() if supported < 1.0} <= {"argument"}
    json.dumps(result, allow_nan=False)
    print_figures(result)
    assert "smoothed, causal" in capsys.readouterr().out
    assert {path.name for path in plot_figures(result, tmp_path)} == {"sim-head.png", "sim-cot.png"}


def test_smoothing_without_a_smoother_says_what_to_run(nights_folder: Path) -> None:
    recordings = load_recordings(f"sim:{nights_folder}")
    with pytest.raises(ValueError, match="eegvlm_train calibrate"):
        evaluate(ByAmplitude(), recordings, EvaluationSet.of(recordings), [Mode.HEAD], smooth=True)


def test_real_recordings_never_calibrate_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", str(tmp_path), "--data", f"real:{tmp_path}"]) == 2
    assert "calibrate on simulated nights" in capsys.readouterr().err


def test_the_distance_of_two_distributions() -> None:
    low, high = np.arange(10.0), np.arange(10.0) + 100.0
    assert distance(low, high) == 1.0
    assert distance(low, low) == 0.0


def test_realism_compares_two_folders_of_recordings(
    nights_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real = f"prepared:{nights_folder}"
    run = ["realism", "--sim", str(nights_folder), "--real", real, "--out", str(tmp_path)]
    assert main(run) == 0
    assert "KS distance" in capsys.readouterr().out
    report = json.loads((tmp_path / "realism.json").read_text(encoding="utf-8"))
    assert report["stages"]
    assert (tmp_path / "realism-spectra.png").stat().st_size > 0
