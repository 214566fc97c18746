"""Ablations: what variants share, what is done once, and the table at the end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eegvlm_train.cli import main as run
from eegvlm_train.model import EegVlmForConditionalGeneration
from eegvlm_train.steps.ablate import main, read_plan

TINY = ["--threads", "1", "--minutes", "60", "--set", "batch_size=4", "--set", "workers=1"]
TINY += ["--set", "validation_epochs=2", "--set", "steps=1", "--set", "log_every=1"]


def test_the_shipped_variants_share_their_eyes_where_they_see_alike() -> None:
    plan = read_plan("ablation")
    assert plan.eyes == {
        "both": "both",
        "low-level": "both",
        "high-level": "both",
        "one-row": "one-row",
        "intended-labels": "intended-labels",
        "without-reasons": "both",
    }
    by_name = {one.name: one for one in plan.variants}
    assert by_name["without-reasons"].modes == ("head", "direct")
    assert by_name["without-reasons"].language.cot_weight == 0.0
    assert by_name["one-row"].vision.rows == 1
    assert by_name["intended-labels"].language.labels == "intended"


def test_the_variants_of_patches_differ_in_their_tokens_or_their_alignment() -> None:
    plan = read_plan("ablation-patches")
    shapes = {one.name: one.vision.patch_shape for one in plan.variants}
    assert shapes == {
        "nano": None,
        "broadcast": None,
        "half-row-patches": (28, 24),
        "84-tokens": (56, 24),
        "6-tokens": (56, 336),
    }
    assert plan.eyes["broadcast"] == "nano"
    assert [one.name for one in plan.variants if one.language.alignment == "broadcast"] == ["broadcast"]


def test_an_unknown_part_of_a_variant_is_named(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("vision: {}\nlanguage: {}\nvariants: {a: {speech: 1}}\n")
    with pytest.raises(ValueError, match=r"variants\.a: \['speech'\]"):
        read_plan(str(recipe))


def test_variants_are_trained_once_and_land_in_one_table(
    nights_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, out = tmp_path / "mine.yaml", tmp_path / "out"
    recipe.write_text(
        "limit: 2\nvision: {}\nlanguage: {}\nvariants:\n  both:\n"
        "  high: {language: {visual_tokens: high}, modes: [head, direct]}\n"
        "  intended: {vision: {labels: intended, rows: 1}, language: {labels: intended}, modes: [direct]}\n"
    )
    arguments = [str(nights_folder), str(out), "--recipe", str(recipe), *TINY]
    assert main(arguments) == 0
    result = json.loads((out / "ablation.json").read_text())
    assert set(result["variants"]) == {"both", "high", "intended"}
    both = result["variants"]["both"]
    assert set(both["sim"]) == {"head", "direct", "cot", "claims"}
    assert both["language"]["pictures"] == both["vision"]["pictures"] == 4
    assert set(result["variants"]["intended"]["sim"]) == {"direct"}
    assert sorted(path.name for path in out.glob("vision-*")) == ["vision-both", "vision-intended"]
    model = EegVlmForConditionalGeneration.from_pretrained(out / "high")
    assert model.config.num_visual_tokens == model.config.high_level_steps
    rows = EegVlmForConditionalGeneration.from_pretrained(out / "intended").config.render
    assert rows is not None
    assert rows["rows"] == 1
    assert "| `both` |" in capsys.readouterr().out
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    assert run(["ablate", *arguments]) == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")} == before
