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

from ..graphs.onnx_files import initializers

__all__ = [
    "HALF_ELEMENTS",
    "Bits",
    "BlockQuantized",
    "dequantize",
    "quantize_block",
    "quantize_blocks",
    "quantize_matmuls",
    "store_half",
    "tensors_of",
    "widen",
]

Bits = Literal[4, 8]

_SHRINK: Final = np.linspace(0.7, 1.0, 16, dtype=np.float32)
"""Scales that are tried, as shares of the one that just reaches the largest weight of the block."""

_FULL: Final = np.ones(1, dtype=np.float32)

HALF_ELEMENTS: Final = 256
"""Tensors with fewer elements keep single precision: there is nothing to gain."""


@dataclass(frozen=True, slots=True, eq=False)
class BlockQuantized:
    """A (K, N) weight: (values - zeros) * scale of its block.

    `values` (K, N): int8, or uint8 from 0 to 15 where there are `zeros`; `scales` float32 and `zeros` uint8
    (K / block, N). `error` is the energy of what was lost as a share of the weights' energy.
    """

    values: NDArray[np.integer]
    scales: NDArray[np.float32]
    error: float
    zeros: NDArray[np.uint8] | None = None
    bits: Bits = 4

    @property
    def block(self) -> int:
        """Weights along K that share a scale."""
        return len(self.values) // len(self.scales)

    def dequantized(self) -> NDArray[np.float32]:
        """The weight (K, N) as a product sees it."""
        rows, columns = self.values.shape
        blocks = self.values.reshape(-1, self.block, columns).astype(np.float32)
        if self.zeros is not None:
            blocks -= self.zeros[:, None]
        blocks *= self.scales[:, None]
        return blocks.reshape(rows, columns)


def quantize_blocks(
    weight: NDArray[np.float32], bits: Bits, block: int, *, search: bool = True
) -> BlockQuantized:
    """Symmetric quantisation of a (K, N) weight in blocks of `block` along K; K is a multiple of it.

    For every block the scale with the smallest squared error is taken, or without `search` the one that
    reaches the largest weight. The integers span -8..7 or -127..127. With 4 bits the sign of the scale puts
    the largest weight of the block on -8; with 8 bits scales are positive.
    """
    rows, columns = weight.shape
    values = np.empty((rows, columns), dtype=np.int8)
    scales = np.empty((rows // block, columns), dtype=np.float32)
    lost = energy = 0.0
    for i in range(rows // block):
        part = np.asarray(weight[i * block : (i + 1) * block], dtype=np.float32)
        values[i * block : (i + 1) * block], scales[i], error = quantize_block(part, bits, search=search)
        lost += error
        energy += float(np.vdot(part, part))
    return BlockQuantized(values, scales, lost / energy if energy else 0.0, bits=bits)


def quantize_block(
    part: NDArray[np.float32], bits: Bits, *, search: bool = True
) -> tuple[NDArray[np.int8], NDArray[np.float32], float]:
    """Integers (block, N), scales (N,) and summed squared error of one block of rows."""
    low, high = (-8, 7) if bits == 4 else (-127, 127)
    place = np.abs(part).argmax(axis=0)
    peak = np.take_along_axis(part, place[None], axis=0)[0]
    full = peak / np.float32(low) if bits == 4 else np.abs(peak) / np.float32(high)
    full = np.where(full == 0, np.float32(1), full)
    best_error = np.full(full.shape, np.inf, dtype=np.float32)
    best_scale = full.copy()
    values = np.empty_like(part)
    for share in _SHRINK if search and bits == 4 else _FULL:
        scale = full * share
        np.divide(part, scale, out=values)
        np.rint(values, out=values)
        np.clip(values, low, high, out=values)
        values *= scale
        values -= part
        error = np.einsum("kn,kn->n", values, values)
        better = error < best_error
        best_error = np.where(better, error, best_error)
        best_scale = np.where(better, scale, best_scale)
    integers = np.clip(np.rint(part / best_scale), low, high).astype(np.int8)
    return integers, best_scale, float(best_error.sum(dtype=np.float64))


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
                graph.initializer.extend(tensors_of(name, packed))
                nodes.append(dequantize(name, packed))
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    return errors


def tensors_of(name: str, packed: BlockQuantized, *, half: bool = False) -> list[onnx.TensorProto]:
    """Integers, scales and zero points of the weight `name`, as a blocked DequantizeLinear reads them. With
    `half`, scales in half precision, and so the weight it makes.
    """
    scale_tensor = packed.scales.astype(np.float16) if half else packed.scales
    scales = numpy_helper.from_array(scale_tensor, f"{name}.scale")
    if packed.bits == 8:
        return [numpy_helper.from_array(packed.values, f"{name}.int8"), scales]
    if packed.zeros is None:
        return [_four_bits(f"{name}.int4", packed.values, TensorProto.INT4), scales]
    zeros = _four_bits(f"{name}.zero", packed.zeros, TensorProto.UINT4)
    return [_four_bits(f"{name}.int4", packed.values, TensorProto.UINT4), scales, zeros]


def dequantize(name: str, packed: BlockQuantized) -> onnx.NodeProto:
    """The node that makes the weight `name` of `tensors_of`."""
    kind = "DequantizeLinear"
    inputs = [
        f"{name}.int{packed.bits}",
        f"{name}.scale",
        *([] if packed.zeros is None else [f"{name}.zero"]),
    ]
    return helper.make_node(kind, inputs, [name], name=f"{name}.{kind}", axis=0, block_size=packed.block)


def _four_bits(name: str, values: NDArray[np.integer], kind: int) -> onnx.TensorProto:
    nibbles = values.reshape(-1).astype(np.uint8) & 0xF
    if len(nibbles) % 2:
        nibbles = np.append(nibbles, np.uint8(0))
    pairs = nibbles[0::2] | nibbles[1::2] << 4
    return helper.make_tensor(name, kind, values.shape, pairs.tobytes(), raw=True)


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
        if weight.size < HALF_ELEMENTS or np.abs(weight).max() > np.finfo(np.float16).max:
            continue
        graph.initializer.remove(tensor)
        graph.initializer.append(numpy_helper.from_array(weight.astype(np.float16), f"{tensor.name}.fp16"))
        casts.append(widen(tensor.name))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def widen(name: str) -> onnx.NodeProto:
    """The node that makes the single-precision weight `name` of `<name>.fp16`."""
    return helper.make_node("Cast", [f"{name}.fp16"], [name], name=f"{name}.Cast", to=TensorProto.FLOAT)
