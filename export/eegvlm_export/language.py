"""The language model as one graph: embeddings and past keys and values in, logits and present ones out."""

from __future__ import annotations

from typing import Any, Final

import onnx
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from .graph import trace
from .modules import joined

__all__ = ["LanguageGraph", "cache_names", "export_language", "head_dim", "kv_heads"]

_MASKED: Final = -30000.0
"""Added to the score of a key that lies ahead; exp() of it is 0, and half precision can hold it."""

_STATIC_ROPE: Final = ("default", "linear", "llama3", "yarn")


def head_dim(config: LlamaConfig) -> int:
    """Width of one attention head."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def kv_heads(config: LlamaConfig) -> int:
    """Heads of keys and values."""
    return int(config.num_key_value_heads or config.num_attention_heads)


def cache_names(prefix: str, layers: int) -> list[str]:
    """`{prefix}.0.key`, `{prefix}.0.value`, `{prefix}.1.key`, ..."""
    return [f"{prefix}.{layer}.{part}" for layer in range(layers) for part in ("key", "value")]


class _Norm(nn.Module):
    """LlamaRMSNorm, written as the division that ONNX Runtime fuses into one operator."""

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.weight = norm.weight
        self.eps = float(norm.variance_epsilon)

    def forward(self, x: Tensor) -> Tensor:
        return x / torch.sqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


class _Layer(nn.Module):
    """One decoder layer; `forward` returns the new hidden state and all keys and values."""

    def __init__(self, layer: Any, config: LlamaConfig) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.kv_heads = kv_heads(config)
        self.width = head_dim(config)
        attention, mlp = layer.self_attn, layer.mlp
        self.attention_norm = _Norm(layer.input_layernorm)
        self.mlp_norm = _Norm(layer.post_attention_layernorm)
        self.qkv = joined(attention.q_proj, attention.k_proj, attention.v_proj)
        self.out = attention.o_proj
        self.gate_up = joined(mlp.gate_proj, mlp.up_proj)
        self.down = mlp.down_proj
        self.act = mlp.act_fn

    def forward(
        self, hidden: Tensor, rope: tuple[Tensor, Tensor], mask: Tensor, past_key: Tensor, past_value: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        batch, tokens = hidden.shape[:2]
        mixed = self.qkv(self.attention_norm(hidden))
        mixed = mixed.reshape(batch, tokens, self.heads + 2 * self.kv_heads, self.width)
        turned = _rotate(mixed[:, :, : self.heads + self.kv_heads], rope).transpose(1, 2)
        query = turned[:, : self.heads]
        key = torch.cat([past_key, turned[:, self.heads :]], dim=2)
        value = torch.cat([past_value, mixed[:, :, self.heads + self.kv_heads :].transpose(1, 2)], dim=2)
        mean = self._attend(query, key, value, mask).transpose(1, 2)
        hidden = hidden + self.out(mean.reshape(batch, tokens, self.heads * self.width))
        gate, up = self.gate_up(self.mlp_norm(hidden)).chunk(2, dim=-1)
        return hidden + self.down(self.act(gate) * up), key, value

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


def _rotate(x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    cos, signed_sin = rope
    half = x.shape[-1] // 2
    return x * cos + torch.cat([x[..., half:], x[..., :half]], dim=-1) * signed_sin


class LanguageGraph(nn.Module):
    """LlamaForCausalLM over embeddings, with its causal mask inside and no operator outside the standard set.

    Query, key and value are one product, gate and up another: fewer, larger operators for single-token steps.
    Raises ValueError for rotary embeddings that depend on the length of the text.
    """

    def __init__(self, model: LlamaForCausalLM) -> None:
        super().__init__()
        rope = getattr(model.model.rotary_emb, "rope_type", "default")
        if rope not in _STATIC_ROPE:
            raise ValueError(f"text_config.rope_type: {rope!r}; use one of {', '.join(_STATIC_ROPE)}")
        self.layers = nn.ModuleList(_Layer(layer, model.config) for layer in model.model.layers)
        self.rotary = model.model.rotary_emb
        self.norm = _Norm(model.model.norm)
        self.head = model.lm_head

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
        rope = (cos[:, :, None], signed_sin[:, :, None])
        here = torch.arange(tokens, device=inputs_embeds.device) + before
        keys = torch.arange(tokens + before, device=inputs_embeds.device)
        mask = torch.where(keys[None] <= here[:, None], 0.0, _MASKED)[None, None]
        hidden, present = inputs_embeds, []
        for layer, (past_key, past_value) in zip(self.layers, past, strict=True):
            hidden, key, value = layer(hidden, rope, mask, past_key, past_value)
            present += [key, value]
        return (self.head(self.norm(hidden)), *present)


def export_language(model: LlamaForCausalLM) -> onnx.ModelProto:
    """fp32 graph with the inputs and outputs that `eegvlm_rt.backends` reads.

    `inputs_embeds` [batch, seq, D], `position_ids` [batch, seq] int64 and `past_key_values.{i}.key|value`
    [batch, kv_heads, past, head_dim] (past may be 0) -> `logits` [batch, seq, V], `present.{i}.key|value`.
    """
    config = model.config
    layers, limit = config.num_hidden_layers, config.max_position_embeddings
    batch = torch.export.Dim("batch", min=1, max=1024)
    seq = torch.export.Dim("seq", min=1, max=limit)
    past = torch.export.Dim("past", min=0, max=limit)
    shape = (2, kv_heads(config), 3, head_dim(config))
    embeds = torch.zeros(2, 5, config.hidden_size)
    positions = torch.arange(3, 8).expand(2, 5).contiguous()
    cache = tuple((torch.zeros(shape), torch.zeros(shape)) for _ in range(layers))
    free = tuple(({0: batch, 2: past}, {0: batch, 2: past}) for _ in range(layers))
    return trace(
        LanguageGraph(model),
        (embeds, positions, cache),
        input_names=["inputs_embeds", "position_ids", *cache_names("past_key_values", layers)],
        output_names=["logits", *cache_names("present", layers)],
        dynamic_shapes=({0: batch, 1: seq}, {0: batch, 1: seq}, free),
    )
