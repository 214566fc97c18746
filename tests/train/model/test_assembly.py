"""Parts that are joined to a model: the memory comes with the enhancement module, and its token with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from eegvlm_train.model import EegVlmConfig, EegVlmForConditionalGeneration, EegVlmProcessor
from eegvlm_train.model.assembly import NIGHT_TOKEN, PROMPT_FILE, Parts, assemble, main
from eegvlm_train.model.lora import add_adapters, merge, save_adapter
from eegvlm_train.model.tokenizer import build_tokenizer, model_vocabulary
from eegvlm_train.model.untrained import set_untrained, untrained_parts
from eegvlm_train.settings import LanguageSettings
from transformers import CLIPVisionConfig, ConvNextConfig, LlamaConfig, LlamaForCausalLM

from eegvlm_rt.prompt import PromptSpec
from eegvlm_rt.rendering.renderer import RenderSpec

SETTINGS = LanguageSettings(preset="nano")
WITH_NIGHT = PromptSpec(night=NIGHT_TOKEN)
TOKENIZER = build_tokenizer(WITH_NIGHT)


def text_config() -> LlamaConfig:
    return LlamaConfig(
        vocab_size=model_vocabulary(TOKENIZER),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=512,
    )


def tiny(memory_size: int = 0, members: int = 1) -> EegVlmForConditionalGeneration:
    torch.manual_seed(memory_size)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = EegVlmConfig(
        vision_config=CLIPVisionConfig(**sizes, image_size=56, patch_size=28),
        enhancement_config=ConvNextConfig(hidden_sizes=[8, 8], depths=[1, 1], num_stages=2),
        text_config=text_config(),
        memory_size=memory_size,
        memory_members=members,
        render=RenderSpec(width=56, height=56, rows=2).to_dict(),
    )
    return EegVlmForConditionalGeneration(config)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Checkpoints without a memory, with one and with another, and language models with and without a place
    for its token."""
    top = tmp_path_factory.mktemp("parts")
    for name, model in {"plain": tiny(), "memory": tiny(4), "other": tiny(4, members=2)}.items():
        model.save_pretrained(top / name)
        prompt = WITH_NIGHT if model.config.memory_size else PromptSpec()
        EegVlmProcessor.for_config(model.config, TOKENIZER, prompt).save_pretrained(top / name)
    for name, prompt in {"speaks": WITH_NIGHT, "deaf": replace(WITH_NIGHT, night="")}.items():
        LlamaForCausalLM(text_config()).save_pretrained(top / name)
        TOKENIZER.save(str(top / name / "tokenizer.json"))
        (top / name / PROMPT_FILE).write_text(json.dumps(prompt.to_dict()))
    return {folder.name: folder for folder in top.iterdir()}


@pytest.mark.parametrize("language", ["speaks", None])
def test_the_memory_comes_with_the_enhancement_module_and_has_its_token(
    folders: dict[str, Path], language: str | None
) -> None:
    given = folders[language] if language else None
    model, processor = assemble(Parts(folders["memory"], folders["plain"], given), SETTINGS)
    source = EegVlmForConditionalGeneration.from_pretrained(folders["memory"]).state_dict()
    state = model.state_dict()
    kept = [name for name in source if name.startswith("memory.")]
    assert kept
    assert all(source[name].equal(state[name]) for name in kept)
    assert processor.prompt.night == NIGHT_TOKEN
    assert processor.tokenizer.token_to_id(NIGHT_TOKEN) is not None


def test_a_prompt_without_a_place_for_the_memory_is_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="deaf has no token for the night memory; write the folder again"):
        assemble(Parts(folders["memory"], folders["memory"], folders["deaf"]), SETTINGS)


@pytest.mark.parametrize("language", ["speaks", "deaf"])
def test_a_model_without_a_memory_asks_for_none(folders: dict[str, Path], language: str) -> None:
    model, processor = assemble(Parts(folders["plain"], folders["plain"], folders[language]), SETTINGS)
    assert (model.config.memory_size, processor.prompt.night) == (0, "")


def test_what_is_assembled_is_named_untrained_until_an_adapter_joins_it(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    given = ["--enhancement", str(folders["memory"]), "--tower", str(folders["memory"])]
    out = tmp_path / "base"
    assert main([str(out), *given, "--language-model", str(folders["speaks"])]) == 0
    assert untrained_parts(EegVlmConfig.from_pretrained(out)) == ("language_model",)
    model = EegVlmForConditionalGeneration.from_pretrained(out)
    settings = LanguageSettings(preset="nano", tuning="lora", lora_rank=2)
    add_adapters(model, settings)
    set_untrained(model.config, ["enhancement"])
    save_adapter(model, settings, tmp_path / "adapter")
    merge(out, tmp_path / "adapter", tmp_path / "merged")
    assert untrained_parts(EegVlmConfig.from_pretrained(tmp_path / "merged")) == ("enhancement",)
    (tmp_path / "adapter" / "config.json").unlink()
    merge(out, tmp_path / "adapter", tmp_path / "again")
    assert untrained_parts(EegVlmConfig.from_pretrained(tmp_path / "again")) == ()


@pytest.mark.parametrize(
    ("base", "enhancement", "message"),
    [
        ("plain", "memory", "enhancement: memory_size 4; the whole has 0: .*import the base with"),
        ("memory", "plain", "enhancement: memory_size 0; the whole has 4: "),
        ("memory", "other", "enhancement: memory_members 2; the whole has 1: "),
    ],
)
def test_a_base_takes_no_module_with_another_memory(
    folders: dict[str, Path], base: str, enhancement: str, message: str
) -> None:
    parts = Parts(enhancement=folders[enhancement], base=folders[base])
    with pytest.raises(ValueError, match=message):
        assemble(parts, SETTINGS)
