"""The documented path, command by command: import a LLaVA, train it, export it, stage a night with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from eegvlm_export.cli import main as export_main
from eegvlm_export.weights.checkpoint import Checkpoint
from eegvlm_train.cli import main as train_main
from eegvlm_train.data.texts import AnswerTexts
from eegvlm_train.model.assembly import NIGHT_TOKEN

from eegvlm_rt.cli import main as stage_main
from eegvlm_rt.rationale import RULES
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.simulator.edf import write_edf
from tests.export.weights.llava_models import (
    llama_tokenizer,
    random_llava,
    save_llava,
    small_convnext,
    stored,
)
from tests.train.noise_nights import noise_night

RECIPE = """
tower: fp32
llm: int4_fused
llm_variants: [fp32]
block_size: 16
parity_epochs: 4
reasoning_epochs: 1
gates:
  agreement.head: {at_least: 0.99}
  llm.fp32.logits.max_abs: {at_most: 0.01}
"""
FEW = ["--set", "batch_size=4", "--set", "workers=0", "--set", "validation_epochs=4", "--set", "log_every=1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaVA with a tokenizer of Llama, a ConvNeXt, labelled nights and a recording."""
    folder = tmp_path_factory.mktemp("path")
    tokenizer = llama_tokenizer()
    text = {"vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": 1024, "attention_bias": True}
    save_llava(random_llava(text_fields=text), folder / "llava", tokenizer=tokenizer)
    small_convnext().save_pretrained(folder / "convnext")
    (folder / "nights").mkdir()
    for seed in range(2):
        noise_night(folder / "nights", seed)
    write_edf(simulate_night(3, hours=0.05), folder / "night.edf")
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder


@pytest.fixture(scope="module")
def base(folder: Path) -> Path:
    given = ["--enhancement", str(folder / "convnext")]
    assert export_main(["import", str(folder / "llava"), "-o", str(folder / "base"), *given]) == 0
    return folder / "base"


@pytest.fixture(scope="module")
def enhancement(folder: Path, base: Path) -> Path:
    out = folder / "enhancement"
    given = ["--base", str(base), "--set", "steps=2", *FEW]
    assert train_main(["train-enhancement", str(folder / "nights"), str(out), *given]) == 0
    return out


@pytest.fixture(scope="module")
def trained(folder: Path, base: Path, enhancement: Path) -> Path:
    out = folder / "trained"
    sets = ["steps=3", "lora_rank=4", "warmup_steps=1", "learning_rate=0.01", "gradient_checkpointing=false"]
    given = ["--base", str(base), "--enhancement", str(enhancement), "--recipe", "paper-language-lora", *FEW]
    given += [word for one in sets for word in ("--set", one)]
    assert train_main(["train-language", str(folder / "nights"), str(out), *given]) == 0
    return out


def test_an_import_says_what_is_untrained_and_training_takes_it_back(
    base: Path, enhancement: Path, trained: Path
) -> None:
    assert Checkpoint.load(base).untrained == ("enhancement", "language_model")
    assert json.loads((base / "config.json").read_text())["untrained"] == ["enhancement", "language_model"]
    assert "untrained" not in json.loads((enhancement / "config.json").read_text())
    assert Checkpoint.load(trained).untrained == ()


def test_the_enhancement_module_is_resumed_from_the_base(base: Path, enhancement: Path) -> None:
    before, after = stored(base), stored(enhancement)
    seen = [name for name in before if name.startswith(("enhancement.", "vision_tower."))]
    moved = {name for name in seen if not torch.equal(before[name].float(), after[name])}
    assert moved
    assert all(name.startswith("enhancement.") for name in moved)
    largest = max(float((before[name].float() - after[name]).abs().max()) for name in moved)
    assert largest < 0.1


