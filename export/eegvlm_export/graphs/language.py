"""The language model as one graph: embeddings and past keys and values in, logits and present ones out.

The graph is traced with hollow weights, which take no memory: whatever its size, weights are filled in one by
one from where they lie (`initializers.py`).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Literal

import onnx
import torch
from torch import Tensor, nn
from transformers import LlamaConfig
from transformers.activations import ACT2FN
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from ..weights.reader import LanguageWeights
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

Attention = Literal["standard", "fused"]
"""standard: operators of the ONNX standard, keys and values concatenated, what TensorRT reads. fused: ONNX
Runtime's GroupQueryAttention, which appends keys and values to a buffer in place."""

_MASKED: Final = -30000.0
"""Added to the score of a key that lies ahead; exp() of it is 0, and half precision can hold it."""

_REAL_ELEMENTS: Final = 1 << 16

_STATIC_ROPE: Final = ("default", "linear", "llama3", "yarn")
_FUSED_OPERATOR: Final = "com.microsoft::GroupQueryAttention"


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


def head_dim(config: LlamaConfig) -> int:
    """Width of one attention head."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def kv_heads(config: LlamaConfig) -> int:
    """Heads of keys and values."""
    return int(config.num_key_value_heads or config.num_attention_heads)


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


def _hollow(*shape: int, dtype: torch.dtype = torch.float32) -> nn.Parameter:
    """A parameter of one number seen many times. Small ones are real: the exporter joins equal ones."""
    real = math.prod(shape) <= _REAL_ELEMENTS
    values = torch.rand(shape, dtype=dtype) if real else torch.zeros(1, dtype=dtype).expand(shape)
    return nn.Parameter(values, requires_grad=False)


class _Norm(nn.Module):
    """LlamaRMSNorm, written as the division that ONNX Runtime fuses into one operator. Always in single
    precision: squares of large activations are beyond half.
    """

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = _hollow(size)
        self.eps = float(eps)

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return (wide / torch.sqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight).to(x.dtype)


class _Product(nn.Module):
    """x @ weight + bias, the weight as (inputs, outputs)."""

    def __init__(self, rows: int, columns: int, dtype: torch.dtype, *, bias: bool) -> None:
        super().__init__()
        self.weight = _hollow(rows, columns, dtype=dtype)
        self.bias = _hollow(columns, dtype=dtype) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        product = x @ self.weight
        return product if self.bias is None else product + self.bias


class _Layer(nn.Module):
    """One decoder layer; query, key and value are one product, gate and up another: fewer, larger operators
    for single-token steps.
    """

    def __init__(self, config: LlamaConfig, dtype: torch.dtype) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.width = (
            config.num_attention_heads,
            kv_heads(config),
            head_dim(config),
        )
        hidden, inner, attended = config.hidden_size, config.intermediate_size, self.heads * self.width
        mixed = attended + 2 * self.kv_heads * self.width
        self.attention_norm = _Norm(hidden, config.rms_norm_eps)
        self.mlp_norm = _Norm(hidden, config.rms_norm_eps)
        self.qkv = _Product(hidden, mixed, dtype, bias=config.attention_bias)
        self.out = _Product(attended, hidden, dtype, bias=config.attention_bias)
        self.gate_up = _Product(hidden, 2 * inner, dtype, bias=config.mlp_bias)
        self.down = _Product(inner, hidden, dtype, bias=config.mlp_bias)
        self.act = ACT2FN[config.hidden_act]

    def mlp(self, hidden: Tensor) -> Tensor:
        gate, up = self.gate_up(self.mlp_norm(hidden)).chunk(2, dim=-1)
        down: Tensor = self.down(self.act(gate) * up)
        return down


class _StandardLayer(_Layer):
    def forward(
        self, hidden: Tensor, rope: tuple[Tensor, Tensor], mask: Tensor, past_key: Tensor, past_value: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The new hidden state, all keys and all values."""
        batch, tokens = hidden.shape[:2]
        mixed = self.qkv(self.attention_norm(hidden))
        mixed = mixed.reshape(batch, tokens, self.heads + 2 * self.kv_heads, self.width)
        turned = _rotate(mixed[:, :, : self.heads + self.kv_heads], rope).transpose(1, 2)
        query = turned[:, : self.heads]
        key = torch.cat([past_key, turned[:, self.heads :]], dim=2)
        value = torch.cat([past_value, mixed[:, :, self.heads + self.kv_heads :].transpose(1, 2)], dim=2)
        mean = self._attend(query, key, value, mask).transpose(1, 2)
        hidden = hidden + self.out(mean.reshape(batch, tokens, self.heads * self.width))
        return hidden + self.mlp(hidden), key, value

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        scale = self.width**-0.5
        if self.kv_heads == self.heads:
            return torch.softmax((query * scale) @ key.transpose(2, 3) + mask, dim=-1) @ value
        batch, _, tokens, _ = query.shape
        share = self.heads // self.kv_heads
        query = (query * scale).reshape(batch, self.kv_heads, share * tokens, self.width)
        score = (query @ key.transpose(2, 3)).reshape(batch, self.kv_heads, share, tokens, key.shape[2])
        weight = torch.softmax(score + mask[:, None], dim=-1)
        weight = weight.reshape(batch, self.kv_heads, share * tokens, key.shape[2])
        return (weight @ value).reshape(batch, self.heads, tokens, self.width)


