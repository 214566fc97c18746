"""Small graphs of one operator of a decoder layer, several copies of it, for `products.py`.

Copies have weights, or keys and values, of their own: together they are far larger than the cache of the GPU,
as those of a whole model are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .graphs import config_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["PAST_TOKENS", "Operation", "operations"]

PAST_TOKENS: Final = 1216
"""Keys and values before a step: picture and prompt of LLaVA-1.5."""

_DOMAIN: Final = "com.microsoft"
_HALF: Final = TensorProto.FLOAT16
_BEYOND_CACHE: Final = 150_000_000
"""Bytes of all copies together; an H200 has a cache of 50 MB."""

_MOST_COPIES: Final = 64
_SMALL_COPIES: Final = 48


@dataclass(frozen=True)
class Operation:
    """`copies` of an operator in one graph, in half precision.

    `inputs` and `outputs` give the shape of each tensor for a number of rows (a dimension "rows"); tensors
    of one name and outputs that nobody reads share memory. `bytes` are those of weights, or of keys and
    values, that one copy reads.
    """

    name: str
    graph: bytes
    copies: int
    inputs: dict[str, tuple[int | str, ...]]
    outputs: dict[str, tuple[int | str, ...]]
    bytes: int = 0
    half_products: bool = False
    attention: str | None = None
    rows: tuple[int, ...] = ()
    host: dict[str, int] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)


def operations(size: str) -> Iterator[Operation]:
    """Every operator that is measured, the most telling first."""
    config = config_of(size)
    hidden, inner = config.hidden_size, config.intermediate_size
    shapes = {
        "qkv": (hidden, 3 * hidden),
        "out": (hidden, hidden),
        "gate_up": (hidden, 2 * inner),
        "down": (inner, hidden),
        "gate": (hidden, inner),
    }
    for name, (rows, columns) in shapes.items():
        for block, half_products in ((32, True), (128, False), (32, False)):
            yield _product(name, rows, columns, 4, block, half_products=half_products)
    yield _norms(hidden, merged=False)
    yield _norms(hidden, merged=True)
    yield _gate(inner)
    for kernel in (None, "flash", "cudnn"):
        yield _attention(config, kernel)
    yield _product("head", hidden, config.vocab_size, 8, 32, half_products=True)
    yield _half_product("head", hidden, config.vocab_size)
    yield _nothing(hidden)


def _copies(size: int) -> int:
    """As many as are together beyond the cache, within reason where a model is tiny."""
    return min(_MOST_COPIES, max(2, -(-_BEYOND_CACHE // size)))


def _model(nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: list[Any]) -> bytes:
    graph = helper.make_graph(nodes, "operation", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(_DOMAIN, 1)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return bytes(model.SerializeToString())


def _values(shapes: dict[str, tuple[int | str, ...]], kind: int = _HALF) -> list[Any]:
    return [helper.make_tensor_value_info(name, kind, shape) for name, shape in shapes.items()]


def _noise(seed: int, *shape: int) -> NDArray[np.float16]:
    return (np.random.default_rng(seed).standard_normal(shape, dtype=np.float32) * 0.02).astype(np.float16)


def _product(name: str, rows: int, columns: int, bits: int, block: int, *, half_products: bool) -> Operation:
    rng = np.random.default_rng(0)
    packed = rows * columns * bits // 8
    scales = columns * rows // block
    copies = _copies(packed)
    nodes, constants = [], []
    for i in range(copies):
        weight = rng.integers(0, 256, (columns, rows // block, block * bits // 8), dtype=np.uint8)
        scale = (rng.uniform(0.5, 1.5, scales) * 2.0**-11).astype(np.float16)
        constants += [numpy_helper.from_array(weight, f"w{i}"), numpy_helper.from_array(scale, f"s{i}")]
        node = helper.make_node(
            "MatMulNBits",
            ["x", f"w{i}", f"s{i}"],
            [f"y{i}"],
            domain=_DOMAIN,
            K=rows,
            N=columns,
            bits=bits,
            block_size=block,
        )
        nodes.append(node)
    inputs: dict[str, tuple[int | str, ...]] = {"x": ("rows", rows)}
    outputs: dict[str, tuple[int | str, ...]] = {f"y{i}": ("rows", columns) for i in range(copies)}
    kernel = "half products" if half_products else "as it is"
    return Operation(
        f"{name}, {bits} bits, blocks of {block}, {kernel}",
        _model(nodes, _values(inputs), _values(outputs), constants),
        copies,
        inputs,
        outputs,
        packed + 2 * scales,
        half_products,
    )


def _half_product(name: str, rows: int, columns: int) -> Operation:
    copies = _copies(2 * rows * columns)
    constants = [numpy_helper.from_array(_noise(i, rows, columns), f"w{i}") for i in range(copies)]
    nodes = [helper.make_node("MatMul", ["x", f"w{i}"], [f"y{i}"]) for i in range(copies)]
    inputs: dict[str, tuple[int | str, ...]] = {"x": ("rows", rows)}
    outputs: dict[str, tuple[int | str, ...]] = {f"y{i}": ("rows", columns) for i in range(copies)}
    graph = _model(nodes, _values(inputs), _values(outputs), constants)
    return Operation(f"{name}, half precision", graph, copies, inputs, outputs, 2 * rows * columns)


def _norms(hidden: int, *, merged: bool) -> Operation:
    """Residual sum and norm, one behind the other."""
    half = numpy_helper.from_array(np.ones(hidden, np.float16), "w")
    single = numpy_helper.from_array(np.ones(hidden, np.float32), "w")
    nodes = []
    for i in range(_SMALL_COPIES):
        update, before = (f"n{i}", f"h{i}")
        normal, after = f"n{i + 1}", f"h{i + 1}"
        if merged:
            kind = "SkipSimplifiedLayerNormalization"
            node = helper.make_node(
                kind, [update, before, "w"], [normal, "", "", after], domain=_DOMAIN, epsilon=1e-5
            )
            nodes.append(node)
            continue
        nodes += [
            helper.make_node("Add", [update, before], [after]),
            helper.make_node("Cast", [after], [f"wide{i}"], to=TensorProto.FLOAT),
            helper.make_node(
                "SimplifiedLayerNormalization", [f"wide{i}", "w"], [f"square{i}"], axis=-1, epsilon=1e-5
            ),
            helper.make_node("Cast", [f"square{i}"], [normal], to=_HALF),
        ]
    shape = (1, "rows", hidden)
    inputs: dict[str, tuple[int | str, ...]] = {"n0": shape, "h0": shape}
    outputs: dict[str, tuple[int | str, ...]] = {f"n{_SMALL_COPIES}": shape}
    graph = _model(nodes, _values(inputs), _values(outputs), [half if merged else single])
    name = "sum and norm, " + ("merged" if merged else "separate")
    return Operation(name, graph, _SMALL_COPIES, inputs, outputs)


def _gate(inner: int) -> Operation:
    """The gate of the MLP behind the product of gate and up."""
    nodes = []
    for i in range(_SMALL_COPIES):
        nodes += [
            helper.make_node("Split", [f"x{i}"], [f"gate{i}", f"up{i}"], axis=-1, num_outputs=2),
            helper.make_node("QuickGelu", [f"gate{i}"], [f"act{i}"], domain=_DOMAIN, alpha=1.0),
            helper.make_node("Mul", [f"act{i}", f"up{i}"], [f"y{i}"]),
        ]
    # Operators of the same inputs would be joined: each copy has an input of its own, in the same memory.
    inputs: dict[str, tuple[int | str, ...]] = {f"x{i}": (1, "rows", 2 * inner) for i in range(_SMALL_COPIES)}
    outputs: dict[str, tuple[int | str, ...]] = {f"y{i}": (1, "rows", inner) for i in range(_SMALL_COPIES)}
    graph = _model(nodes, _values(inputs), _values(outputs), [])
    return Operation(
        "activation of the MLP", graph, _SMALL_COPIES, inputs, outputs, same=dict.fromkeys(inputs, "x0")
    )


def _attention(config: Any, kernel: str | None) -> Operation:
    """Attention over `PAST_TOKENS` and the rows, rotary positions inside, keys and values in place."""
    heads, hidden = config.num_attention_heads, config.hidden_size
    width, capacity = hidden // heads, PAST_TOKENS + 320
    cache: tuple[int | str, ...] = (1, heads, capacity, width)
    kv_bytes = 4 * hidden * PAST_TOKENS
    copies = _copies(kv_bytes)
    angles = np.outer(np.arange(capacity), 10000.0 ** (-np.arange(width // 2) / (width // 2)))
    constants = [
        numpy_helper.from_array(np.cos(angles).astype(np.float16), "cos"),
        numpy_helper.from_array(np.sin(angles).astype(np.float16), "sin"),
    ]
    nodes: list[Any] = []
    inputs: dict[str, tuple[int | str, ...]] = {"x": (1, "rows", 3 * hidden)}
    outputs: dict[str, tuple[int | str, ...]] = {}
    same: dict[str, str] = {}
    for i in range(copies):
        inputs |= {f"key{i}": cache, f"value{i}": cache}
        outputs |= {f"y{i}": (1, "rows", hidden), f"newkey{i}": cache, f"newvalue{i}": cache}
        same |= {f"newkey{i}": f"key{i}", f"newvalue{i}": f"value{i}"}
        node = helper.make_node(
            "GroupQueryAttention",
            ["x", "", "", f"key{i}", f"value{i}", "last", "total", "cos", "sin"],
            [f"y{i}", f"newkey{i}", f"newvalue{i}"],
            domain=_DOMAIN,
            num_heads=heads,
            kv_num_heads=heads,
            do_rotary=1,
            scale=width**-0.5,
        )
        nodes.append(node)
    steps = [*_values({"last": (1,)}, TensorProto.INT32), *_values({"total": ()}, TensorProto.INT32)]
    graph = _model(nodes, [*_values(inputs), *steps], _values(outputs), constants)
    return Operation(
        f"attention, {kernel or 'as it is'}",
        graph,
        copies,
        inputs,
        outputs,
        kv_bytes,
        attention=kernel,
        rows=(1, 2, 6, 7, 16, 32),
        host={"total": capacity},
        same=same,
    )


def _nothing(hidden: int) -> Operation:
    """The least that an operator takes: a sign is changed, and changed again."""
    nodes = [helper.make_node("Neg", [f"x{i}"], [f"x{i + 1}"]) for i in range(_SMALL_COPIES)]
    inputs: dict[str, tuple[int | str, ...]] = {"x0": ("rows", hidden)}
    outputs: dict[str, tuple[int | str, ...]] = {f"x{_SMALL_COPIES}": ("rows", hidden)}
    graph = _model(nodes, _values(inputs), _values(outputs), [])
    return Operation("a sign", graph, _SMALL_COPIES, inputs, outputs)
