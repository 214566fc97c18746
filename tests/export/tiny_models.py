"""Checkpoints small enough to export in seconds, with random weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import onnx
import torch
import transformers
from eegvlm_export.graphs.tower import export_tower
from eegvlm_train.model import EegVlmConfig, EegVlmForConditionalGeneration
from eegvlm_train.model.processing import EegVlmProcessor
from eegvlm_train.model.tokenizer import build_tokenizer, model_vocabulary
from eegvlm_train.model.trace import TraceConfig

from eegvlm_rt.rendering.renderer import RenderSpec

TOKENIZER = build_tokenizer()
VOCABULARY = model_vocabulary(TOKENIZER)


def _vision(hidden: int, layers: int) -> object:
    return transformers.CLIPVisionConfig(
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        patch_size=28,
        image_size=112,
        hidden_act="gelu",
    )


def _text(hidden: int, heads: int, kv_heads: int, **more: object) -> object:
    return transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=2,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=512,
        tie_word_embeddings=False,
        **more,
    )


def tiny_config() -> EegVlmConfig:
    """ConvNeXt enhancement, one high-level vector a picture, grouped key and value heads."""
    return EegVlmConfig(
        vision_config=_vision(32, 3),
        enhancement_config=transformers.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2),
        text_config=_text(64, 4, 2),
        render=RenderSpec(width=112, height=112, rows=2).to_dict(),
        preset_name="tiny",
    )


def edge_like_config() -> EegVlmConfig:
    """ResNet enhancement, an earlier CLIP layer, biases, rows of weights no block divides."""
    return EegVlmConfig(
        vision_config=_vision(16, 4),
        enhancement_config=transformers.ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"
        ),
        text_config=_text(48, 3, 3, attention_bias=True, mlp_bias=True),
        vision_feature_layer=-3,
        render=RenderSpec(width=112, height=112, rows=1).to_dict(),
        preset_name="edge-like",
    )


def traced_config() -> EegVlmConfig:
    """nano's kinds of layers: a trace reader, patches as tall as a row, fused tokens, a night memory."""
    return EegVlmConfig(
        vision_config=_vision(32, 3),
        patch_shape=(56, 28),
        enhancement_config=TraceConfig(
            rows=2, image_size=112, stem_size=8, hidden_sizes=(8, 12), strides=(2, 7), depths=(1, 2)
        ),
        text_config=_text(64, 4, 2),
        visual_tokens="fused",
        memory_size=6,
        memory_members=2,
        render=RenderSpec(width=112, height=112, rows=2).to_dict(),
        preset_name="traced",
    )


CONFIGS: dict[str, Callable[[], EegVlmConfig]] = {
    "tiny": tiny_config,
    "edge-like": edge_like_config,
    "traced": traced_config,
}


def random_model(name: str) -> EegVlmForConditionalGeneration:
    """A model whose random weights are large enough for its answers to depend on the picture."""
    torch.manual_seed(7)
    model = EegVlmForConditionalGeneration(CONFIGS[name]()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2.0)
    return model


def save_checkpoint(name: str, folder: Path) -> Path:
    model = random_model(name)
    model.save_pretrained(folder)
    EegVlmProcessor.for_config(model.config, TOKENIZER).save_pretrained(folder)
    return folder


def tower_of(model: EegVlmForConditionalGeneration, *, half: bool = False) -> onnx.ModelProto:
    """The exported tower of a `random_model` that nobody changed: traced once, a copy for each caller."""
    return onnx.ModelProto.FromString(_tower_bytes(model.config.preset_name, half))


@cache
def _tower_bytes(name: str, half: bool) -> bytes:
    content: bytes = export_tower(random_model(name), half=half).SerializeToString()
    return content
