"""The vision tower as one graph: picture in, stage opinion and visual tokens out."""

from __future__ import annotations

import copy
from typing import Any, Final, cast

import onnx
import torch
from eegvlm_train.model import EegVlmForConditionalGeneration
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from eegvlm_rt.rendering.renderer import RenderSpec

from .gray_input import fold_planes, reads_planes
from .layers import joined
from .onnx_files import trace

__all__ = [
    "HEAD_OUTPUTS",
    "MEMORY_INPUTS",
    "MEMORY_OUTPUTS",
    "TOWER_OUTPUTS",
    "HeadGraph",
    "MemoryGraph",
    "TowerGraph",
    "export_head",
    "export_memory",
    "export_tower",
]

TOWER_OUTPUTS: Final = ("stage_logits", "high_level", "visual_tokens")
HEAD_OUTPUTS: Final = ("stage_logits", "high_level")
MEMORY_INPUTS: Final = ("high_level", "stage_logits", "present", "state")
MEMORY_OUTPUTS: Final = ("night_logits", "night_token", "next_state")
_MAX_BATCH: Final = 4096


class _ClipLayer(nn.Module):
    """One CLIP encoder layer with query, key and value in one product."""

    def __init__(self, layer: Any, heads: int) -> None:
        super().__init__()
        attention = layer.self_attn
        self.heads = heads
        self.attention_norm, self.mlp_norm, self.mlp = layer.layer_norm1, layer.layer_norm2, layer.mlp
        self.qkv = joined(attention.q_proj, attention.k_proj, attention.v_proj)
        self.out = attention.out_proj

    def forward(self, hidden: Tensor) -> Tensor:
        batch, patches, width = hidden.shape
        size = width // self.heads
        mixed = self.qkv(self.attention_norm(hidden)).reshape(batch, patches, 3, self.heads, size)
        query, key, value = mixed.permute(2, 0, 3, 1, 4)
        weight = torch.softmax((query * size**-0.5) @ key.transpose(2, 3), dim=-1)
        hidden = hidden + self.out((weight @ value).transpose(1, 2).reshape(batch, patches, width))
        widened: Tensor = self.mlp(self.mlp_norm(hidden))
        return hidden + widened


class TowerGraph(nn.Module):
    """`EegVlmForConditionalGeneration.visual`, with one call of the projector for all it projects."""

    def __init__(self, model: EegVlmForConditionalGeneration) -> None:
        super().__init__()
        clip = model.vision_tower
        used = clip.encoder.layers[: model.config.vision_layers_used]
        self.enhancement, self.projector = folded_normalization(model.enhancement), model.projector
        self.embeddings, self.first_norm = clip.embeddings, clip.pre_layrnorm
        self.layers = nn.Sequential(
            *(_ClipLayer(layer, model.config.vision_config.num_attention_heads) for layer in used)
        )
        self.patches, self.kind = model.config.num_patches, model.config.visual_tokens
        self.align = model.align

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, 3, H, W) -> stage logits (n, 5), pooled high-level features (n, F), visual tokens (n, V, D)."""
        look = self.enhancement(pixel_values)
        return look.stage_logits, look.pooled, self.tokens(pixel_values, look.high)

    def tokens(self, pixel_values: Tensor, high: Tensor) -> Tensor:
        """The visual tokens that the configuration chooses, and no others."""
        if self.kind == "high":
            return cast("Tensor", self.projector(high))
        low = self.layers(self.first_norm(self.embeddings(pixel_values)))[:, 1:]
        if self.kind == "low":
            return cast("Tensor", self.projector(low))
        projected = self.projector(torch.cat([low, high], dim=1))
        patches = projected[:, : self.patches]
        fused = patches + self.align(projected[:, self.patches :])
        return fused if self.kind == "fused" else torch.cat([patches, fused], dim=1)


class HeadGraph(nn.Module):
    """The enhancement module alone: what `head` and the night memory read."""

    def __init__(self, model: EegVlmForConditionalGeneration) -> None:
        super().__init__()
        self.enhancement = folded_normalization(model.enhancement)

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, H, W) -> stage logits (n, 5), pooled high-level features (n, F)."""
        look = self.enhancement(pixel_values)
        return look.stage_logits, look.pooled


