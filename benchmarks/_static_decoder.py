"""A Llama that decodes into buffers of fixed size, so that a step can be recorded once and replayed.

The walk over the layers is our own: what is timed is the network and not the bookkeeping of a library. The
logits are those of the network's own forward (tests/bench/test_static_decoder.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from transformers import LlamaForCausalLM

__all__ = ["Replay", "StaticDecoder", "extend_layer"]

Layer = Any


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021) of x (H, T, D); cos and sin (T, D)."""
    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), dim=-1) * sin


def _projected(layer: Layer, hidden: Tensor, heads: tuple[int, int], cos: Tensor, sin: Tensor) -> Any:
    """Rotated queries (H, T, D), rotated keys and values (Hkv, T, D) of one layer."""
    norm, attention = layer.input_layernorm, layer.self_attn
    x = F.rms_norm(hidden, norm.weight.shape, norm.weight, norm.variance_epsilon)
    steps = hidden.shape[1]
    q = attention.q_proj(x).view(steps, heads[0], -1).transpose(0, 1)
    k = attention.k_proj(x).view(steps, heads[1], -1).transpose(0, 1)
    v = attention.v_proj(x).view(steps, heads[1], -1).transpose(0, 1)
    both = _rotated(torch.cat((q, k)), cos, sin)
    return both[: heads[0]], both[heads[0] :], v


def _finished(layer: Layer, hidden: Tensor, attended: Tensor) -> Tensor:
    """Output projection, residuals and MLP behind attended values (H, T, D)."""
    steps = hidden.shape[1]
    hidden = hidden + layer.self_attn.o_proj(attended.transpose(0, 1).reshape(1, steps, -1))
    norm = layer.post_attention_layernorm
    widened = layer.mlp(F.rms_norm(hidden, norm.weight.shape, norm.weight, norm.variance_epsilon))
    return hidden + cast("Tensor", widened)


def extend_layer(
    layer: Layer, hidden: Tensor, buffers: tuple[Tensor, Tensor], where: tuple[Tensor, ...], heads: Any
) -> Tensor:
    """One layer over T tokens behind those in the buffers; `where`: positions (T,), cos, sin, mask."""
    positions, cos, sin, mask = where
    keys, values = buffers
    q, k, v = _projected(layer, hidden, heads, cos, sin)
    keys.index_copy_(1, positions, k)
    values.index_copy_(1, positions, v)
    groups, steps = heads[0] // heads[1], hidden.shape[1]
    grouped = q.reshape(heads[1], groups * steps, -1)
    scores = torch.matmul(grouped, keys.transpose(1, 2)).view(heads[1], groups, steps, -1)
    shares = torch.softmax(scores * q.shape[-1] ** -0.5 + mask, dim=-1, dtype=torch.float32).to(v.dtype)
    attended = torch.matmul(shares.view(heads[1], groups * steps, -1), values)
    return _finished(layer, hidden, attended.view(heads[0], steps, -1))


class StaticDecoder:
    """One sequence of at most `max_length` tokens. Raises ValueError where a sequence would be longer."""

    def __init__(self, network: LlamaForCausalLM, max_length: int) -> None:
        config = network.config
        self.network, self.max_length, self.length = network, max_length, 0
        kv_heads = config.num_key_value_heads or config.num_attention_heads
        self.heads = (config.num_attention_heads, kv_heads)
        width = config.hidden_size // config.num_attention_heads
        embedding = network.model.embed_tokens.weight
        self.device, self.dtype = embedding.device, embedding.dtype
        shape = (config.num_hidden_layers, kv_heads, max_length, width)
        self.keys = torch.zeros(shape, dtype=self.dtype, device=self.device)
        self.values = torch.zeros_like(self.keys)
        every = torch.arange(max_length, device=self.device)
        cos, sin = network.model.rotary_emb(self.keys[0, :1], every[None])
        self.cos, self.sin = cos[0].to(self.dtype), sin[0].to(self.dtype)
        self.places = every
        self.extend_layer: Callable[..., Tensor] = extend_layer

    @property
    def cache_bytes(self) -> int:
        return 2 * self.keys.numel() * self.keys.element_size()

    def _logits(self, hidden: Tensor) -> Tensor:
        norm = self.network.model.norm
        last = F.rms_norm(hidden[:, -1:], norm.weight.shape, norm.weight, norm.variance_epsilon)
        return cast("Tensor", self.network.lm_head(last))[0, 0]

    def prefill(self, embeds: Tensor) -> Tensor:
        """Start a sequence with embeddings (1, T, D); logits (V,) behind the last."""
        steps = embeds.shape[1]
        self._claim(0, steps)
        cos, sin, hidden = self.cos[:steps], self.sin[:steps], embeds
        for number, layer in enumerate(self.network.model.layers):
            q, k, v = _projected(layer, hidden, self.heads, cos, sin)
            self.keys[number, :, :steps].copy_(k)
            self.values[number, :, :steps].copy_(v)
            grouped = self.heads[0] != self.heads[1]
            attended = F.scaled_dot_product_attention(
                q[None], k[None], v[None], is_causal=True, enable_gqa=grouped
            )
            hidden = _finished(layer, hidden, attended[0])
        return self._logits(hidden)

    def extend(self, ids: Tensor, start: Tensor) -> Tensor:
        """Logits (V,) behind token ids (T,) that follow `start` tokens; `start` is a tensor () so that a
        recorded step can be replayed anywhere."""
        steps = ids.shape[0]
        positions = start + self.places[:steps]
        mask = torch.where(self.places[None] <= positions[:, None], 0.0, -torch.inf).to(self.dtype)
        where = (positions, self.cos[positions], self.sin[positions], mask)
        hidden = self.network.get_input_embeddings()(ids)[None]
        for number, layer in enumerate(self.network.model.layers):
            buffers = (self.keys[number], self.values[number])
            hidden = self.extend_layer(layer, hidden, buffers, where, self.heads)
        return self._logits(hidden)

    def feed(self, ids: Sequence[int]) -> Tensor:
        """Append tokens, launching every operation from Python; logits (V,)."""
        start = torch.tensor(self._claim(self.length, len(ids)), device=self.device)
        return self.extend(torch.tensor(ids, device=self.device), start)

    def _claim(self, start: int, steps: int) -> int:
        if start + steps > self.max_length:
            raise ValueError(f"sequence: {start + steps} tokens; the buffers hold {self.max_length}")
        self.length = start + steps
        return start


class Replay:
    """`StaticDecoder.extend` of a fixed number of tokens as one CUDA graph."""

    def __init__(self, decoder: StaticDecoder, steps: int) -> None:
        self.decoder, self.steps = decoder, steps
        self.ids = torch.zeros(steps, dtype=torch.long, device=decoder.device)
        self.start = torch.zeros((), dtype=torch.long, device=decoder.device)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):
                decoder.extend(self.ids, self.start)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.logits = decoder.extend(self.ids, self.start)

    def feed(self, ids: Sequence[int]) -> Tensor:
        """As `StaticDecoder.feed`; the result is overwritten by the next call."""
        self.start.fill_(self.decoder._claim(self.decoder.length, self.steps))
        self.ids.copy_(torch.tensor(ids))
        self.graph.replay()
        return self.logits
