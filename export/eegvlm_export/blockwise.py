"""Weights in 4 or 8 bits with one scale per block, as standard DequantizeLinear nodes.

ONNX Runtime fuses each DequantizeLinear with the MatMul behind it into one integer product at load;
TensorRT reads the same file. Nothing outside the standard operator set is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from .graph import initializers

__all__ = ["BlockQuantized", "quantize_blocks", "quantize_matmuls", "store_half"]

Bits = Literal[4, 8]

_SHRINK: Final = np.linspace(0.7, 1.0, 16, dtype=np.float32)
"""Scales that are tried, as shares of the one that just reaches the largest weight of the block."""

_HALF_ELEMENTS: Final = 256
"""Tensors with fewer elements keep single precision: there is nothing to gain."""


@dataclass(frozen=True, slots=True)
class BlockQuantized:
    """`values` int8 (K, N), `scales` float32 (K / block, N): weight = values * scale of its block.

    `error` is the energy of what was lost as a share of the weights' energy.
    """

    values: NDArray[np.int8]
    scales: NDArray[np.float32]
    error: float


def quantize_blocks(weight: NDArray[np.float32], bits: Bits, block: int) -> BlockQuantized:
    """Symmetric quantisation of a (K, N) weight in blocks of `block` along K; K is a multiple of it.

    For every block the scale with the smallest squared error is taken. The integers span -8..7 or
    -127..127. With 4 bits the sign of the scale puts the largest weight of the block on -8; with 8 bits
    scales are positive.
    """
    rows, columns = weight.shape
    blocks = np.asarray(weight, dtype=np.float32).reshape(rows // block, block, columns)
    place = np.abs(blocks).argmax(axis=1, keepdims=True)
    peak = np.take_along_axis(blocks, place, axis=1)
    low, high = (-8, 7) if bits == 4 else (-127, 127)
    full = peak / np.float32(low) if bits == 4 else np.abs(peak) / np.float32(high)
    full = np.where(full == 0, np.float32(1), full)
    best_error = np.full_like(full, np.inf)
    best_scale, best_values = full.copy(), np.zeros_like(blocks)
    for share in _SHRINK if bits == 4 else (np.float32(1),):
        scale = full * share
        values = np.clip(np.rint(blocks / scale), low, high)
        error = np.square(values * scale - blocks).sum(axis=1, keepdims=True)
        better = error < best_error
        best_error = np.where(better, error, best_error)
        best_scale = np.where(better, scale, best_scale)
        best_values = np.where(better, values, best_values)
    energy = float(np.square(blocks, dtype=np.float64).sum())
    return BlockQuantized(
        values=best_values.reshape(rows, columns).astype(np.int8),
        scales=best_scale[:, 0].astype(np.float32),
        error=float(best_error.sum(dtype=np.float64)) / energy if energy else 0.0,
    )


def quantize_matmuls(
    model: onnx.ModelProto, *, bits: Bits, block: int, keep: frozenset[str] = frozenset()
) -> dict[str, float]:
    """Quantise in place the constant operand of every MatMul; returns the lost share of energy by name.

    Left as they are: products whose output is named in `keep`, and weights whose rows do not divide into
    blocks.
    """
    graph, constants = model.graph, initializers(model)
    errors: dict[str, float] = {}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        name = node.input[1] if node.op_type == "MatMul" else ""
        tensor = constants.get(name)
        if tensor is not None and name not in errors and not keep & set(node.output):
            weight = numpy_helper.to_array(tensor)
            if weight.ndim == 2 and weight.dtype == np.float32 and weight.shape[0] % block == 0:
                packed = quantize_blocks(weight, bits, block)
                errors[name] = packed.error
                graph.initializer.remove(tensor)
                graph.initializer.extend(_tensors(name, packed, bits))
                nodes.append(_dequantize(name, bits, block))
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    return errors


def _tensors(name: str, packed: BlockQuantized, bits: Bits) -> list[onnx.TensorProto]:
    if bits == 8:
        values = numpy_helper.from_array(packed.values, f"{name}.int8")
    else:
        nibbles = packed.values.reshape(-1).astype(np.uint8) & 0xF
        if len(nibbles) % 2:
            nibbles = np.append(nibbles, np.uint8(0))
        pairs = nibbles[0::2] | nibbles[1::2] << 4
        values = helper.make_tensor(
            f"{name}.int4", TensorProto.INT4, packed.values.shape, pairs.tobytes(), raw=True
        )
    return [values, numpy_helper.from_array(packed.scales, f"{name}.scale")]


def _dequantize(name: str, bits: Bits, block: int) -> onnx.NodeProto:
    kind = "DequantizeLinear"
    return helper.make_node(
        kind, [f"{name}.int{bits}", f"{name}.scale"], [name], name=f"{name}.{kind}", axis=0, block_size=block
    )


def store_half(model: onnx.ModelProto) -> None:
    """Keep fp32 weights in half precision, each behind a Cast that ONNX Runtime folds away at load.

    Quantisation scales, tensors below 256 elements and tensors that half precision cannot hold stay as they
    are.
    """
    graph = model.graph
    scales = {name for node in graph.node if node.op_type.endswith("Linear") for name in node.input[1:]}
    casts = []
    for tensor in list(graph.initializer):
        if tensor.data_type != TensorProto.FLOAT or tensor.name in scales:
            continue
        weight = numpy_helper.to_array(tensor)
        if weight.size < _HALF_ELEMENTS or np.abs(weight).max() > np.finfo(np.float16).max:
            continue
        graph.initializer.remove(tensor)
        graph.initializer.append(numpy_helper.from_array(weight.astype(np.float16), f"{tensor.name}.fp16"))
        casts.append(
            helper.make_node(
                "Cast",
                [f"{tensor.name}.fp16"],
                [tensor.name],
                name=f"{tensor.name}.Cast",
                to=TensorProto.FLOAT,
            )
        )
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
