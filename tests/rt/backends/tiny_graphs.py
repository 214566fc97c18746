"""Random ONNX graphs with the inputs and outputs of an exported model, small enough to be built in a test."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT
OPSET = 21


class Graph:
    """Collects nodes and constants; every operator returns the name of its output."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def const(self, value: Any, dtype: type = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def ints(self, *values: int) -> str:
        return self.const(values, np.int64)

    def weight(self, *shape: int, gain: float = 1.0) -> str:
        fan_in = int(np.prod(shape[1:])) if len(shape) == 4 else shape[0]
        return self.const(self.rng.standard_normal(shape) * gain / np.sqrt(fan_in))

    def op(self, kind: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        name = out or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def model(
        self, inputs: dict[str, list[Any]], outputs: dict[str, list[Any]], ints: set[str]
    ) -> onnx.ModelProto:
        def info(entries: dict[str, list[Any]]) -> list[onnx.ValueInfoProto]:
            return [
                helper.make_tensor_value_info(name, TensorProto.INT64 if name in ints else FLOAT, shape)
                for name, shape in entries.items()
            ]

        graph = helper.make_graph(self.nodes, "tiny", info(inputs), info(outputs), self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
        onnx.checker.check_model(model)
        return model


def tower_graph(*, side: int, grid: int, high: int, hidden: int, seed: int = 1) -> onnx.ModelProto:
    """Patches to low-level tokens, their mean to a high-level feature, both to visual tokens."""
    g = Graph(seed)
    patch = side // grid
    kernel = g.weight(high, 3, patch, patch, gain=4.0)
    patches = g.op("Conv", "pixel_values", kernel, strides=[patch, patch])
    tokens = g.op("Transpose", g.op("Reshape", patches, g.ints(0, high, grid * grid)), perm=[0, 2, 1])
    pooled = g.op("Squeeze", g.op("ReduceMean", tokens, g.ints(1), keepdims=1), g.ints(1))
    g.op("Tanh", g.op("MatMul", pooled, g.weight(high, high, gain=3.0)), out="high_level")
    g.op("MatMul", "high_level", g.weight(high, 5, gain=3.0), out="stage_logits")
    projection = g.weight(high, hidden)
    low = g.op("MatMul", tokens, projection)
    raised = g.op("Unsqueeze", g.op("MatMul", "high_level", projection), g.ints(1))
    g.op("Concat", low, g.op("Add", low, raised), axis=1, out="visual_tokens")
    return g.model(
        {"pixel_values": ["batch", 3, side, side]},
        {
            "stage_logits": ["batch", 5],
            "high_level": ["batch", high],
            "visual_tokens": ["batch", 2 * grid * grid, hidden],
        },
        set(),
    )


def head_graph(*, side: int, high: int, seed: int = 3) -> onnx.ModelProto:
    """One gray plane to pooled features, convolutions alone: a picture does not see those beside it."""
    g = Graph(seed)
    columns = g.op("Conv", "pixel_values", g.weight(high, 1, side, 2, gain=4.0), strides=[side, 2])
    pooled = g.op("GlobalAveragePool", g.op("Tanh", columns))
    g.op("Squeeze", pooled, g.ints(2, 3), out="high_level")
    logits = g.op("Conv", pooled, g.weight(5, high, 1, 1, gain=9.0))
    g.op("Squeeze", logits, g.ints(2, 3), out="stage_logits")
    return g.model(
        {"pixel_values": ["batch", 1, side, side]},
        {"stage_logits": ["batch", 5], "high_level": ["batch", high]},
        set(),
    )


def memory_graph(*, high: int, state: int, hidden: int, seed: int = 4) -> onnx.ModelProto:
    """A state that half forgets, moved by what was read where something was."""
    g = Graph(seed)
    read = g.op("Concat", "high_level", "stage_logits", axis=1)
    moved = g.op("Mul", g.op("MatMul", read, g.weight(high + 5, state, gain=2.0)), "present")
    kept = g.op("MatMul", "state", g.weight(state, state, gain=0.7))
    g.op("Tanh", g.op("Add", moved, g.op("Add", kept, g.const(0.1))), out="next_state")
    opinion = g.op("Add", "stage_logits", g.op("MatMul", "next_state", g.weight(state, 5, gain=4.0)))
    g.op("LogSoftmax", opinion, axis=-1, out="night_logits")
    g.op("MatMul", "next_state", g.weight(state, hidden), out="night_token")
    return g.model(
        {"high_level": [1, high], "stage_logits": [1, 5], "present": [1, 1], "state": [1, state]},
        {"night_logits": [1, 5], "night_token": [1, hidden], "next_state": [1, state]},
        set(),
    )


def llm_graph(
    *,
    hidden: int,
    layers: int,
    heads: int,
    head_dim: int,
    inner: int,
    vocab: int,
    seed: int = 2,
    gain: float = 1.0,
) -> onnx.ModelProto:
    """A Llama decoder: RMS norms, rotary positions, causal attention over keys and values, SwiGLU.

    `gain` scales the output layer; a large one makes the random model sure of itself.
    """
    g = Graph(seed)
    cos, sin = _rotary(g, head_dim)
    hidden_state = "inputs_embeds"
    bias: str | None = None
    for i in range(layers):
        normed = _norm(g, hidden_state)
        shape = g.ints(0, 0, heads, head_dim)
        q, k, v = (
            g.op(
                "Transpose",
                g.op("Reshape", g.op("MatMul", normed, g.weight(hidden, heads * head_dim)), shape),
                perm=[0, 2, 1, 3],
            )
            for _ in range(3)
        )
        q, k = _rotate(g, q, cos, sin, head_dim), _rotate(g, k, cos, sin, head_dim)
        k = g.op("Concat", f"past_key_values.{i}.key", k, axis=2, out=f"present.{i}.key")
        v = g.op("Concat", f"past_key_values.{i}.value", v, axis=2, out=f"present.{i}.value")
        bias = bias or _causal(g, k)
        scores = g.op("MatMul", q, g.op("Transpose", k, perm=[0, 1, 3, 2]))
        scores = g.op("Mul", scores, g.const(head_dim**-0.5))
        read = g.op("MatMul", g.op("Softmax", g.op("Add", scores, bias), axis=-1), v)
        read = g.op("Reshape", g.op("Transpose", read, perm=[0, 2, 1, 3]), g.ints(0, 0, heads * head_dim))
        hidden_state = g.op("Add", hidden_state, g.op("MatMul", read, g.weight(heads * head_dim, hidden)))
        normed = _norm(g, hidden_state)
        gate = g.op("MatMul", normed, g.weight(hidden, inner))
        gate = g.op("Mul", gate, g.op("Sigmoid", gate))
        inside = g.op("Mul", gate, g.op("MatMul", normed, g.weight(hidden, inner)))
        hidden_state = g.op("Add", hidden_state, g.op("MatMul", inside, g.weight(inner, hidden)))
    g.op("MatMul", _norm(g, hidden_state), g.weight(hidden, vocab, gain=gain), out="logits")

    return _decoder(g, hidden=hidden, layers=layers, heads=heads, head_dim=head_dim, vocab=vocab)


def scripted_llm_graph(script: np.ndarray, *, hidden: int) -> onnx.ModelProto:
    """A decoder whose logits depend on the position alone: row i of `script` (T, V) is said at position i."""
    g = Graph(0)
    g.op("Gather", g.const(script), "position_ids", axis=0, out="logits")
    entry = g.op("Unsqueeze", g.op("Slice", "inputs_embeds", g.ints(0), g.ints(1), g.ints(2)), g.ints(1))
    for kind in ("key", "value"):
        g.op("Concat", f"past_key_values.0.{kind}", entry, axis=2, out=f"present.0.{kind}")
    return _decoder(g, hidden=hidden, layers=1, heads=1, head_dim=1, vocab=script.shape[1])


def _decoder(g: Graph, *, hidden: int, layers: int, heads: int, head_dim: int, vocab: int) -> onnx.ModelProto:
    def cache(prefix: str, length: str) -> dict[str, list[Any]]:
        return {
            f"{prefix}.{i}.{kind}": ["batch", heads, length, head_dim]
            for i in range(layers)
            for kind in ("key", "value")
        }

    return g.model(
        {
            "inputs_embeds": ["batch", "seq", hidden],
            "position_ids": ["batch", "seq"],
            **cache("past_key_values", "past"),
        },
        {"logits": ["batch", "seq", vocab], **cache("present", "total")},
        {"position_ids"},
    )


def _rotary(g: Graph, head_dim: int) -> tuple[str, str]:
    inverse = g.const((1e4 ** -(np.arange(0, head_dim, 2) / head_dim))[None, None])
    position = g.op("Unsqueeze", g.op("Cast", "position_ids", to=FLOAT), g.ints(-1))
    angle = g.op("Mul", position, inverse)
    angle = g.op("Unsqueeze", g.op("Concat", angle, angle, axis=-1), g.ints(1))
    return g.op("Cos", angle), g.op("Sin", angle)


def _rotate(g: Graph, x: str, cos: str, sin: str, head_dim: int) -> str:
    half = g.ints(head_dim // 2)
    first = g.op("Slice", x, g.ints(0), half, g.ints(3))
    second = g.op("Slice", x, half, g.ints(head_dim), g.ints(3))
    turned = g.op("Concat", g.op("Neg", second), first, axis=-1)
    return g.op("Add", g.op("Mul", x, cos), g.op("Mul", turned, sin))


def _causal(g: Graph, key: str) -> str:
    total = g.op("Squeeze", g.op("Shape", key, start=2, end=3))
    index = g.op("Range", g.const(0, np.int64), total, g.const(1, np.int64))
    seen = g.op("LessOrEqual", index, g.op("Unsqueeze", "position_ids", g.ints(-1)))
    return g.op("Where", g.op("Unsqueeze", seen, g.ints(1)), g.const(0.0), g.const(-1e9))


def _norm(g: Graph, x: str) -> str:
    square = g.op("ReduceMean", g.op("Mul", x, x), g.ints(-1), keepdims=1)
    return g.op("Div", x, g.op("Sqrt", g.op("Add", square, g.const(1e-6))))
