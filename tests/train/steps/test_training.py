"""Both steps end to end on noise: they learn, stop, go on, and leave a checkpoint that answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from eegvlm_train.cli import main
from eegvlm_train.data.language import LanguageBatches
from eegvlm_train.data.nightset import load_nights
from eegvlm_train.evaluation.checkpoint import CheckpointAnswerer
from eegvlm_train.model import EegVlmForConditionalGeneration, EegVlmProcessor
from eegvlm_train.settings import LanguageSettings
from eegvlm_train.steps.language import LanguageStep

from eegvlm_rt.prompt import Mode
from eegvlm_rt.rendering.renderer import RenderSpec
from eegvlm_rt.stages import Stage

SMALL = ["--threads", "1", "--set", "batch_size=4", "--set", "workers=1", "--set", "validation_epochs=4"]


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def vision(nights_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("vision")
    arguments = [
        "train-vision",
        str(nights_folder),
        str(out),
        *SMALL,
        "--set",
        "steps=4",
        "--set",
        "log_every=2",
    ]
    assert main([*arguments, "--set", "warmup_steps=1"]) == 0
    return out


@pytest.fixture(scope="module")
def language(nights_folder: Path, vision: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("language")
    arguments = ["train-language", str(nights_folder), str(out), "--vision", str(vision), *SMALL]
    assert main([*arguments, "--set", "steps=6", "--set", "log_every=3", "--set", "warmup_steps=1"]) == 0
    return out


def test_the_vision_step_logs_losses_and_leaves_a_checkpoint(vision: Path) -> None:
    train = [row for row in rows(vision) if row["kind"] == "train"]
    assert [row["step"] for row in train] == [2, 4]
    assert {"head", "tower", "head_findings", "tower_findings", "head_local", "tower_local"} <= set(train[0])
    assert rows(vision)[-1]["kind"] == "validation"
    assert {"head_kappa", "tower_kappa"} <= set(rows(vision)[-1])
    assert (vision / "perception.safetensors").exists()
    assert EegVlmForConditionalGeneration.from_pretrained(vision).config.preset_name == "nano"


def steps_of(name: str, nights: Path, out: Path, *more: str) -> Path:
    sets = ["--set", "steps=1", "--set", "log_every=1", "--set", "warmup_steps=1"]
    assert main([name, str(nights), str(out), *SMALL, *sets, *more]) == 0
    return out


@pytest.fixture(scope="module")
def apart(nights_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Both networks, each trained alone."""
    folder = tmp_path_factory.mktemp("apart")
    return (
        steps_of("train-enhancement", nights_folder, folder / "enhancement"),
        steps_of("train-tower", nights_folder, folder / "tower"),
    )


def test_each_network_can_be_trained_alone(apart: tuple[Path, Path]) -> None:
    for folder, name, other in zip(apart, ("head", "tower"), ("tower", "head"), strict=True):
        assert {name, f"{name}_findings", f"{name}_local"} <= set(rows(folder)[0])
        assert not any(key.startswith(other) for row in rows(folder) for key in row)


