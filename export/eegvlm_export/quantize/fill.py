"""Filling the graph of a language model with its weights, one at a time, at the precision asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from transformers import LlamaConfig, LlamaForCausalLM

from ..graphs.language import WeightSlot, language_skeleton, weight_slots
from ..graphs.onnx_files import EXTERNAL_TENSOR_BYTES
from ..weights.reader import LanguageWeights, ModelWeights
from .blockwise import HALF_ELEMENTS, BlockQuantized, dequantize, tensors_of, widen

__all__ = ["FUSED_OPERATORS", "ExternalData", "Packed", "export_language", "fill"]

_DOMAIN: Final = "com.microsoft"
_PRODUCT: Final = "MatMulNBits"
_SKIP_NORM: Final = "SkipSimplifiedLayerNormalization"
FUSED_OPERATORS: Final = frozenset(
    f"{_DOMAIN}.{name}" for name in (_PRODUCT, "GroupQueryAttention", _SKIP_NORM)
)
"""Operators of ONNX Runtime that a graph with fused attention holds."""

_INT8_ACTIVATIONS: Final = 4
"""Accuracy level of MatMulNBits: activations in 8 bits, as the runtime's sessions ask for Q/DQ pairs."""

_ALIGNMENT: Final = 4096
"""External tensors start at a page, so that they can be mapped into memory."""

Packed = Callable[[WeightSlot], "BlockQuantized | NDArray[np.float32]"]
"""What stands in the graph for a weight: quantised blocks, or numbers."""


class ExternalData:
    """The file beside a graph that its large tensors are written to, one after another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None

    def __enter__(self) -> ExternalData:
        self._file = self.path.open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._file is not None
        self._file.close()

    def move(self, tensor: onnx.TensorProto) -> None:
        """Write the bytes of `tensor` to the file and leave their place in it."""
        content = tensor.raw_data
        if len(content) < EXTERNAL_TENSOR_BYTES:
            return
        assert self._file is not None
        self._file.write(b"\0" * (-self._file.tell() % _ALIGNMENT))
        places = {"location": self.path.name, "offset": self._file.tell(), "length": len(content)}
        self._file.write(content)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in places.items():
            tensor.external_data.add(key=key, value=str(value))


@dataclass(slots=True)
class _Filler:
    graph: onnx.GraphProto
    fused: bool
    half: bool
    data: ExternalData | None
    first_nodes: list[onnx.NodeProto]
    users: dict[str, onnx.NodeProto]
    typed: bool
    merged_norms: frozenset[str]

    def typed_numbers(self, slot: WeightSlot, weight: NDArray[np.float32]) -> None:
        """A constant of a graph that computes in half precision; norms of standard operators stay in
        single.
        """
        single = slot.name.endswith("norm.weight") and slot.name not in self.merged_norms
        if not slot.is_matrix and single:
            self._add(numpy_helper.from_array(weight, slot.name))
            return
        if np.abs(weight).max() > np.finfo(np.float16).max:
            raise ValueError(f"{slot.name}: {np.abs(weight).max():g}; half precision cannot hold it")
        self._add(numpy_helper.from_array(weight.astype(np.float16), slot.name))

    def numbers(self, name: str, weight: NDArray[np.float32]) -> None:
        fits = weight.size >= HALF_ELEMENTS and np.abs(weight).max() <= np.finfo(np.float16).max
        if self.half and fits:
            self._add(numpy_helper.from_array(weight.astype(np.float16), f"{name}.fp16"))
            self.first_nodes.append(widen(name))
        else:
            self._add(numpy_helper.from_array(weight, name))

    def blocks(self, name: str, packed: BlockQuantized) -> None:
        if self.fused and packed.bits == 4:
            self._fused_product(name, packed)
            return
        for tensor in tensors_of(name, packed, half=self.typed):
            self._add(tensor)
        self.first_nodes.append(dequantize(name, packed))

    def _fused_product(self, name: str, packed: BlockQuantized) -> None:
        rows, columns = packed.values.shape
        node = self.users[name]
        inputs = [node.input[0], f"{name}.int4", f"{name}.scale"]
        shift = np.uint8(8 if packed.zeros is None else 0)
        by_column = (packed.values.T.astype(np.uint8) + shift).reshape(columns, -1, packed.block)
        self._add(numpy_helper.from_array(by_column[..., 0::2] | by_column[..., 1::2] << 4, inputs[1]))
        scales = packed.scales.astype(np.float16) if self.typed else packed.scales
        self._add(numpy_helper.from_array(np.ascontiguousarray(scales.T).reshape(-1), inputs[2]))
        if packed.zeros is not None:
            zeros = np.pad(packed.zeros.T, ((0, 0), (0, len(packed.zeros) % 2)))
            inputs.append(f"{name}.zero")
            self._add(numpy_helper.from_array((zeros[:, 0::2] | zeros[:, 1::2] << 4).reshape(-1), inputs[3]))
        attributes = {"K": rows, "N": columns, "bits": 4, "block_size": packed.block}
        product = helper.make_node(
            _PRODUCT,
            inputs,
            list(node.output),
            name=node.name,
            domain=_DOMAIN,
            accuracy_level=_INT8_ACTIVATIONS,
            **attributes,
        )
        node.CopyFrom(product)

    def _add(self, tensor: onnx.TensorProto) -> None:
        if self.data is not None:
            self.data.move(tensor)
        self.graph.initializer.append(tensor)


def fill(
    model: onnx.ModelProto,
    config: LlamaConfig,
    weights: LanguageWeights,
    *,
    packed: Packed | None = None,
    half: bool = False,
    data: ExternalData | None = None,
    typed: bool = False,
) -> None:
    """Give a `language_skeleton` the constants it names.

    `packed` says what stands for a weight, by default its numbers; 4-bit blocks become MatMulNBits where the
    graph has fused attention, DequantizeLinear elsewhere. With `half`, numbers are kept in half precision
    where it holds them. With `data`, large tensors are written there and memory stays near one weight.
    `typed` says that the graph itself computes in half precision; ValueError for a weight that this cannot
    hold.
    """
    graph = model.graph
    fused = any(node.domain == _DOMAIN for node in graph.node)
    users = {node.input[1]: node for node in graph.node if node.op_type == "MatMul"}
    merged = frozenset(node.input[2] for node in graph.node if node.op_type == _SKIP_NORM)
    filler = _Filler(graph, fused, half, data, [], users, typed, merged)
    for slot in weight_slots(config):
        content = slot.read(weights) if packed is None else packed(slot)
        if isinstance(content, BlockQuantized):
            filler.blocks(slot.name, content)
        elif typed:
            filler.typed_numbers(slot, content)
        else:
            filler.numbers(slot.name, content)
    nodes = [*filler.first_nodes, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def export_language(model: LlamaForCausalLM) -> onnx.ModelProto:
    """The standard graph of a network in memory, with its weights in single precision."""
    graph = language_skeleton(model.config)
    fill(graph, model.config, ModelWeights(model))
    return graph
