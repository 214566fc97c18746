"""Where TensorRT for RTX is installed, its parser takes every graph; it needs no GPU for that."""

from __future__ import annotations

import copy

import numpy as np
import onnx
import pytest
from eegvlm_export.blockwise import Bits, quantize_matmuls, store_half
from eegvlm_export.language import export_language
from eegvlm_export.static8 import quantize_static8
from eegvlm_export.tower import export_tower
from eegvlm_train.model import EegVlmForConditionalGeneration

trt = pytest.importorskip("tensorrt_rtx")


def parsed(model: onnx.ModelProto) -> list[str]:
    """What the parser objects to."""
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    parser.parse(model.SerializeToString())
    return [parser.get_error(i).desc() for i in range(parser.num_errors)]


def test_towers_are_parsed(model: EegVlmForConditionalGeneration) -> None:
    tower = export_tower(model)
    noise = np.random.default_rng(0).standard_normal((2, 3, 112, 112)).astype(np.float32)
    quantized = quantize_static8(tower, [noise])
    for graph in (tower, quantized):
        assert parsed(graph) == []
        store_half(graph)
        assert parsed(graph) == []


@pytest.mark.parametrize("bits", [4, 8])
def test_language_models_are_parsed(model: EegVlmForConditionalGeneration, bits: Bits) -> None:
    graph = export_language(model.language_model)
    assert parsed(graph) == []
    quantized = copy.deepcopy(graph)
    quantize_matmuls(quantized, bits=bits, block=32, keep=frozenset({"logits"}))
    store_half(quantized)
    assert parsed(quantized) == []


def test_the_parser_does_object(tiny_model: EegVlmForConditionalGeneration) -> None:
    graph = export_language(tiny_model.language_model)
    graph.graph.node[0].domain = "com.microsoft"
    graph.graph.node[0].op_type = "NoSuchOperator"
    assert parsed(graph)