class MemoryGraph(nn.Module):
    """`EegVlmForConditionalGeneration.remember`, one epoch at a time."""

    def __init__(self, model: EegVlmForConditionalGeneration) -> None:
        super().__init__()
        self.memory, self.memory_token, self.night_token = model.memory, model.memory_token, model.night_token

    def forward(
        self, high_level: Tensor, stage_logits: Tensor, present: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(1, F), (1, 5), (1, 1), (1, S) -> log-probabilities (1, 5), memory token (1, D), next state (1,
        S)."""
        logits, state = self.memory(high_level, stage_logits, present, state)
        return logits, self.night_token(state, logits), state


def folded_normalization(module: nn.Module) -> nn.Module:
    """A copy in which every batch normalization behind a convolution is part of its weights."""
    module = copy.deepcopy(module).eval()
    for parent in list(module.modules()):
        if not isinstance(parent, nn.Sequential) or len(parent) != 2:
            continue
        convolution, normalization = parent
        if isinstance(convolution, nn.Conv2d) and isinstance(normalization, nn.BatchNorm2d):
            parent[0] = fuse_conv_bn_eval(convolution, normalization)
            parent[1] = nn.Identity()
    return module


class _HalfTower(nn.Module):
    """A tower in half precision between pictures and answers in single."""

    def __init__(self, graph: nn.Module) -> None:
        super().__init__()
        self.tower = copy.deepcopy(graph).half()

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, ...]:
        return tuple(output.float() for output in self.tower(pixel_values.half()))


def export_tower(
    model: EegVlmForConditionalGeneration, *, grey: RenderSpec | None = None, half: bool = False
) -> onnx.ModelProto:
    """fp32 graph: `pixel_values` [batch, 3, H, W] -> `stage_logits`, `high_level`, `visual_tokens`.

    The layers above `vision_feature_layer` and the class token are not in it. The batch may have any size.
    With the pictures' `grey` spec, first convolutions read one plane where that is exact: `gray_input.py`.
    With `half` everything between input and outputs is in half precision; norms sum in single all the same.
    """
    graph: nn.Module = TowerGraph(model)
    if grey is not None:
        graph = fold_planes(graph, grey)
    if half:
        graph = _HalfTower(graph)
    size = model.config.image_side
    pictures = torch.zeros(2, model.config.vision_config.num_channels, size, size)
    batch = torch.export.Dim("batch", min=1, max=_MAX_BATCH)
    return trace(
        graph,
        (pictures,),
        input_names=("pixel_values",),
        output_names=TOWER_OUTPUTS,
        dynamic_shapes=({0: batch},),
    )


def export_head(model: EegVlmForConditionalGeneration, *, grey: RenderSpec | None = None) -> onnx.ModelProto:
    """fp32 graph of the enhancement module: `pixel_values` -> `stage_logits`, `high_level`.

    With the pictures' `grey` spec it reads one plane, [batch, 1, H, W], where that is exact for every
    convolution that reads a picture; else all three.
    """
    graph: nn.Module = HeadGraph(model)
    planes = model.config.vision_config.num_channels
    if grey is not None:
        graph = fold_planes(graph, grey)
        # Networks of transformers insist on the planes of their configuration.
        if model.enhancement.in_time and not reads_planes(graph, planes):
            planes = 1
    size = model.config.image_side
    batch = torch.export.Dim("batch", min=1, max=_MAX_BATCH)
    return trace(
        graph,
        (torch.zeros(2, planes, size, size),),
        input_names=("pixel_values",),
        output_names=HEAD_OUTPUTS,
        dynamic_shapes=({0: batch},),
    )


def export_memory(model: EegVlmForConditionalGeneration) -> onnx.ModelProto:
    """fp32 graph of the night memory for one epoch of one night; see `MemoryGraph`."""
    config = model.config
    sizes = (config.pooled_size, config.num_stages, 1, model.memory.state_size)
    return trace(
        MemoryGraph(model),
        tuple(torch.zeros(1, size) for size in sizes),
        input_names=MEMORY_INPUTS,
        output_names=MEMORY_OUTPUTS,
        dynamic_shapes=({}, {}, {}, {}),
    )
