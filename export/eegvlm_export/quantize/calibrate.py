"""GPTQ and AWQ: a language model is walked layer by layer with what it reads, and quantised on the way."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaRotaryEmbedding

from eegvlm_rt.prompt import Mode
from eegvlm_rt.rationale.grammar import parse_choices

from ..graphs.language import WeightSlot, weight_slots
from ..weights.reader import LanguageWeights
from ..weights.reference import decoder_of, pictures, reference_language_model
from .blockwise import BlockQuantized, quantize_blocks
from .epochs import SIMULATED, load_epochs
from .four_bits import Method, quantize_with
from .packing import WeightsQuantized

if TYPE_CHECKING:
    from ..recipe import Recipe
    from ..weights.checkpoint import Checkpoint

__all__ = ["calibration_texts", "calibrator", "quantize_network"]

Float32 = NDArray[np.float32]

_TEXTS: Final = 24
_EXPONENTS: Final = np.linspace(0.0, 1.0, 11)
_INPUT_OF: Final = {"qkv": "q_proj", "out": "o_proj", "gate_up": "gate_proj", "down": "down_proj"}
_SCALED_BY: Final = {"qkv": "attention_norm", "gate_up": "mlp_norm"}


def calibrator(checkpoint: Checkpoint, recipe: Recipe) -> Callable[[], WeightsQuantized]:
    """Quantises the checkpoint's language model on `_TEXTS` simulated epochs with their reasoning."""

    def run() -> WeightsQuantized:
        return quantize_network(
            checkpoint.config.text_config,
            checkpoint.language,
            calibration_texts(checkpoint),
            recipe.method,
            recipe.block_size,
        )

    return run


def calibration_texts(checkpoint: Checkpoint, count: int = _TEXTS) -> list[Tensor]:
    """Embeddings (1, T, D) of picture, question and the network's reasoning, for epochs of every stage."""
    processor, model = checkpoint.processor, checkpoint.model
    decoder = decoder_of(checkpoint, reference_language_model(checkpoint))
    epochs = load_epochs(SIMULATED, count, processor.preprocessing, "calibration")
    texts = []
    for batch in pictures(epochs, processor.render):
        with torch.inference_mode():
            looks = model.visual(torch.from_numpy(batch)).visual_tokens
            for look in looks:
                decoded = decoder.decode_rationale(decoder.prefix(look.numpy()))
                prompt = processor.prompt
                parts = prompt.segments(
                    Mode.COT, parse_choices(decoded.text), visual_tokens=model.config.num_visual_tokens
                )
                ids = torch.tensor([prompt.encode(processor.tokenizer, parts)])
                texts.append(model.embed(ids, look[None]).float().clone())
    return texts


def quantize_network(
    config: LlamaConfig, weights: LanguageWeights, texts: Sequence[Tensor], method: Method, block: int
) -> WeightsQuantized:
    """Blocks of every product in the layers, and norms, by "gptq" or "awq", on embeddings (1, T, D).

    One layer is in memory at a time. Later layers see what the quantised ones before them give.
    """
    config = copy.deepcopy(config)
    config._attn_implementation = "sdpa"
    rotary = LlamaRotaryEmbedding(config)
    hidden = [text.float() for text in texts]
    slots: dict[int, dict[str, WeightSlot]] = {}
    for slot in weight_slots(config):
        if slot.layer is not None:
            slots.setdefault(slot.layer, {})[slot.name.split(".", 2)[2]] = slot
    tensors: dict[str, BlockQuantized | Float32] = {}
    with torch.inference_mode():
        for i in range(config.num_hidden_layers):
            layer = _layer(config, i, weights)
            moments = _moments(layer, hidden, rotary)
            numbers = {name: slot.read(weights) for name, slot in slots[i].items()}
            packed = _quantize_layer(numbers, moments, method, block, bool(config.mlp_bias))
            tensors |= {slots[i][name].name: content for name, content in packed.items()}
            _put_back(layer, packed, slots[i])
            hidden = [_forward(layer, text, rotary) for text in hidden]
    return WeightsQuantized(tensors)


