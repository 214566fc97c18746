"""Ways to 4 bits: what each loses, on the weights and on what the network reads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from eegvlm_export.graphs.language import weight_slots
from eegvlm_export.quantize.blockwise import BlockQuantized
from eegvlm_export.quantize.calibrate import quantize_network
from eegvlm_export.quantize.four_bits import METHODS, Method, quantize_with
from eegvlm_export.weights.reader import ModelWeights
from eegvlm_train.model import EegVlmForConditionalGeneration


@pytest.fixture(scope="module")
def weight() -> np.ndarray:
    return np.random.default_rng(0).standard_t(4, (128, 48)).astype(np.float32)


@pytest.fixture(scope="module")
def inputs() -> np.ndarray:
    rng = np.random.default_rng(1)
    mixed = rng.standard_normal((2000, 24)) @ rng.standard_normal((24, 128))
    return (mixed + 0.3 * rng.standard_normal((2000, 128))).astype(np.float32)


def lost(weight: np.ndarray, packed: BlockQuantized, inputs: np.ndarray) -> float:
    exact = inputs @ weight
    return float(np.square(inputs @ packed.dequantized() - exact).sum() / np.square(exact).sum())


def test_a_searched_scale_loses_less_than_rounding(weight: np.ndarray) -> None:
    assert quantize_with("search", weight, 32).error < quantize_with("rtn", weight, 32).error


def test_gptq_loses_least_on_what_is_read(weight: np.ndarray, inputs: np.ndarray) -> None:
    moments = (inputs.T @ inputs / len(inputs)).astype(np.float64)
    gptq = lost(weight, quantize_with("gptq", weight, 32, moments), inputs)
    assert gptq < 0.6 * lost(weight, quantize_with("search", weight, 32), inputs)


def test_hqq_has_zero_points_and_loses_little(weight: np.ndarray) -> None:
    packed = quantize_with("hqq", weight, 32)
    assert packed.zeros is not None
    assert packed.values.max() <= 15
    assert packed.error < 1.2 * quantize_with("rtn", weight, 32).error


def test_gptq_without_moments_says_what_is_missing(weight: np.ndarray) -> None:
    with pytest.raises(ValueError, match="second moments"):
        quantize_with("gptq", weight, 32)


@pytest.mark.parametrize("method", ["gptq", "awq"])
def test_a_network_quantised_on_what_it_reads_loses_less_than_by_rounding(
    tiny_model: EegVlmForConditionalGeneration, method: Method
) -> None:
    lm = tiny_model.language_model
    generator = torch.Generator().manual_seed(0)
    texts = [torch.randn(1, 80, lm.config.hidden_size, generator=generator) for _ in range(6)]
    fitted = quantize_network(lm.config, ModelWeights(lm), texts[:5], method, 32).weights
    rounded = {
        slot.name: quantize_with("rtn", slot.read(ModelWeights(lm)), 32)
        for slot in weight_slots(lm.config)
        if slot.is_matrix and slot.layer is not None
    }
    with torch.no_grad():
        exact = lm(inputs_embeds=texts[5]).logits
        errors = [
            float((replaced(lm, c)(inputs_embeds=texts[5]).logits - exact).norm()) for c in (fitted, rounded)
        ]
    assert errors[0] < errors[1]


def replaced(lm: torch.nn.Module, content: dict[str, object]) -> torch.nn.Module:
    """The network with what was quantised put back as numbers."""
    import copy

    other = copy.deepcopy(lm)
    for slot in weight_slots(lm.config):  # type: ignore[arg-type]
        if slot.name not in content:
            continue
        made = content[slot.name]
        numbers = torch.from_numpy(made.dequantized() if isinstance(made, BlockQuantized) else made)
        start = 0
        for name in slot.parts:
            parameter = other.get_parameter(name)
            width = parameter.shape[0]
            part = numbers[..., start : start + width]
            parameter.copy_(part.T if part.ndim == 2 else part)
            start += width
    return other


def test_every_method_has_a_name_a_recipe_takes() -> None:
    assert METHODS == ("rtn", "search", "hqq", "gptq", "awq")