def test_the_base_learns_and_keeps_its_layers_but_for_the_adapters(base: Path, trained: Path) -> None:
    before, after = stored(base), stored(trained)
    assert set(before) == set(after)
    moved = {name for name in before if not torch.equal(before[name].float(), after[name].float())}
    assert "language_model.model.layers.1.mlp.down_proj.weight" in moved
    assert "language_model.lm_head.weight" in moved
    language = {name for name in moved if name.startswith("language_model.")}
    assert not any(name.endswith(("norm.weight", "q_proj.bias")) for name in language)
    assert not any(name.startswith("vision_tower.") for name in moved)


def test_rules_and_stages_are_tokens_of_the_trained_model(trained: Path) -> None:
    processor = Checkpoint.load(trained).processor
    texts = AnswerTexts(processor.tokenizer, processor.prompt)
    assert len(texts.rule_tokens) == len(RULES)
    assert (processor.prompt.bos, processor.prompt.pad) == ("<s>", "<pad>")


def test_the_bundle_is_published_and_stages_a_night_with_reasons(
    folder: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = folder / "bundle"
    given = ["--recipe", str(folder / "recipe.yaml"), "--threads", "1", "--parity", str(folder / "nights")]
    assert export_main([str(trained), "-o", str(bundle), *given, "--draft"]) == 0
    # It passed every gate, so it is no draft, and runtimes of schema 2 open it.
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert (manifest["schema_version"], manifest["model_id"]) == (2, "paper")
    assert "draft" not in manifest
    assert "raft" not in (bundle / "README.md").read_text()
    capsys.readouterr()
    given = ["--bundle", str(bundle), "--mode", "cot", "--json", "--threads", "1"]
    assert stage_main(["stage", str(folder / "night.edf"), *given]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    epochs = [line for line in lines if line["type"] == "epoch"]
    assert len(epochs) == 6
    for epoch in epochs:
        assert epoch["source"] == "rule"
        assert epoch["finish"] == "complete"
        assert epoch["rationale"]["rule"] in RULES
        assert sum(epoch["probabilities"].values()) == pytest.approx(1.0)


def test_a_memory_is_trained_on_the_module_and_comes_to_the_base_with_it(
    folder: Path, enhancement: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nights, memory, base, out = (str(folder / name) for name in ("nights", "memory", "base-2", "trained-2"))
    short = [*FEW, "--set", "steps=1", "--set", "warmup_steps=1", "--set", "ema_decay=0"]
    given = ["--vision", str(enhancement), "--set", "window=8", "--set", "gain_copies=1"]
    assert train_main(["train-memory", nights, memory, *given, *short]) == 0
    assert export_main(["import", str(folder / "llava"), "-o", base, "--enhancement", memory]) == 0
    assert Checkpoint.load(base).untrained == ("language_model",)
    tuned = [
        "--recipe",
        "paper-language-lora",
        "--set",
        "lora_rank=2",
        "--set",
        "gradient_checkpointing=false",
    ]
    assert train_main(["train-language", nights, out, "--base", base, *tuned, *short]) == 0
    whole = Checkpoint.load(out)
    assert (whole.untrained, whole.processor.prompt.night) == ((), NIGHT_TOKEN)
    before, after = stored(Path(memory)), stored(Path(out))
    remembered = [name for name in before if name.startswith("memory.")]
    assert remembered
    assert all(torch.allclose(before[name].half(), after[name].half(), atol=1e-3) for name in remembered)
    # A model whose language model has no place for a memory gets none.
    given = ["--vision", str(trained), "--set", "window=8"]
    assert train_main(["train-memory", nights, str(folder / "none"), *given, *short]) == 2
    assert "no place for a memory: give the checkpoint of train-enhancement" in capsys.readouterr().err


def test_an_untrained_import_is_not_published(
    folder: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export_main([str(base), "-o", str(folder / "untrained")]) == 3
    told = capsys.readouterr().err
    assert "untrained: enhancement, language_model" in told
    assert "--draft" in told
    assert not (folder / "untrained").exists()
