"""A chat model's tokens and prompt go all the way to a bundle that answers in every mode."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from eegvlm_export import Recipe, export_bundle
from eegvlm_train.data.night_files import UV_PER_LSB, night_path, save_npz
from eegvlm_train.model import EegVlmConfig, EegVlmForConditionalGeneration, EegVlmProcessor
from eegvlm_train.model.language_models import CHAT_PROMPT, fit_language_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

import eegvlm_rt.rationale.grammar as prose
from eegvlm_rt.bundle import Bundle
from eegvlm_rt.prompt import PromptSpec
from eegvlm_rt.stager import Stager


def chat_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=800,
        special_tokens=[CHAT_PROMPT.pad, CHAT_PROMPT.bos, CHAT_PROMPT.eos],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([Path(prose.__file__).read_text(encoding="utf-8")], trainer)
    return tokenizer


@pytest.fixture(scope="module")
def bundle(tiny_model: EegVlmForConditionalGeneration, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A tiny model whose Llama spoke another language before, in 4 bits."""
    folder = tmp_path_factory.mktemp("chat")
    tokenizer = chat_tokenizer()
    torch.manual_seed(2)
    llama = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=96,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=3,
            num_key_value_heads=1,
            tie_word_embeddings=True,
            rope_parameters={"rope_type": "default", "rope_theta": 100000.0},
        )
    )
    fitted, small = fit_language_model(llama, tokenizer)
    eyes = tiny_model
    config = EegVlmConfig(
        vision_config=eyes.config.vision_config,
        enhancement_config=eyes.config.enhancement_config,
        text_config=fitted.config,
        image_token_id=CHAT_PROMPT.token_id(small, CHAT_PROMPT.image),
        render=eyes.config.render,
        preset_name="small",
    )
    model = EegVlmForConditionalGeneration(config)
    model.vision_tower, model.enhancement = eyes.vision_tower, eyes.enhancement
    model.language_model = fitted
    model.save_pretrained(folder / "checkpoint")
    EegVlmProcessor.for_config(config, small, CHAT_PROMPT).save_pretrained(folder / "checkpoint")
    rng = np.random.default_rng(0)
    x = rng.normal(0, 20 / UV_PER_LSB, (8, 3000)).astype(np.int16)
    save_npz(night_path(folder, 0), x=x, uv_per_lsb=UV_PER_LSB)
    recipe = Recipe(
        tower="fp16", llm="int4", calibration_epochs=4, parity_epochs=4, reasoning_epochs=2, gates=()
    )
    return export_bundle(
        folder / "checkpoint", folder / "bundle", recipe, calibration=folder, parity=folder, threads=1
    ).bundle


def test_the_bundle_keeps_the_chat_prompt(bundle: Bundle) -> None:
    assert bundle.manifest.prompt == CHAT_PROMPT.to_dict()
    assert PromptSpec.from_dict(bundle.manifest.prompt).bos == "<|im_start|>"
    assert bundle.manifest.model_id == "small"


def test_it_answers_in_every_mode_along_the_grammar(bundle: Bundle) -> None:
    stager = Stager.load(bundle.path, mode="cot", threads=1)
    wave = 40 * np.sin(2 * np.pi * 10 * np.arange(3000) / 100)
    for mode in ("head", "direct", "cot"):
        answer = stager.predict_epoch(wave, 100, mode=mode)
        assert sum(answer.probabilities.values()) == pytest.approx(1.0)
        if mode == "cot":
            assert answer.rationale is not None
            assert "Rule:" in answer.rationale.text
