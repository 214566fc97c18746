"""The language model as one graph: embeddings and past keys and values in, logits and present ones out.

The graph is traced with hollow weights, which take no memory: whatever its size, weights are filled in one by
one from where they lie (`initializers.py`).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Literal

import onnx
import torch
from torch import Tensor, nn
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from ..weights.reader import LanguageWeights
from .decoder_layers import (
    FusedLayer,
    MergedLayer,
    Norm,
    Product,
    SkipNorm,
    StandardLayer,
    head_dim,
    kv_heads,
    without_training_outputs,
)
from .onnx_files import initializers, trace

__all__ = [
    "Attention",
    "LanguageGraph",
    "WeightSlot",
    "cache_names",
    "head_dim",
    "kv_heads",
    "language_skeleton",
    "weight_slots",
]

Attention = Literal["standard", "fused", "merged"]
"""standard: operators of the ONNX standard, keys and values concatenated, what TensorRT reads. fused: ONNX
Runtime's GroupQueryAttention, which appends keys and values to a buffer in place. merged: as fused, and each
residual sum in one operator with the norm behind it, whose weight is then of the graph's type."""

_MASKED: Final = -30000.0
"""Added to the score of a key that lies ahead; exp() of it is 0, and half precision can hold it."""

_STATIC_ROPE: Final = ("default", "linear", "llama3", "yarn")


@dataclass(frozen=True, slots=True)
class WeightSlot:
    """A constant of the graph: matrices `parts` of the network side by side, (inputs, outputs); or vectors
    joined.
    """

    name: str
    parts: tuple[str, ...]
    shape: tuple[int, ...]
    layer: int | None = None

    @property
    def is_matrix(self) -> bool:
        """Whether it is the constant operand of a product."""
        return len(self.shape) == 2

    def read(self, weights: LanguageWeights) -> Any:
        """The constant as float32 in the graph's layout."""
        return weights.joined(self.parts)


def cache_names(prefix: str, layers: int) -> list[str]:
    """`{prefix}.0.key`, `{prefix}.0.value`, `{prefix}.1.key`, ..."""
    return [f"{prefix}.{layer}.{part}" for layer in range(layers) for part in ("key", "value")]


def weight_slots(config: LlamaConfig) -> Iterator[WeightSlot]:
    """Every weight of the graph, layer by layer, with the parameters of LlamaForCausalLM that make it."""
    hidden, inner = config.hidden_size, config.intermediate_size
    attended = config.num_attention_heads * head_dim(config)
    mixed = attended + 2 * kv_heads(config) * head_dim(config)
    biased, mlp_biased = bool(config.attention_bias), bool(config.mlp_bias)
    products = (
        ("qkv", "self_attn", ("q_proj", "k_proj", "v_proj"), hidden, mixed, biased),
        ("out", "self_attn", ("o_proj",), attended, hidden, biased),
        ("gate_up", "mlp", ("gate_proj", "up_proj"), hidden, 2 * inner, mlp_biased),
        ("down", "mlp", ("down_proj",), inner, hidden, mlp_biased),
    )
    norms = (("attention_norm", "input_layernorm"), ("mlp_norm", "post_attention_layernorm"))
    for i in range(config.num_hidden_layers):
        source = f"model.layers.{i}"
        for name, norm in norms:
            yield WeightSlot(f"layers.{i}.{name}.weight", (f"{source}.{norm}.weight",), (hidden,), i)
        for name, block, parts, rows, columns, has_bias in products:
            full = [f"{source}.{block}.{part}" for part in parts]
            yield WeightSlot(
                f"layers.{i}.{name}.weight", tuple(f"{part}.weight" for part in full), (rows, columns), i
            )
            if has_bias:
                biases = tuple(f"{part}.bias" for part in full)
                yield WeightSlot(f"layers.{i}.{name}.bias", biases, (columns,), i)
    yield WeightSlot("norm.weight", ("model.norm.weight",), (hidden,))
    head = "model.embed_tokens.weight" if config.tie_word_embeddings else "lm_head.weight"
    yield WeightSlot("head.weight", (head,), (hidden, config.vocab_size))


