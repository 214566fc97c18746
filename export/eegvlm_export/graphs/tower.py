"""The vision tower as one graph: picture in, stage opinion and visual tokens out."""

from __future__ import annotations

import copy
from typing import Any, Final

import onnx
import torch
from eegvlm_train.model import EegVlmForConditionalGeneration
from torch import Tensor, nn

from eegvlm_rt.rendering.renderer import RenderSpec

from .gray_input import fold_planes
from .layers import joined
from .onnx_files import trace

__all__ = ["TOWER_OUTPUTS", "TowerGraph", "export_tower"]

TOWER_OUTPUTS: Final = ("stage_logits", "high_level", "visual_tokens")
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
        return hidden + self.mlp(self.mlp_norm(hidden))


class TowerGraph(nn.Module):
    """`EegVlmForConditionalGeneration.visual`, with one call of the projector for all it projects."""

    def __init__(self, model: EegVlmForConditionalGeneration) -> None:
        super().__init__()
        clip = model.vision_tower
        used = clip.encoder.layers[: model.config.vision_layers_used]
        self.enhancement, self.projector = model.enhancement, model.projector
        self.embeddings, self.first_norm = clip.embeddings, clip.pre_layrnorm
        self.layers = nn.Sequential(
            *(_ClipLayer(layer, model.config.vision_config.num_attention_heads) for layer in used)
        )

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, 3, H, W) -> stage logits (n, 5), high-level vectors (n, Dv), visual tokens (n, 2P, D)."""
        stage_logits, high = self.enhancement(pixel_values)
        low = self.layers(self.first_norm(self.embeddings(pixel_values)))[:, 1:]
        projected = self.projector(torch.cat([low, high[:, None]], dim=1))
        patches, shift = projected[:, :-1], projected[:, -1:]
        return stage_logits, high, torch.cat([patches, patches + shift], dim=1)


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
    graph = TowerGraph(model)
    if grey is not None:
        graph = fold_planes(graph, grey)
    if half:
        graph = _HalfTower(graph)
    size = model.config.vision_config.image_size
    pictures = torch.zeros(2, model.config.vision_config.num_channels, size, size)
    batch = torch.export.Dim("batch", min=1, max=_MAX_BATCH)
    return trace(
        graph,
        (pictures,),
        input_names=("pixel_values",),
        output_names=TOWER_OUTPUTS,
        dynamic_shapes=({0: batch},),
    )
