"""Tables and curves of the documentation: made from figures, wrong or missing figures leave them alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from eegvlm_train.cli import main
from eegvlm_train.evaluation.markdown import fill
from eegvlm_train.evaluation.plots import plot_learning

GOALS = "<!-- table: goals -->\nold\n<!-- end -->\n"


def mode(kappa: float, smoothed: float, ece: float) -> dict[str, Any]:
    return {
        "rows": {"dreams": {"kappa": kappa, "n": 240}},
        "smoothed": {"causal": {"rows": {"dreams": {"kappa": smoothed}}}},
        "calibration": {"ece": ece},
    }


def figures() -> dict[str, Any]:
    modes = {"head": mode(0.6, 0.7, 0.03), "direct": mode(0.53, 0.58, 0.031), "cot": mode(0.51, 0.6, 0.04)}
    return {
        "real": {"modes": modes, "faithfulness": {"supported": 0.951, "claims": 2200}},
        "sim": {"modes": modes, "faithfulness": {"supported": 0.97, "claims": 900}, "n": 1800},
    }


def test_goals_are_held_against_the_better_answer_of_the_language_model() -> None:
    filled = fill(GOALS, figures())
    assert "| one epoch, DREAMS 1-4, κ | >= 0.42 | >= 0.50 | 0.530 (`direct`) | 240 |" in filled
    assert "| with the causal smoother | >= 0.48 | >= 0.56 | 0.600 (`cot`) | 240 |" in filled
    assert "| κ lost from `direct` to `cot`, DREAMS | <= 0.02 | 0 | 0.020 | 240 |" in filled
    assert "| claims supported, real | >= 95 % | >= 98 % | 95.1 % | 2200 |" in filled
    assert "| ECE of `cot`, simulated | <= 0.05 | <= 0.02 | 0.040 | 1800 |" in filled


def test_a_table_without_its_figures_stays() -> None:
    assert fill(GOALS, {"real": figures()["real"]}) == GOALS


def test_ablations_name_what_each_variant_saw_and_reached() -> None:
    row = {
        "vision": {"pictures": 400_000},
        "language": {"pictures": 100_000},
        "sim": {"head": {"kappa": 0.7}, "direct": {"kappa": 0.71}},
        "real": {"head": {"kappa": 0.5}, "cot": {"kappa": 0.4}, "claims": {"supported": 0.95}},
    }
    filled = fill("<!-- table: ablation -->\n<!-- end -->\n", {"ablation": {"variants": {"one-row": row}}})
    assert "| `one-row` | 500 k | 0.700 | 0.710 | - | - | 0.500 | - | 0.400 | 0.950 |" in filled


def test_claims_by_kind_stand_beside_their_number() -> None:
    faith = {"by_kind": {"k_complexes": [0.85, 0.717, 254]}}
    text = "<!-- table: claim-kinds -->\n<!-- end -->\n"
    filled = fill(text, {"real": {"faithfulness": faith}, "sim": {"faithfulness": {"by_kind": {}}}})
    assert "| k complexes | 0.850 | 0.717 | 254 | - | - | 0 |" in filled


def test_realism_gives_the_distance_and_both_medians() -> None:
    feature = {"simulated": [1.0, 2.0, 3.0], "real": [1.5, 2.5, 3.5], "distance": 0.31}
    report = {"stages": {"N2": {"n": [600, 138], "features": {"slow_wave_share": feature}}}}
    filled = fill("<!-- table: realism -->\n<!-- end -->\n", {"realism": report})
    assert "N2, n = 600 / 138" in filled
    assert "| slow wave share | 0.31 (2.00, 2.50) |" in filled


def write_log(run: Path, lines: list[dict[str, Any]]) -> Path:
    run.mkdir()
    (run / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return run


def test_learning_curves_are_drawn_and_a_run_that_never_trained_is_named(tmp_path: Path) -> None:
    trained = write_log(
        tmp_path / "language",
        [
            {"kind": "train", "step": 20, "loss": 3.0},
            {"kind": "validation", "step": 20, "direct_kappa": 0.5},
            {"kind": "train", "step": 40, "loss": 2.0},
        ],
    )
    plot_learning([trained], tmp_path / "learning.png")
    assert (tmp_path / "learning.png").stat().st_size > 1000
    idle = write_log(tmp_path / "idle", [{"kind": "validation", "step": 0}])
    with pytest.raises(ValueError, match="idle"):
        plot_learning([idle], tmp_path / "idle.png")


def test_figures_that_are_there_fill_a_document_and_curves_go_to_its_images(tmp_path: Path) -> None:
    out, images, document = tmp_path / "figures", tmp_path / "images", tmp_path / "model.md"
    out.mkdir()
    for name, one in figures().items():
        (out / f"{name}.json").write_text(json.dumps(one), encoding="utf-8")
    document.write_text("# Model\n\n" + GOALS, encoding="utf-8")
    run = write_log(tmp_path / "vision", [{"kind": "train", "step": 1, "loss": 1.0}])
    arguments = ["report", "any", "--out", str(out), "--docs", str(document), "--images", str(images)]
    assert main([*arguments, "--runs", str(run)]) == 0
    assert "0.600 (`cot`)" in document.read_text(encoding="utf-8")
    assert (images / "learning.png").stat().st_size > 1000