class LanguageGraph(nn.Module):
    """LlamaForCausalLM over embeddings, causal mask inside, with the weights of `weight_slots` yet to come.

    Raises ValueError for rotary embeddings that depend on the length of the text.
    """

    def __init__(
        self, config: LlamaConfig, attention: Attention = "standard", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.dtype = dtype
        self.rotary = LlamaRotaryEmbedding(config)
        rope = getattr(self.rotary, "rope_type", "default")
        if rope not in _STATIC_ROPE:
            raise ValueError(f"text_config.rope_type: {rope!r}; use one of {', '.join(_STATIC_ROPE)}")
        self.layers = nn.ModuleList(
            _layer(attention, config, dtype, first=i == 0) for i in range(config.num_hidden_layers)
        )
        size, eps = config.hidden_size, config.rms_norm_eps
        self.norm = SkipNorm(size, eps, dtype) if attention == "merged" else Norm(size, eps)
        self.head = Product(config.hidden_size, config.vocab_size, dtype, bias=False)

    def _read(
        self, hidden: Tensor, past: tuple[tuple[Tensor, Tensor], ...], *shared: Any
    ) -> tuple[Tensor, ...]:
        present = []
        for layer, cache in zip(self.layers, past, strict=True):
            hidden, key, value = layer(hidden, *shared, *cache)
            present += [key, value]
        return (self.head(self.norm(hidden)).float(), *present)


def _layer(attention: Attention, config: LlamaConfig, dtype: torch.dtype, *, first: bool) -> nn.Module:
    if attention == "merged":
        return MergedLayer(config, dtype, first=first)
    return FusedLayer(config, dtype) if attention == "fused" else StandardLayer(config, dtype)


class _StandardGraph(LanguageGraph):
    def forward(
        self, inputs_embeds: Tensor, position_ids: Tensor, past: tuple[tuple[Tensor, Tensor], ...]
    ) -> tuple[Tensor, ...]:
        """Embeddings (n, T, D), positions (n, T) and per layer keys and values (n, Hkv, S, d) -> logits
        (n, T, V), then per layer keys and values (n, Hkv, S + T, d).
        """
        tokens, before = inputs_embeds.shape[1], past[0][0].shape[2]
        cos, sin = self.rotary(inputs_embeds, position_ids)
        half = cos.shape[-1] // 2
        signed_sin = torch.cat([-sin[..., :half], sin[..., half:]], dim=-1)
        rope = (cos[:, :, None].to(self.dtype), signed_sin[:, :, None].to(self.dtype))
        here = torch.arange(tokens, device=inputs_embeds.device) + before
        keys = torch.arange(tokens + before, device=inputs_embeds.device)
        mask = torch.where(keys[None] <= here[:, None], 0.0, _MASKED)[None, None].to(self.dtype)
        return self._read(inputs_embeds.to(self.dtype), past, rope, mask)


class _FusedGraph(LanguageGraph):
    def __init__(
        self, config: LlamaConfig, attention: Attention = "fused", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(config, attention, dtype)
        positions = torch.arange(config.max_position_embeddings)[None]
        cos, sin = self.rotary(torch.zeros(1), positions)
        half = head_dim(config) // 2
        self.register_buffer("cos", cos[0, :, :half].to(dtype).contiguous())
        self.register_buffer("sin", sin[0, :, :half].to(dtype).contiguous())

    def forward(
        self, inputs_embeds: Tensor, last: Tensor, total: Tensor, past: tuple[tuple[Tensor, Tensor], ...]
    ) -> tuple[Tensor, ...]:
        """Embeddings (1, T, D), index of the last token [1] int32, number of tokens () int32 and per layer
        buffers (1, Hkv, capacity, d) -> logits (1, T, V), then the same buffers, longer by T tokens.
        """
        return self._read(inputs_embeds.to(self.dtype), past, (self.cos, self.sin), (last, total))


class _MergedGraph(_FusedGraph):
    def _read(
        self, hidden: Tensor, past: tuple[tuple[Tensor, Tensor], ...], *shared: Any
    ) -> tuple[Tensor, ...]:
        present, update = [], None
        for layer, cache in zip(self.layers, past, strict=True):
            update, hidden, key, value = layer(update, hidden, *shared, *cache)
            present += [key, value]
        normal, _ = self.norm(update, hidden)
        return (self.head(normal).float(), *present)


_GRAPHS: Final[dict[Attention, type[LanguageGraph]]] = {
    "standard": _StandardGraph,
    "fused": _FusedGraph,
    "merged": _MergedGraph,
}


def language_skeleton(
    config: LlamaConfig, attention: Attention = "standard", *, half: bool = False
) -> onnx.ModelProto:
    """The graph without the constants of `weight_slots`, which its nodes name.

    With `half` a graph computes in half precision, norms apart, and keeps keys and values in it;
    embeddings and logits are in single precision all the same.

    "standard": `inputs_embeds` [batch, seq, D], `position_ids` [batch, seq] int64 and
    `past_key_values.{i}.key|value` [batch, kv_heads, past, head_dim] (past may be 0) -> `logits`
    [batch, seq, V], `present.{i}.key|value`. "fused" and "merged" read one text: `last_position` [1] and
    `total_tokens` [] (int32) stand for `position_ids`, and past and present are buffers
    [1, kv_heads, capacity, head_dim], which may be the same memory.
    """
    return copy.deepcopy(_skeleton(_Shape(config.to_json_string(use_diff=False), config), attention, half))


@dataclass(frozen=True, slots=True)
class _Shape:
    """A configuration as what decides a skeleton: equal where its text is."""

    text: str
    config: LlamaConfig = field(compare=False)


# Tracing takes seconds, and a bundle has the same skeleton at several precisions. It holds no weights.
@lru_cache(maxsize=16)
def _skeleton(key: _Shape, attention: Attention, half: bool) -> onnx.ModelProto:
    config = key.config
    layers, limit = config.num_hidden_layers, config.max_position_embeddings
    fused = attention != "standard"
    batch = torch.export.Dim("batch", min=1, max=1024)
    seq = torch.export.Dim("seq", min=1, max=limit)
    past = torch.export.Dim("capacity" if fused else "past", min=int(fused), max=limit)
    n = 1 if fused else 2
    shape = (n, kv_heads(config), 8 if fused else 3, head_dim(config))
    embeds = torch.zeros(n, 5, config.hidden_size)
    dtype = torch.float16 if half else torch.float32
    cache = tuple((torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=dtype)) for _ in range(layers))
    rows = {} if fused else {0: batch}
    free = tuple((rows | {2: past}, rows | {2: past}) for _ in range(layers))
    if fused:
        steps: tuple[Tensor, ...] = (torch.tensor([4], dtype=torch.int32), torch.tensor(5, dtype=torch.int32))
        names, dynamic = ["last_position", "total_tokens"], (None, None)
    else:
        steps = (torch.arange(3, 8).expand(2, 5).contiguous(),)
        names, dynamic = ["position_ids"], ({0: batch, 1: seq},)  # type: ignore[assignment]
    model = trace(
        _GRAPHS[attention](config, attention, dtype),
        (embeds, *steps, cache),
        input_names=["inputs_embeds", *names, *cache_names("past_key_values", layers)],
        output_names=["logits", *cache_names("present", layers)],
        dynamic_shapes=(rows | {1: seq}, *dynamic, free),
        hollow=frozenset(slot.name for slot in weight_slots(config)),
    )
    without_training_outputs(model)
    assert not set(initializers(model)) & {slot.name for slot in weight_slots(config)}
    return model
