"""Recipes and overrides; the learning rate over a run."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import eegvlm_train
import pytest
import torch
from eegvlm_train.settings import LanguageSettings, RunSettings, VisionSettings, load_settings
from eegvlm_train.steps.loop import Averaged, Ending, parameter_groups, progress_of, rate_at, trained_state
from torch import nn

RECIPES = sorted(path.stem for path in Path(eegvlm_train.__file__).parent.joinpath("recipes").glob("*.yaml"))


@pytest.mark.parametrize("name", [name for name in RECIPES if not name.startswith("ablation")])
def test_shipped_recipes_are_named_after_their_preset_and_step(name: str) -> None:
    preset, step, *more = name.split("-")
    settings = load_settings(LanguageSettings if step == "language" else VisionSettings, name, {})
    assert settings.preset == preset
    if isinstance(settings, LanguageSettings):
        kinds = {"lora", "qlora"} & {*more} or {"lora" if preset == "small" else "full"}
        assert kinds == {settings.tuning}


def test_a_patch_has_two_sides() -> None:
    with pytest.raises(ValueError, match="patch_height, patch_width: 28 x None; give both or none"):
        VisionSettings(patch_height=28)


def test_the_large_recipes_are_the_papers() -> None:
    settings = load_settings(LanguageSettings, "paper-language-qlora", {})
    assert (settings.lora_rank, settings.lora_alpha) == (128, 256)
    assert (settings.learning_rate, settings.projector_rate) == (3e-4, 2e-5)
    assert settings.batch_size == 16


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"tuning": "prefix"}, "tuning: 'prefix'; use one of full, lora, qlora"),
        ({"visual_tokens": "middle"}, "visual_tokens: 'middle'"),
        ({"labels": "mine"}, "labels: 'mine'"),
        ({"tuning": "qlora"}, "ema_decay: 0.999; 4-bit weights"),
        ({"lora_rank": "0"}, "lora_rank: 0"),
        ({"cot_weight": "0", "direct_weight": "0"}, "both are 0"),
    ],
)
def test_impossible_language_settings_are_named(overrides: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_settings(LanguageSettings, None, overrides)


def test_overrides_win_over_the_recipe_which_wins_over_the_defaults(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("batch_size: 8\nsteps: 7\nlearning_rate: 1\n")
    settings = load_settings(VisionSettings, recipe, {"steps": "9", "max_minutes": "1.5", "compile": "true"})
    assert (settings.batch_size, settings.steps, settings.max_minutes) == (8, 9, 1.5)
    assert settings.compile is True
    assert settings.learning_rate == 1.0
    assert settings.warmup_steps == RunSettings().warmup_steps


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"bach_size": "8"}, "bach_size: no such setting"),
        ({"batch_size": "0"}, "batch_size: 0; give 1 or more"),
        ({"ema_decay": "1.0"}, "ema_decay: 1.0"),
        ({"balance": "2"}, "balance: 2.0"),
    ],
)
def test_impossible_settings_are_named(overrides: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_settings(VisionSettings, None, overrides)


def test_unknown_settings_in_a_recipe_are_named(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("stage_weight: 2\n")
    with pytest.raises(ValueError, match="stage_weight: no such setting"):
        load_settings(VisionSettings, recipe, {})
    assert "stage_weight" in {field.name for field in fields(LanguageSettings)}


def test_an_unknown_recipe_lists_the_shipped_ones() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        load_settings(VisionSettings, "nosuch", {})
    assert str(caught.value).startswith("recipe: nosuch; give a YAML file, or one of ")
    assert all(name in str(caught.value) for name in RECIPES)


def test_a_recipe_that_is_no_table_is_named(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("- steps\n")
    with pytest.raises(ValueError, match="NAME: VALUE"):
        load_settings(VisionSettings, recipe, {})


def test_the_rate_warms_up_then_falls_to_its_final_share() -> None:
    settings = RunSettings(warmup_steps=10, final_rate_share=0.1)
    assert rate_at(0.0, 0, settings) == pytest.approx(0.1)
    assert rate_at(0.0, 9, settings) == pytest.approx(1.0)
    assert rate_at(0.5, 100, settings) == pytest.approx(0.55)
    assert rate_at(1.0, 100, settings) == rate_at(2.0, 100, settings) == pytest.approx(0.1)


def test_a_limit_in_minutes_keeps_the_time_to_validate_and_save() -> None:
    settings = RunSettings(steps=1000, max_minutes=2.0, validation_epochs=130, batch_size=64)
    ending = Ending(settings, step_s=4.0)
    assert ending.seconds() == 12.0
    assert progress_of(0, 54.0, ending.seconds(), settings) == pytest.approx(0.5)
    assert progress_of(0, 108.0, ending.seconds(), settings) == pytest.approx(1.0)
    ending.validation_s, ending.saving_s = 70.0, 20.0
    assert progress_of(0, 60.0, ending.seconds(), settings) == pytest.approx(1.0)
    assert progress_of(1000, 0.0, 0.0, settings) == 1.0


def test_only_matrices_decay_and_frozen_weights_are_left_out() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    module[2].requires_grad_(False)
    decayed, plain = parameter_groups(module, 0.01, 0.1)
    assert [tuple(p.shape) for p in decayed["params"]] == [(4, 3)]
    assert [tuple(p.shape) for p in plain["params"]] == [(4,), (4,), (4,)]
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert decayed["peak"] == plain["peak"] == 0.01


def test_the_average_leaves_frozen_weights_alone() -> None:
    module = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    module[0].requires_grad_(False)
    averaged = Averaged(module, 0.5)
    before = averaged.module[0].weight.item()
    with torch.no_grad():
        module[0].weight.add_(1.0)
        module[1].weight.add_(1.0)
    averaged.update(module, 100)
    assert averaged.module[0].weight.item() == before
    assert averaged.module[1].weight.item() == pytest.approx(module[1].weight.item() - 0.5)


def test_the_running_state_leaves_out_what_is_frozen() -> None:
    module = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    module[0].requires_grad_(False)
    frozen = frozenset(name for name, p in module.named_parameters() if not p.requires_grad)
    kept = set(trained_state(module, frozen))
    assert kept == {"1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"}


def test_the_average_follows_a_young_run_fast_and_an_old_one_slowly() -> None:
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    young, old = Averaged(module, 0.99), Averaged(module, 0.99)
    nn.init.ones_(module.weight)
    young.update(module, 1)
    old.update(module, 100000)
    assert young.module.weight.item() == pytest.approx(1 - 2 / 11)
    assert old.module.weight.item() == pytest.approx(0.01)
    assert not any(p.requires_grad for p in young.module.parameters())
    assert torch.equal(module.weight, torch.ones(1, 1))
