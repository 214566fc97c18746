"""The sizes of EEG-VLM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from transformers import CLIPVisionConfig, ConvNextConfig, LlamaConfig

from eegvlm_rt.rendering.renderer import RenderSpec
from eegvlm_rt.signal.conditioning import Preprocessing

from .configuration import EegVlmConfig
from .trace import TraceConfig

__all__ = ["PRESETS", "edge", "nano", "paper", "preset", "small", "vision_preset"]

# CLIP ViT-L/14-336 (Radford et al. 2021), the tower of LLaVA-1.5 (Liu et al. 2023).
_CLIP_L_336: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
    "image_size": 336,
    "projection_dim": 768,
}
# ConvNeXt-Base (Liu et al. 2022).
_CONVNEXT_BASE: dict[str, Any] = {
    "hidden_sizes": [128, 256, 512, 1024],
    "depths": [3, 3, 27, 3],
    "image_size": 336,
}
_LLAMA_TOKENS: dict[str, Any] = {
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 32001,
    "vocab_size": 32064,
}


def nano(vocab_size: int = 1024) -> EegVlmConfig:
    """5.7 M parameters; trained from scratch, shipped in the wheel. P = 42, Dv = 128, T = 42, 42 visual
    tokens and one of the night memory.

    A CLIP patch is as tall as a row and 48 pixels (0.71 s) wide; so is what a high-level feature stands for.
    """
    return EegVlmConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=128,
            intermediate_size=512,
            num_hidden_layers=5,
            num_attention_heads=4,
            patch_size=28,
            image_size=336,
            projection_dim=128,
            hidden_act="gelu",
        ),
        patch_shape=(56, 48),
        enhancement_config=TraceConfig(),
        visual_tokens="fused",
        memory_size=64,
        memory_members=4,
        text_config=LlamaConfig(
            vocab_size=vocab_size,
            hidden_size=192,
            intermediate_size=512,
            num_hidden_layers=6,
            num_attention_heads=6,
            num_key_value_heads=6,
            max_position_embeddings=1024,
            rms_norm_eps=1e-5,
            tie_word_embeddings=False,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        ),
        image_token_id=3,
        render=RenderSpec(rows=6, uv_range=75.0).to_dict(),
        preprocessing=Preprocessing().to_dict(),
        preset_name="nano",
    )


def small(vocab_size: int = 1024) -> EegVlmConfig:
    """nano's eyes before a Llama of SmolLM2-135M's shape (Ben Allal et al. 2025): 106 M parameters without
    its embeddings, of which `python -m eegvlm_train language-model` keeps the rows that the grammar needs.
    """
    config = nano(vocab_size)
    config.text_config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=8192,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 100000.0},
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    config.preset_name = "small"
    return config


def edge(vocab_size: int = 32064) -> EegVlmConfig:
    """CLIP ViT-L/14-336, ConvNeXt-Base and a 1.1 B Llama (TinyLlama's shape, Zhang et al. 2024)."""
    return EegVlmConfig(
        vision_config=CLIPVisionConfig(**_CLIP_L_336),
        enhancement_config=ConvNextConfig(**_CONVNEXT_BASE),
        text_config=LlamaConfig(
            hidden_size=2048,
            intermediate_size=5632,
            num_hidden_layers=22,
            num_attention_heads=32,
            num_key_value_heads=4,
            max_position_embeddings=2048,
            rms_norm_eps=1e-5,
            tie_word_embeddings=False,
            **_LLAMA_TOKENS | {"vocab_size": vocab_size},
        ),
        image_token_id=32000,
        render=RenderSpec(rows=6, uv_range=75.0).to_dict(),
        preprocessing=Preprocessing().to_dict(),
        preset_name="edge",
    )


def paper(vocab_size: int = 32064) -> EegVlmConfig:
    """The reference model on LLaVA-1.5-13B. P = 576, Dv = 1024, 1152 visual tokens; one row per picture."""
    return EegVlmConfig(
        vision_config=CLIPVisionConfig(**_CLIP_L_336),
        enhancement_config=ConvNextConfig(**_CONVNEXT_BASE),
        text_config=LlamaConfig(
            hidden_size=5120,
            intermediate_size=13824,
            num_hidden_layers=40,
            num_attention_heads=40,
            num_key_value_heads=40,
            max_position_embeddings=4096,
            rms_norm_eps=1e-5,
            tie_word_embeddings=False,
            **_LLAMA_TOKENS | {"vocab_size": vocab_size},
        ),
        image_token_id=32000,
        render=RenderSpec(rows=1, uv_range=100.0).to_dict(),
        preprocessing=Preprocessing().to_dict(),
        preset_name="paper",
    )


PRESETS: dict[str, Callable[[int], EegVlmConfig]] = {
    "nano": nano,
    "small": small,
    "edge": edge,
    "paper": paper,
}


def preset(name: str, vocab_size: int | None = None) -> EegVlmConfig:
    """The configuration called `name`; `vocab_size` as its tokenizer needs. Raises ValueError for another
    name."""
    if name not in PRESETS:
        raise ValueError(f"preset: {name!r}; use one of {', '.join(PRESETS)}")
    make = PRESETS[name]
    return make(vocab_size) if vocab_size is not None else make()  # type: ignore[call-arg]


def vision_preset(
    name: str, rows: int | None = None, patch_shape: tuple[int, int] | None = None
) -> EegVlmConfig:
    """What the vision steps train: the networks and the picture of `name`, folded into `rows` and cut into
    CLIP patches of `patch_shape` (height, width) pixels where given.

    The language model is a stand-in of a few thousand weights, which step 3 replaces.
    """
    config = preset(name)
    if rows is not None:
        config.render = replace(RenderSpec.from_dict(config.render or {}), rows=rows).to_dict()
        if isinstance(config.enhancement_config, TraceConfig):
            shape = config.enhancement_config.to_dict() | {"rows": rows}
            shape.pop("model_type", None)
            config.enhancement_config = TraceConfig(**shape)
    if patch_shape is not None:
        config = EegVlmConfig(**config.to_dict() | {"patch_shape": list(patch_shape)})
    config.text_config = LlamaConfig(
        vocab_size=64,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=1,
        pad_token_id=0,
        tie_word_embeddings=False,
    )
    return config
