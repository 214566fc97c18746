"""Graphs that compute in half precision: the network's numbers, and types as TensorRT wants them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from eegvlm_export.graphs.language import LanguageGraph
from eegvlm_export.recipe import Recipe
from eegvlm_train.model import EegVlmForConditionalGeneration
from onnx import TensorProto, shape_inference
from transformers import LlamaConfig

from eegvlm_rt.backends.onnx_tower import OnnxVisionTower
from tests.export.graphs.test_fused import load, tokens
from tests.export.tiny_models import tower_of


def kinds(model: onnx.ModelProto) -> dict[str, set[int]]:
    """Element types that the products and the norms of a graph read."""
    inferred = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    types = {
        value.name: value.type.tensor_type.elem_type for value in (*inferred.value_info, *inferred.input)
    }
    types |= {tensor.name: tensor.data_type for tensor in inferred.initializer}
    found: dict[str, set[int]] = {}
    for node in inferred.node:
        found.setdefault(node.op_type, set()).update(types[name] for name in node.input if name in types)
    return found


@pytest.mark.parametrize("precision", ["fp16_half", "fp16_half_fused"])
def test_a_language_model_gives_the_networks_logits(
    model: EegVlmForConditionalGeneration, tmp_path: Path, precision: str
) -> None:
    lm, ids = load(model, tmp_path, precision), tokens(60)
    cache, found = None, []
    for part in (ids[:40], ids[40:41], ids[41:]):
        logits, cache = lm.step(lm.embed(part), cache)
        found.append(logits)
    with torch.no_grad():
        exact = model.language_model(input_ids=torch.tensor([ids])).logits[0].numpy()
    assert np.abs(np.concatenate(found) - exact).max() <= 0.02 * np.abs(exact).max()


@pytest.mark.parametrize("half", ["int4_half", "int4_half_fused"])
def test_four_bits_give_what_they_give_in_single_precision(
    tiny_model: EegVlmForConditionalGeneration, tmp_path: Path, half: str
) -> None:
    ids, single = tokens(50), half.replace("_half", "")
    ours, theirs = (
        lm.step(lm.embed(ids))[0] for lm in (load(tiny_model, tmp_path, name) for name in (half, single))
    )
    assert np.abs(ours - theirs).max() <= 0.02 * np.abs(theirs).max()
    if half == "int4_half":
        check_types(onnx.load(tmp_path / "int4_half.onnx"))


def test_a_tower_gives_the_networks_numbers(model: EegVlmForConditionalGeneration) -> None:
    pictures = np.random.default_rng(0).standard_normal((3, 3, 112, 112)).astype(np.float32)
    config = model.config
    tower = OnnxVisionTower(
        tower_of(model, half=True).SerializeToString(),
        visual_tokens=config.num_visual_tokens,
        hidden_size=config.text_config.hidden_size,
    )
    found = tower(pictures)
    with torch.inference_mode():
        exact = model.visual(torch.from_numpy(pictures))
    for ours, theirs in zip((found.stage_logits, found.high, found.visual_tokens), exact, strict=True):
        assert np.abs(ours - theirs.numpy()).max() <= 0.02 * float(theirs.abs().max())
    assert next(model.parameters()).dtype == torch.float32


def check_types(graph: onnx.ModelProto) -> None:
    """Products, keys and values in half precision; norms, embeddings and logits in single."""
    found = kinds(graph)
    assert found["MatMul"] == found["Softmax"] == {TensorProto.FLOAT16}
    assert found["Sqrt"] == {TensorProto.FLOAT}
    assert found["DequantizeLinear"] == {TensorProto.INT4, TensorProto.FLOAT16}
    ends = {
        value.name: value.type.tensor_type.elem_type for value in (*graph.graph.input, *graph.graph.output)
    }
    assert ends.pop("position_ids") == TensorProto.INT64
    assert {ends.pop("inputs_embeds"), ends.pop("logits")} == {TensorProto.FLOAT}
    assert set(ends.values()) == {TensorProto.FLOAT16}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_network_without_its_weights_takes_no_memory(dtype: torch.dtype) -> None:
    wide = LlamaConfig(hidden_size=8192, intermediate_size=16384, num_hidden_layers=1, vocab_size=64000)
    held = [
        parameter.untyped_storage().nbytes() for parameter in LanguageGraph(wide, dtype=dtype).parameters()
    ]
    assert sum(held) < 100_000


def test_a_weight_that_half_precision_cannot_hold_is_named(
    tiny_model: EegVlmForConditionalGeneration, tmp_path: Path
) -> None:
    weight = tiny_model.language_model.lm_head.weight
    kept = weight.data.clone()
    try:
        weight.data[0, 0] = 1e6
        with pytest.raises(ValueError, match=r"head\.weight: 1e\+06; half precision"):
            load(tiny_model, tmp_path, "fp16_half")
    finally:
        weight.data = kept


def test_a_recipe_takes_them_and_keeps_zero_points_out() -> None:
    assert Recipe(tower="fp16_half", llm="int4_half", block_size=64).llm_precisions == ("int4_half",)
    with pytest.raises(ValueError, match="hqq"):
        Recipe(llm="int4_half", method="hqq", block_size=64)
    with pytest.raises(ValueError, match="use 64 or 128"):
        Recipe(llm="int4_half", block_size=32)
