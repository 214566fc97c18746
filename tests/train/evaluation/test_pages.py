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


def night(mode: str, kappa: float, ece: float, memory: bool = True, data: str = "real") -> dict[str, Any]:
    whole = {"n": 240, "accuracy": 0.956, "kappa": kappa, "macro_f1": 0.6, "ece": ece}
    row = {"data": data, "mode": mode, "gain": 1.0, "memory": memory, "all": whole}
    return row | (
        {"supported": 0.952, "claims": {"supported": 952, "contradicted": 48}} if mode == "cot" else {}
    )


def figures() -> dict[str, Any]:
    nights = [night("head", 0.65, 0.04), night("direct", 0.67, 0.05), night("cot", 0.66, 0.06)]
    return {
        "real": {"faithfulness": {"supported": 0.951, "claims": 2200}},
        "sim": {"faithfulness": {"supported": 0.97, "claims": 900}, "n": 1800},
        "nights": [*nights, night("head", 0.5, 0.1, memory=False), night("head", 0.0, 0.07, data="wake")],
    }


def test_goals_are_held_against_the_night_with_its_memory() -> None:
    filled = fill(GOALS, figures())
    assert ">= 0.64 | >= 0.70 | 0.650 / 0.670 / 0.660 | 240 |" in filled
    assert "| κ lost from `direct` to `cot` | <= 0.01 | 0 | 0.010 | 240 |" in filled
    assert "<= 0.05 | <= 0.03 | 0.040 / 0.050 / 0.060 | 240 |" in filled
    assert "| 25 h of daytime wake called W, `head` | >= 95 % | >= 98 % | 95.6 % | 240 |" in filled
    assert "| claims supported, DREAMS 1-4 as nights | >= 95 % | >= 98 % | 95.2 % | 1000 |" in filled
    assert "| claims supported, real, one epoch | >= 95 % | >= 98 % | 95.1 % | 2200 |" in filled


def test_nights_are_shown_with_their_memory_and_without() -> None:
    filled = fill("<!-- table: nights -->\n<!-- end -->\n", figures())
    assert "| DREAMS 1-4, `cot` | yes | 240 | 0.956 | 0.660 | 0.600 | 0.060 | 95.2 % |" in filled
    assert "| DREAMS 1-4, `head` | no | 240 | 0.956 | 0.500 | 0.600 | 0.100 | - |" in filled
    assert "| daytime wake, `head` | yes | 240 | 0.956 | - | - | 0.070 | - |" in filled


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
    assert main([*arguments, "--runs", str(run), "--overwrite"]) == 0
    assert "0.650 / 0.670 / 0.660" in document.read_text(encoding="utf-8")
    assert (images / "learning.png").stat().st_size > 1000