class _FusedLayer(_Layer):
    def forward(
        self, hidden: Tensor, rope: tuple[Tensor, Tensor], lengths: tuple[Tensor, Tensor], *past: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The new hidden state; keys and values in buffers of the past's size."""
        batch, tokens = hidden.shape[:2]
        mixed = self.qkv(self.attention_norm(hidden))
        mean, key, value = torch.onnx.ops.symbolic_multi_out(
            _FUSED_OPERATOR,
            (mixed, None, None, *past, *lengths, *rope),
            attrs={
                "num_heads": self.heads,
                "kv_num_heads": self.kv_heads,
                "do_rotary": 1,
                "scale": self.width**-0.5,
            },
            dtypes=(mixed.dtype, past[0].dtype, past[1].dtype),
            shapes=((batch, tokens, self.heads * self.width), tuple(past[0].shape), tuple(past[1].shape)),
            version=1,
        )
        hidden = hidden + self.out(mean)
        return hidden + self.mlp(hidden), key, value


def _rotate(x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    cos, signed_sin = rope
    half = x.shape[-1] // 2
    return x * cos + torch.cat([x[..., half:], x[..., :half]], dim=-1) * signed_sin


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
        kind = _FusedLayer if attention == "fused" else _StandardLayer
        self.layers = nn.ModuleList(kind(config, dtype) for _ in range(config.num_hidden_layers))
        self.norm = _Norm(config.hidden_size, config.rms_norm_eps)
        self.head = _Product(config.hidden_size, config.vocab_size, dtype, bias=False)

    def _read(
        self, hidden: Tensor, past: tuple[tuple[Tensor, Tensor], ...], *shared: Any
    ) -> tuple[Tensor, ...]:
        present = []
        for layer, cache in zip(self.layers, past, strict=True):
            hidden, key, value = layer(hidden, *shared, *cache)
            present += [key, value]
        return (self.head(self.norm(hidden)).float(), *present)


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
    def __init__(self, config: LlamaConfig, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(config, "fused", dtype)
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


def language_skeleton(
    config: LlamaConfig, attention: Attention = "standard", *, half: bool = False
) -> onnx.ModelProto:
    """The graph without the constants of `weight_slots`, which its nodes name.

    With `half` a graph computes in half precision, norms apart, and keeps keys and values in it;
    embeddings and logits are in single precision all the same.

    "standard": `inputs_embeds` [batch, seq, D], `position_ids` [batch, seq] int64 and
    `past_key_values.{i}.key|value` [batch, kv_heads, past, head_dim] (past may be 0) -> `logits`
    [batch, seq, V], `present.{i}.key|value`. "fused" reads one text: `last_position` [1] and `total_tokens`
    [] (int32) stand for `position_ids`, and past and present are buffers [1, kv_heads, capacity, head_dim],
    which may be the same memory.
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
    fused = attention == "fused"
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
        (_FusedGraph if fused else _StandardGraph)(config, dtype=dtype),
        (embeds, *steps, cache),
        input_names=["inputs_embeds", *names, *cache_names("past_key_values", layers)],
        output_names=["logits", *cache_names("present", layers)],
        dynamic_shapes=(rows | {1: seq}, *dynamic, free),
        hollow=frozenset(slot.name for slot in weight_slots(config)),
    )
    assert not set(initializers(model)) & {slot.name for slot in weight_slots(config)}
    return model
