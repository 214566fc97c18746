"""The layers of a decoder as modules to trace: of standard operators, with fused attention, and with residual
sums merged into the norms behind them.

Weights are hollow, which takes no memory; see `language.py`.
"""

from __future__ import annotations

import math
from typing import Final

import onnx
import torch
from torch import Tensor, nn
from transformers import LlamaConfig
from transformers.activations import ACT2FN

__all__ = [
    "FUSED_ATTENTION",
    "SKIP_NORM",
    "FusedLayer",
    "MergedLayer",
    "Norm",
    "Product",
    "SkipNorm",
    "StandardLayer",
    "head_dim",
    "kv_heads",
    "without_training_outputs",
]

FUSED_ATTENTION: Final = "com.microsoft::GroupQueryAttention"
SKIP_NORM: Final = "com.microsoft::SkipSimplifiedLayerNormalization"

_REAL_ELEMENTS: Final = 1 << 16


def head_dim(config: LlamaConfig) -> int:
    """Width of one attention head."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def kv_heads(config: LlamaConfig) -> int:
    """Heads of keys and values."""
    return int(config.num_key_value_heads or config.num_attention_heads)


def _hollow(*shape: int, dtype: torch.dtype = torch.float32) -> nn.Parameter:
    """A parameter of one number seen many times. Small ones are real: the exporter joins equal ones."""
    real = math.prod(shape) <= _REAL_ELEMENTS
    values = torch.rand(shape, dtype=dtype) if real else torch.zeros(1, dtype=dtype).expand(shape)
    return nn.Parameter(values, requires_grad=False)


class Norm(nn.Module):
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


class SkipNorm(nn.Module):
    """A residual sum and LlamaRMSNorm of it in one operator of ONNX Runtime, which adds in the type of its
    inputs and takes the squares in single precision. Its weight has that type too.
    """

    def __init__(self, size: int, eps: float, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = _hollow(size, dtype=dtype)
        self.eps = float(eps)

    def forward(self, update: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """The norm of `update + hidden`, and the sum itself."""
        shape = tuple(hidden.shape)
        # The operator's second and third output are for training; `without_training_outputs` takes them out.
        normal, _, _, total = torch.onnx.ops.symbolic_multi_out(
            SKIP_NORM,
            (update, hidden, self.weight),
            attrs={"epsilon": self.eps},
            dtypes=(hidden.dtype, torch.float32, torch.float32, hidden.dtype),
            shapes=(shape, (*shape[:-1], 1), (*shape[:-1], 1), shape),
            version=1,
        )
        return normal, total


def without_training_outputs(model: onnx.ModelProto) -> None:
    """Leave out the mean and the deviation of every `SkipNorm`, which no inference kernel writes."""
    domain, name = SKIP_NORM.split("::")
    for node in model.graph.node:
        if (node.domain, node.op_type) == (domain, name):
            node.output[1] = node.output[2] = ""


class Product(nn.Module):
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
        self.attention_norm: nn.Module = Norm(hidden, config.rms_norm_eps)
        self.mlp_norm: nn.Module = Norm(hidden, config.rms_norm_eps)
        self.qkv = Product(hidden, mixed, dtype, bias=config.attention_bias)
        self.out = Product(attended, hidden, dtype, bias=config.attention_bias)
        self.gate_up = Product(hidden, 2 * inner, dtype, bias=config.mlp_bias)
        self.down = Product(inner, hidden, dtype, bias=config.mlp_bias)
        self.act = ACT2FN[config.hidden_act]

    def mlp(self, normal: Tensor) -> Tensor:
        gate, up = self.gate_up(normal).chunk(2, dim=-1)
        down: Tensor = self.down(self.act(gate) * up)
        return down


class StandardLayer(_Layer):
    """Of operators of the ONNX standard, keys and values concatenated."""

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
        return hidden + self.mlp(self.mlp_norm(hidden)), key, value

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


class _AttentionInPlace(_Layer):
    def attend(
        self, mixed: Tensor, rope: tuple[Tensor, Tensor], lengths: tuple[Tensor, Tensor], *past: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mean of the values, and keys and values in buffers of the past's size."""
        batch, tokens = mixed.shape[:2]
        mean, key, value = torch.onnx.ops.symbolic_multi_out(
            FUSED_ATTENTION,
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
        return mean, key, value


class FusedLayer(_AttentionInPlace):
    """With ONNX Runtime's GroupQueryAttention."""

    def forward(
        self, hidden: Tensor, rope: tuple[Tensor, Tensor], lengths: tuple[Tensor, Tensor], *past: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The new hidden state; keys and values in buffers of the past's size."""
        mean, key, value = self.attend(self.qkv(self.attention_norm(hidden)), rope, lengths, *past)
        hidden = hidden + self.out(mean)
        return hidden + self.mlp(self.mlp_norm(hidden)), key, value


class MergedLayer(_AttentionInPlace):
    """As `FusedLayer`, with each residual sum in one operator with the norm behind it. What the layer adds to
    the hidden state is handed on, for the norm of the next layer to add.
    """

    def __init__(self, config: LlamaConfig, dtype: torch.dtype, *, first: bool) -> None:
        super().__init__(config, dtype)
        self.mlp_norm = SkipNorm(config.hidden_size, config.rms_norm_eps, dtype)
        if not first:
            self.attention_norm = SkipNorm(config.hidden_size, config.rms_norm_eps, dtype)

    def forward(
        self,
        update: Tensor | None,
        hidden: Tensor,
        rope: tuple[Tensor, Tensor],
        lengths: tuple[Tensor, Tensor],
        *past: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What is yet to be added to the hidden state, that state, keys and values."""
        if update is None:
            normal = self.attention_norm(hidden)
        else:
            normal, hidden = self.attention_norm(update, hidden)
        mean, key, value = self.attend(self.qkv(normal), rope, lengths, *past)
        normal, hidden = self.mlp_norm(self.out(mean), hidden)
        return self.mlp(normal), hidden, key, value


def _rotate(x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    cos, signed_sin = rope
    half = x.shape[-1] // 2
    return x * cos + torch.cat([x[..., half:], x[..., :half]], dim=-1) * signed_sin