def _layer(config: LlamaConfig, index: int, weights: LanguageWeights) -> Any:
    layer: Any = LlamaDecoderLayer(config, index).float().eval()
    prefix = f"model.layers.{index}."
    layer.load_state_dict({name: weights.tensor(prefix + name).float() for name in layer.state_dict()})
    return layer


def _forward(layer: Any, hidden: Tensor, rotary: Any) -> Tensor:
    rope = rotary(hidden, torch.arange(hidden.shape[1])[None])
    output = layer(hidden, position_embeddings=rope)
    return output if isinstance(output, Tensor) else output[0]


def _moments(layer: Any, texts: Sequence[Tensor], rotary: Any) -> dict[str, NDArray[np.float64]]:
    """Mean outer product of the inputs of every product."""
    sums: dict[str, Tensor] = {}
    rows = 0

    def hook(name: str) -> Callable[..., None]:
        def add(_: Any, inputs: tuple[Tensor, ...]) -> None:
            inputs_flat = inputs[0].flatten(0, -2)
            sums[name] = sums.get(name, 0) + inputs_flat.T @ inputs_flat

        return add

    modules = dict(layer.named_modules())
    handles = [
        next(m for path, m in modules.items() if path.endswith(source)).register_forward_pre_hook(hook(name))
        for name, source in _INPUT_OF.items()
    ]
    for text in texts:
        _forward(layer, text, rotary)
        rows += text.shape[1]
    for handle in handles:
        handle.remove()
    return {name: (total / rows).double().numpy() for name, total in sums.items()}


def _quantize_layer(
    numbers: dict[str, Float32],
    moments: dict[str, NDArray[np.float64]],
    method: Method,
    block: int,
    biased: bool,
) -> dict[str, BlockQuantized | Float32]:
    numbers = dict(numbers)
    changed: dict[str, BlockQuantized | Float32] = {}
    products = [
        name for name in ("down", "out", "qkv", "gate_up") if numbers[f"{name}.weight"].shape[0] % block == 0
    ]
    for name in products:
        weight = numbers[f"{name}.weight"]
        if method == "awq" and name in _SCALED_BY:
            weight = weight * (scale := _awq_scale(weight, moments[name], block))[:, None]
            norm = f"{_SCALED_BY[name]}.weight"
            changed[norm] = numbers[norm] / scale
        elif method == "awq" and name == "down" and not biased:
            weight = weight * (scale := _awq_scale(weight, moments[name], block))[:, None]
            gate_up = numbers["gate_up.weight"].copy()
            gate_up[:, len(scale) :] /= scale
            numbers["gate_up.weight"] = gate_up
            changed["gate_up.weight"] = gate_up
        changed[f"{name}.weight"] = quantize_with(
            "search" if method == "awq" else method, weight, block, moments[name]
        )
    return changed


def _awq_scale(weight: Float32, moments: NDArray[np.float64], block: int) -> Float32:
    """Scales of the inputs (K,) with the smallest error of the product on what it reads."""
    size = np.sqrt(np.diag(moments)).astype(np.float32) + np.float32(1e-6)
    spread = moments.astype(np.float32)
    best, best_scale = np.inf, np.ones_like(size)
    for exponent in _EXPONENTS:
        scale = size ** np.float32(exponent)
        scale = scale / np.sqrt(scale.max() * scale.min())
        back = quantize_blocks(weight * scale[:, None], 4, block, search=False).dequantized()
        delta = back / scale[:, None] - weight
        error = float(np.einsum("kn,kn->", spread @ delta, delta))
        if error < best:
            best, best_scale = error, scale
    return best_scale


def _put_back(layer: Any, packed: dict[str, BlockQuantized | Float32], slots: dict[str, WeightSlot]) -> None:
    for name, content in packed.items():
        numbers = content.dequantized() if isinstance(content, BlockQuantized) else content
        for parameter, part in _parts(layer, slots[name], torch.from_numpy(numbers)):
            parameter.copy_(part)


def _parts(layer: Any, slot: WeightSlot, numbers: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    start = 0
    for full in slot.parts:
        parameter = layer.get_parameter(full.split(".", 3)[3])
        width = parameter.shape[0]
        yield parameter, numbers[..., start : start + width].T if numbers.ndim == 2 else numbers
        start += width
