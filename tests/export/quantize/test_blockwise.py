"""Weights in 4 and 8 bits: small errors, standard nodes, fused by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from eegvlm_export.graphs.onnx_files import initializers, save
from eegvlm_export.quantize.blockwise import Bits, quantize_blocks, quantize_matmuls, store_half
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, helper, numpy_helper

WEIGHTS = arrays(np.float32, (64, 3), elements=st.floats(-8, 8, width=32, allow_subnormal=False))


def two_products(first: np.ndarray, second: np.ndarray) -> onnx.ModelProto:
    """y = (x @ first) @ second."""
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["h"], name="a"),
        helper.make_node("MatMul", ["h", "second"], ["y"], name="b"),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", first.shape[0]])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", second.shape[1]])
    constants = [numpy_helper.from_array(w, name) for w, name in ((first, "first"), (second, "second"))]
    graph = helper.make_graph(nodes, "main", [x], [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def optimized(path: Path, folder: Path) -> onnx.ModelProto:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return onnx.load(folder / "optimized.onnx")


@settings(deadline=None)
@given(weight=WEIGHTS, bits=st.sampled_from([4, 8]))
def test_no_weight_moves_further_than_its_blocks_range_allows(weight: np.ndarray, bits: Bits) -> None:
    packed = quantize_blocks(weight, bits, 32)
    scales = np.repeat(packed.scales, 32, axis=0)
    peak = np.repeat(np.abs(weight).reshape(2, 32, 3).max(axis=1), 32, axis=0)
    step = peak / (8 if bits == 4 else 127)
    moved = np.abs(packed.values * scales - weight)
    assert packed.values.min() >= (-8 if bits == 4 else -127)
    assert packed.values.max() <= (7 if bits == 4 else 127)
    block = np.square(moved).reshape(2, 32, 3).sum(axis=1)
    nearest = np.square(np.minimum(step, 1.01 * step)).reshape(2, 32, 3).sum(axis=1)
    assert (block <= nearest + 1e-6).all()


@pytest.mark.parametrize("bits", [4, 8])
def test_weights_on_the_grid_come_back_exactly(bits: Bits) -> None:
    low, high = (-8, 8) if bits == 4 else (-127, 128)
    integers = np.random.default_rng(0).integers(low, high, (64, 5))
    integers[::32] = low
    weight = (integers * 0.125).astype(np.float32)
    packed = quantize_blocks(weight, bits, 32)
    np.testing.assert_array_equal(packed.values * np.repeat(packed.scales, 32, axis=0), weight)
    assert packed.error == 0


def test_a_scale_is_chosen_for_the_whole_block_not_for_its_largest_weight() -> None:
    weight = random(320, 16)
    packed = quantize_blocks(weight, 4, 32)
    blocks = weight.reshape(10, 32, 16)
    peak = np.take_along_axis(blocks, np.abs(blocks).argmax(1, keepdims=True), 1) / -8
    plain = np.clip(np.rint(blocks / peak), -8, 7) * peak
    lost = float(np.square(plain - blocks).sum() / np.square(blocks).sum())
    assert packed.error < 0.95 * lost


def test_zero_weights_stay_zero() -> None:
    packed = quantize_blocks(np.zeros((32, 2), np.float32), 4, 32)
    assert not packed.values.any()
    assert np.isfinite(packed.scales).all()
    assert packed.error == 0


def test_eight_bit_scales_are_positive() -> None:
    assert (quantize_blocks(random(64, 9), 8, 32).scales > 0).all()


@pytest.mark.parametrize("bits", [4, 8])
def test_the_file_holds_standard_operators_and_the_runtime_fuses_them(bits: Bits, tmp_path: Path) -> None:
    model = two_products(random(64, 96), random(96, 32))
    errors = quantize_matmuls(model, bits=bits, block=32)
    assert set(errors) == {"first", "second"}
    save(model, tmp_path / "model.onnx")
    on_disk = onnx.load(tmp_path / "model.onnx")
    assert [node.op_type for node in on_disk.graph.node] == ["DequantizeLinear", "MatMul"] * 2
    assert {node.domain for node in on_disk.graph.node} == {""}
    kinds = {t.data_type for t in on_disk.graph.initializer} - {TensorProto.FLOAT}
    assert kinds == {TensorProto.INT4 if bits == 4 else TensorProto.INT8}
    fused = optimized(tmp_path / "model.onnx", tmp_path).graph.node
    assert [node.op_type for node in fused] == ["MatMulNBits"] * 2
    assert {a.i for node in fused for a in node.attribute if a.name == "bits"} == {bits}


@pytest.mark.parametrize(("bits", "error"), [(4, 0.12), (8, 0.02)])
def test_the_fused_product_is_the_product_of_the_dequantized_weights(bits: Bits, error: float) -> None:
    first, second = random(64, 96), random(96, 32)
    model = two_products(first, second)
    quantize_matmuls(model, bits=bits, block=32, keep=frozenset({"y"}))
    packed = quantize_blocks(first, bits, 32)
    kept = packed.values * np.repeat(packed.scales, 32, axis=0)
    x = random(5, 64)
    options = ort.SessionOptions()
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    run = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (found,) = run.run(None, {"x": x})
    np.testing.assert_allclose(found, x @ kept @ second, rtol=1e-3, atol=1e-2)
    exact = x @ first @ second
    assert np.linalg.norm(found - exact) < error * np.linalg.norm(exact)


def test_products_named_and_rows_that_no_block_divides_are_left_alone() -> None:
    model = two_products(random(48, 64), random(64, 8))
    assert quantize_matmuls(model, bits=4, block=32, keep=frozenset({"y"})) == {}
    assert set(initializers(model)) == {"first", "second"}


def test_half_storage_halves_the_file_and_keeps_the_numbers(tmp_path: Path) -> None:
    first, second = random(64, 96), random(96, 32)
    model, x = two_products(first, second), random(3, 64)
    save(model, tmp_path / "single.onnx")
    store_half(model)
    save(model, tmp_path / "half.onnx")
    sizes = [(tmp_path / name).stat().st_size for name in ("single.onnx", "half.onnx")]
    assert sizes[1] < 0.55 * sizes[0]
    run = ort.InferenceSession(tmp_path / "half.onnx", providers=["CPUExecutionProvider"])
    expected = x @ first.astype(np.float16).astype(np.float32) @ second.astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(run.run(None, {"x": x})[0], expected, rtol=1e-4, atol=1e-4)
    assert "Cast" not in {n.op_type for n in optimized(tmp_path / "half.onnx", tmp_path).graph.node}


def test_weights_beyond_half_precision_stay_in_single_precision() -> None:
    wide = random(64, 96)
    wide[0, 0] = 1e6
    model = two_products(wide, random(96, 32))
    store_half(model)
    assert set(initializers(model)) == {"first", "second.fp16"}


def test_quantization_scales_are_not_stored_in_half() -> None:
    model = two_products(random(1024, 96), random(96, 1024))
    quantize_matmuls(model, bits=4, block=32)
    store_half(model)
    assert set(initializers(model)) == {"first.int4", "first.scale", "second.int4", "second.scale"}
