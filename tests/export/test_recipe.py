"""Recipes are read strictly."""

from __future__ import annotations

from pathlib import Path

import pytest
from eegvlm_export.gates import Gate
from eegvlm_export.recipe import Recipe, load_recipe


@pytest.mark.parametrize("name", ["nano", "edge", "paper", "jetson"])
def test_shipped_recipes_bound_the_agreement_of_head_and_language_model(name: str) -> None:
    assert {"agreement.head", "agreement.direct"} <= {gate.figure for gate in load_recipe(name).gates}


def test_the_recipe_of_the_wheel_bounds_the_reasoning_and_the_size() -> None:
    recipe = load_recipe("nano")
    bounded = {gate.figure for gate in recipe.gates}
    assert {"agreement.cot", "bytes.total"} <= bounded
    assert recipe.reasoning_epochs > 0


def test_a_file_gives_fields_and_gates(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("llm: int8\nllm_variants: [int4]\ngates:\n  agreement.head: {at_least: 0.9}\n")
    recipe = load_recipe(path)
    assert recipe.llm_precisions == ("int8", "int4")
    assert recipe.gates == (Gate("agreement.head", 0.9),)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("tower: int4", "tower"),
        ("llm: fp8", "llm"),
        ("llm: int4\nllm_variants: [int4]", "llm"),
        ("head: int4", "head"),
        ("block_size: 48", "block_size"),
        ("method: best", "method"),
        ("method: hqq", "int4_fused"),
        ("reference: fp8", "reference"),
        ("parity_epochs: 0", "parity_epochs"),
        ("parity_epochs: 5\nreasoning_epochs: 6", "reasoning_epochs"),
        ("calibration_epochs: 0", "calibration_epochs"),
        ("precisions: int4", "precisions"),
        ("- tower", "mapping"),
    ],
)
def test_a_field_that_makes_no_sense_is_named(text: str, word: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=word):
        load_recipe(path)


def test_an_unknown_recipe_lists_those_there_are() -> None:
    with pytest.raises(FileNotFoundError, match="nano"):
        load_recipe("nanoo")


def test_a_default_precision_can_be_changed() -> None:
    recipe = Recipe(tower="fp16", tower_variants=("int8",))
    assert recipe.with_precision("tower", "int8").tower_precisions == ("int8",)
    assert recipe.with_precision("llm", "fp32").llm == "fp32"
    with pytest.raises(ValueError, match="tower=PRECISION"):
        recipe.with_precision("embed", "fp32")
