"""The 8-bit tower: symmetric pairs, weights per channel, close to the network."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from eegvlm_export.graphs.onnx_files import initializers
from eegvlm_export.graphs.tower import TOWER_OUTPUTS
from eegvlm_export.quantize.tower_int8 import quantize_static8
from eegvlm_train.model import EegVlmForConditionalGeneration
from onnx import TensorProto, numpy_helper

from tests.export.tiny_models import tower_of


def pictures(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((4, 3, 112, 112)).astype(np.float32)


@pytest.fixture(scope="module")
def single(model: EegVlmForConditionalGeneration) -> onnx.ModelProto:
    return tower_of(model)


@pytest.fixture(scope="module")
def quantized(single: onnx.ModelProto) -> onnx.ModelProto:
    return quantize_static8(single, (pictures(seed) for seed in range(4)))


def test_outputs_stay_close(model: EegVlmForConditionalGeneration, quantized: onnx.ModelProto) -> None:
    run = ort.InferenceSession(quantized.SerializeToString(), providers=["CPUExecutionProvider"])
    found = run.run(list(TOWER_OUTPUTS), {"pixel_values": pictures(9)})
    with torch.no_grad():
        expected = model.visual(torch.from_numpy(pictures(9)))
    for ours, theirs in zip(found, (tensor.numpy() for tensor in expected), strict=True):
        assert np.linalg.norm(ours - theirs) < 0.1 * np.linalg.norm(theirs)


def test_every_zero_point_is_zero_and_no_bias_is_quantized(quantized: onnx.ModelProto) -> None:
    constants = initializers(quantized)
    pairs = [node for node in quantized.graph.node if node.op_type.endswith("izeLinear")]
    zero_points = [numpy_helper.to_array(constants[node.input[2]]) for node in pairs]
    assert pairs
    assert all(point.dtype == np.int8 and not point.any() for point in zero_points)
    assert TensorProto.INT32 not in {tensor.data_type for tensor in quantized.graph.initializer}


def test_weights_have_a_scale_per_channel_and_their_inputs_one(quantized: onnx.ModelProto) -> None:
    constants = initializers(quantized)
    makers = {output: node for node in quantized.graph.node for output in node.output}
    products = [node for node in quantized.graph.node if node.op_type == "MatMul"]
    weighted = [n for n in products if makers[n.input[1]].op_type == "DequantizeLinear"]
    assert weighted
    for node in weighted:
        left, right = (makers[name] for name in node.input)
        assert left.op_type == "DequantizeLinear"
        channels = constants[right.input[0]].dims[1]
        assert list(constants[right.input[1]].dims) == [channels]
        assert numpy_helper.to_array(constants[left.input[1]]).size == 1


def test_attention_scores_keep_single_precision(quantized: onnx.ModelProto) -> None:
    makers = {output: node for node in quantized.graph.node for output in node.output}
    after_softmax = [
        node
        for node in quantized.graph.node
        if node.op_type == "MatMul" and makers[node.input[0]].op_type == "Softmax"
    ]
    assert after_softmax
    assert all(makers[node.input[1]].op_type != "DequantizeLinear" for node in after_softmax)


def test_the_given_graph_is_not_touched_and_a_second_run_gives_the_same(
    single: onnx.ModelProto, quantized: onnx.ModelProto
) -> None:
    before = single.SerializeToString(deterministic=True)
    again = quantize_static8(single, (pictures(seed) for seed in range(4)))
    assert again.SerializeToString(deterministic=True) == quantized.SerializeToString(deterministic=True)
    assert single.SerializeToString(deterministic=True) == before


def test_no_calibration_picture_is_an_error(single: onnx.ModelProto) -> None:
    with pytest.raises(ValueError, match="calibration"):
        quantize_static8(single, [])