def test_tensorboard_shows_what_the_log_holds(nights_folder: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = steps_of("train-tower", nights_folder, tmp_path, "--tensorboard")
    shown = EventAccumulator(str(out / "tensorboard")).Reload()
    for row in rows(out):
        for name in set(row) - {"kind", "step"}:
            (event,) = shown.Scalars(f"{row['kind']}/{name}")
            assert (event.step, event.value) == (row["step"], pytest.approx(row[name], abs=1e-5, nan_ok=True))


def test_step_3_takes_each_network_from_its_own_checkpoint(
    nights_folder: Path, apart: tuple[Path, Path], tmp_path: Path
) -> None:
    enhancement, tower = apart
    given = ["--enhancement", str(enhancement), "--tower", str(tower), "--set", "tower_rate_share=0"]
    out = steps_of("train-language", nights_folder, tmp_path, *given)
    state = EegVlmForConditionalGeneration.from_pretrained(out).state_dict()
    for folder, part in ((enhancement, "enhancement."), (tower, "vision_tower.")):
        source = EegVlmForConditionalGeneration.from_pretrained(folder).state_dict()
        assert all(value.equal(state[name]) for name, value in source.items() if name.startswith(part))


def test_networks_of_different_pictures_are_not_joined(
    nights_folder: Path, apart: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one_row = steps_of("train-tower", nights_folder, tmp_path / "tower", "--set", "rows=1")
    given = ["--enhancement", str(apart[0]), "--tower", str(one_row)]
    assert main(["train-language", str(nights_folder), str(tmp_path / "out"), *SMALL, *given]) == 2
    assert "trained on other pictures" in capsys.readouterr().err
    assert main(["train-language", str(nights_folder), str(tmp_path / "out"), *SMALL]) == 2
    assert "give --vision, or --enhancement and --tower, or --base" in capsys.readouterr().err


@pytest.mark.parametrize("tuning", ["lora", "qlora"])
def test_adapters_are_trained_resumed_and_joined_to_their_base(
    nights_folder: Path, language: Path, tmp_path: Path, tuning: str
) -> None:
    given = ["--base", str(language), "--set", f"tuning={tuning}", "--set", "lora_rank=2"]
    given += ["--set", "ema_decay=0", "--set", "gradient_checkpointing=true"]
    out = steps_of("train-language", nights_folder, tmp_path / "out", *given)
    steps_of("train-language", nights_folder, out, *given, "--set", "steps=2", "--resume")
    assert [row["step"] for row in rows(out) if row["kind"] == "train"] == [1, 2]
    assert (out / "model.safetensors").exists() == (tuning == "lora")
    merged = tmp_path / "merged"
    assert main(["merge", str(language), str(out / "adapter"), str(merged)]) == 0
    before = EegVlmForConditionalGeneration.from_pretrained(language).state_dict()
    after = EegVlmForConditionalGeneration.from_pretrained(merged).state_dict()
    layer = "language_model.model.layers.0.mlp.up_proj.weight"
    assert not after[layer].equal(before[layer])
    if tuning == "lora":
        exported = EegVlmForConditionalGeneration.from_pretrained(out).state_dict()
        torch.testing.assert_close(after[layer], exported[layer], atol=1e-4, rtol=1e-3)


def test_a_run_goes_on_where_it_stopped(nights_folder: Path, tmp_path: Path) -> None:
    arguments = ["train-vision", str(nights_folder), str(tmp_path), *SMALL, "--set", "log_every=1"]
    assert main([*arguments, "--set", "steps=1"]) == 0
    assert main([*arguments, "--set", "steps=2", "--resume"]) == 0
    assert [row["step"] for row in rows(tmp_path) if row["kind"] == "train"] == [1, 2]


def test_a_time_limit_ends_a_run(nights_folder: Path, tmp_path: Path) -> None:
    assert main(["train-vision", str(nights_folder), str(tmp_path), *SMALL, "--max-minutes", "1e-9"]) == 0
    assert rows(tmp_path)[-1]["step"] <= 1


def test_the_language_step_leaves_the_enhancement_module_as_it_was(vision: Path, language: Path) -> None:
    before = EegVlmForConditionalGeneration.from_pretrained(vision).state_dict()
    after = EegVlmForConditionalGeneration.from_pretrained(language).state_dict()
    same = {
        name for name in before if before[name].shape == after[name].shape and before[name].equal(after[name])
    }
    assert {name for name in before if name.startswith("enhancement.")} <= same
    assert "projector.linear_1.weight" not in same
    assert "vision_tower.embeddings.patch_embedding.weight" not in same


def test_the_checkpoint_holds_its_tokenizer_prompt_and_picture(language: Path) -> None:
    processor = EegVlmProcessor.from_pretrained(language)
    model = EegVlmForConditionalGeneration.from_pretrained(language)
    assert processor.render == RenderSpec.from_dict(model.config.render)
    assert processor.tokenizer.get_vocab_size() <= model.config.text_config.vocab_size
    ids = processor.input_ids(Mode.DIRECT, model.config.num_visual_tokens, Stage.N2)
    assert int((ids == model.config.image_token_id).sum()) == model.config.num_visual_tokens


def test_each_branch_is_what_decoding_meets(nights_folder: Path, language: Path) -> None:
    model = EegVlmForConditionalGeneration.from_pretrained(language).eval()
    processor = EegVlmProcessor.from_pretrained(language)
    step = LanguageStep(model, processor, LanguageSettings()).eval()
    nights = load_nights(nights_folder, "train")
    make = LanguageBatches(nights, processor.render, step.texts)
    batch = make(np.arange(2), np.random.default_rng(0))
    pixels = processor.pixel_values(nights.microvolts(np.arange(2)))
    before = step.texts.prefix() + [3] * model.config.num_visual_tokens + step.texts.night()
    prefix = torch.tensor([before] * 2)
    direct = make.direct_length
    with torch.no_grad():
        both = step.text_logits(batch)
        first = model(input_ids=torch.cat([prefix, batch.ids[:, :direct]], 1), pixel_values=pixels).logits
        second = model(input_ids=torch.cat([prefix, batch.ids[:, direct:]], 1), pixel_values=pixels).logits
    start = prefix.shape[1]
    torch.testing.assert_close(both[:, :direct], first[:, start:], atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(both[:, direct:], second[:, start:], atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(step.direct_logits(both), first[:, start + direct - 3], atol=2e-4, rtol=1e-3)


def test_direct_answers_are_the_softmax_over_the_stage_tokens(nights_folder: Path, language: Path) -> None:
    signal = load_nights(nights_folder, "validation").microvolts(np.arange(3))
    answers = CheckpointAnswerer(language, device="cpu", batch_size=2).stage(signal, Mode.DIRECT)
    model = EegVlmForConditionalGeneration.from_pretrained(language).eval()
    processor = EegVlmProcessor.from_pretrained(language)
    ids = processor.input_ids(Mode.DIRECT, model.config.num_visual_tokens).expand(3, -1)
    with torch.no_grad():
        logits = model(input_ids=ids, pixel_values=processor.pixel_values(signal)).logits[:, -1]
    stages = list(processor.prompt.stage_token_ids(processor.tokenizer))
    np.testing.assert_allclose(answers.probabilities, logits[:, stages].softmax(-1).numpy(), atol=1e-4)
    assert answers.stages.tolist() == answers.probabilities.argmax(1).tolist()


def test_rationales_of_an_untaught_model_still_keep_to_the_grammar(
    nights_folder: Path, language: Path
) -> None:
    signal = load_nights(nights_folder, "validation").microvolts(np.arange(2))
    answerer = CheckpointAnswerer(language, device="cpu")
    reasons = answerer.reason(signal, constrained=True)
    assert all(one.rationale is not None for one in reasons.decoded)
    assert (reasons.answers.stages < 5).all()
    np.testing.assert_allclose(reasons.answers.probabilities.sum(1), 1.0, atol=1e-6)
    free = answerer.reason(signal[:1], constrained=False)
    assert free.decoded[0].rationale is None
    assert free.answers.stages.tolist() == [5]


def test_evaluation_writes_the_figures_it_prints(
    nights_folder: Path, language: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figures.json"
    arguments = [
        "evaluate",
        str(language),
        "--data",
        f"sim:{nights_folder}",
        "--mode",
        "head",
        "direct",
        "cot",
    ]
    assert main([*arguments, "--limit", "4", "--free", "1", "--device", "cpu", "--out", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert figures["n"] == 4
    assert set(figures["modes"]) == {"head", "direct", "cot"}
    assert figures["modes"]["cot"]["rows"]["all"]["n"] == 4
    assert figures["faithfulness"]["parsed"] == 1.0
    assert figures["free"]["texts"] == 1
    assert set(figures["same_stage"]) == {"head and direct", "head and cot", "direct and cot"}
    printed = capsys.readouterr().out
    assert "kappa" in printed
    assert "within tolerance" in printed
