"""How long a device of known memory bandwidth would take: a model, held against published figures.

One token reads every weight of the decoder and the keys and values before it once, so it takes at least
their bytes over the bandwidth; decoders reach a share of that. Prefill does two operations a weight and
token, so it takes at least those over the rate of the matrix units. Both shares come from what others
published on the same device; nothing here was measured on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = [
    "DEVICES",
    "PUBLISHED",
    "SHAPES",
    "Decoder",
    "Device",
    "Published",
    "bandwidth_share",
    "predict",
    "rate",
]

# A group of 32 four-bit weights with one scale of 16 bits, as in the int4 bundles.
INT4_BITS: Final = 4.5
FP16_BITS: Final = 16.0


@dataclass(frozen=True, slots=True)
class Device:
    """`gb_per_s`: memory bandwidth of the data sheet, 10^9 bytes a second; `memory_gb`: what all share."""

    name: str
    gb_per_s: float
    memory_gb: int


DEVICES: Final = {
    "agx-orin": Device("Jetson AGX Orin 64 GB", 204.8, 64),
    "orin-nx": Device("Jetson Orin NX 16 GB", 102.4, 16),
    "orin-nano": Device("Jetson Orin Nano 8 GB", 102.4, 8),
    "thor": Device("Jetson Thor T5000", 273.0, 128),
}


@dataclass(frozen=True, slots=True)
class Published:
    """One published figure in 4 bits, batch 1: `parameters` as the model is called, in 10^9."""

    device: str
    model: str
    parameters: float
    ms_per_token: float
    prefill_tokens: int | None
    prefill_ms: float | None
    source: str


_EDGE_LLM: Final = "TensorRT Edge-LLM 0.10"
_EDGE_LLM_THOR: Final = "TensorRT Edge-LLM 0.4"
_TINYCHAT: Final = "TinyChat (AWQ)"
PUBLISHED: Final = (
    Published("agx-orin", "8B", 8.0, 1e3 / 30.6, 2048, 1388.0, _EDGE_LLM),
    Published("orin-nx", "4B", 4.0, 1e3 / 29.4, 2048, 1741.0, _EDGE_LLM),
    Published("orin-nano", "2B", 2.0, 1e3 / 32.3, 2048, 1017.0, _EDGE_LLM),
    Published("agx-orin", "Llama-2-13B", 13.0, 47.7, None, None, _TINYCHAT),
    Published("agx-orin", "VILA-13B", 13.0, 57.1, None, None, _TINYCHAT),
    Published("agx-orin", "VILA-7B", 6.7, 28.1, None, None, _TINYCHAT),
    Published("thor", "Llama-3.1-8B", 8.0, 1e3 / 50.8, 383, 215.5, _EDGE_LLM_THOR),
)


@dataclass(frozen=True, slots=True)
class Decoder:
    """Llama's numbers: weights of the layers, of the output table, and half-precision KV bytes a token."""

    layers: int
    hidden: int
    intermediate: int
    vocabulary: int = 32064

    @property
    def layer_weights(self) -> int:
        return self.layers * (4 * self.hidden**2 + 3 * self.hidden * self.intermediate)

    @property
    def head_weights(self) -> int:
        return self.vocabulary * self.hidden

    @property
    def kv_bytes(self) -> int:
        return 2 * 2 * self.layers * self.hidden

    def bytes_per_token(self, bits: float, context: int) -> float:
        """Layers in `bits` a weight, output table in half precision, keys and values of `context` tokens."""
        return self.layer_weights * bits / 8 + 2 * self.head_weights + self.kv_bytes * context

    def prefill_operations(self, tokens: int) -> float:
        """Two a weight and token, and the causal attention's; the output table is asked once."""
        attention = 2 * self.layers * self.hidden * tokens**2
        return 2.0 * self.layer_weights * tokens + attention + 2.0 * self.head_weights


SHAPES: Final = {"7b": Decoder(32, 4096, 11008), "13b": Decoder(40, 5120, 13824)}


def bandwidth_share(figure: Published) -> float:
    """Share of the device's bandwidth that a published token rate amounts to, all weights at `INT4_BITS`."""
    needed_ms = figure.parameters * 1e9 * INT4_BITS / 8 / (DEVICES[figure.device].gb_per_s * 1e6)
    return needed_ms / figure.ms_per_token


def rate(figure: Published) -> float | None:
    """Operations a second (10^12) that a published prefill amounts to, two a weight and token."""
    if figure.prefill_tokens is None or figure.prefill_ms is None:
        return None
    return 2 * figure.parameters * figure.prefill_tokens / figure.prefill_ms


@dataclass(frozen=True, slots=True)
class Prediction:
    """Milliseconds as (fastest, slowest) of what the published figures allow."""

    token_ms: tuple[float, float]
    prefill_ms: tuple[float, float]

    def text_ms(self, runs: int) -> tuple[float, float]:
        """Prefill and `runs` runs of the decoder."""
        return tuple(p + runs * t for p, t in zip(self.prefill_ms, self.token_ms, strict=True))  # type: ignore[return-value]


def predict(device: str, shape: Decoder, tokens: int, context: int) -> Prediction:
    """Four bits on `device`: `tokens` of prefill, then tokens with `context` before them on average.

    Raises ValueError for a device without published figures of both kinds.
    """
    figures = [figure for figure in PUBLISHED if figure.device == device]
    shares = [bandwidth_share(figure) for figure in figures]
    rates = [value for figure in figures if (value := rate(figure)) is not None]
    if not shares or not rates:
        raise ValueError(f"device: {device!r} has no published token rate and prefill")
    floor = shape.bytes_per_token(INT4_BITS, context) / (DEVICES[device].gb_per_s * 1e6)
    operations = shape.prefill_operations(tokens)
    return Prediction(
        (floor / max(shares), floor / min(shares)),
        (operations / max(rates) / 1e9, operations / min(rates) / 1e9),
    )
