"""Tracing a torch module to ONNX, and writing graphs: standard operators, checked, reproducible."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import onnx
import torch
from onnx import numpy_helper
from torch import nn

__all__ = [
    "EXTERNAL_TENSOR_BYTES",
    "INLINE_BYTES",
    "OPSET",
    "GraphError",
    "data_path",
    "initializers",
    "save",
    "standard_only",
    "trace",
]

OPSET: Final = 21
"""First opset with INT4 tensors and blocked DequantizeLinear."""

PRODUCER: Final = "eegvlm_export"
INLINE_BYTES: Final = 1_500_000_000
EXTERNAL_TENSOR_BYTES: Final = 1024


class GraphError(ValueError):
    """A graph that a standard ONNX runtime could not load."""


def trace(
    module: nn.Module,
    args: tuple[Any, ...],
    *,
    input_names: Sequence[str],
    output_names: Sequence[str],
    dynamic_shapes: Sequence[Any],
    hollow: frozenset[str] = frozenset(),
) -> onnx.ModelProto:
    """ONNX graph of `module(*args)` at opset 21; `dynamic_shapes` gives each argument its free dimensions.

    Constants named in `hollow` are left out. Names of files and lines of the machine that exports are not
    kept.
    """
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            module.eval(),
            args,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(input_names),
            output_names=list(output_names),
            dynamic_shapes=tuple(dynamic_shapes),
            verbose=False,
        )
    assert program is not None
    for name in hollow & set(program.model.graph.initializers):
        del program.model.graph.initializers[name]
    return _anonymous(program.model_proto)


@contextmanager
def _quiet() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _anonymous(model: onnx.ModelProto) -> onnx.ModelProto:
    graph = model.graph
    for item in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    graph.ClearField("value_info")
    graph.name = "main"
    model.ClearField("functions")
    model.producer_name = PRODUCER
    model.ClearField("producer_version")
    return model


def initializers(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """Constant tensors of a graph by name."""
    return {tensor.name: tensor for tensor in model.graph.initializer}


def standard_only(model: onnx.ModelProto, *, allowed: frozenset[str] = frozenset()) -> None:
    """Raise GraphError for a node outside the standard operator set, or for a function or a subgraph.

    `allowed` names operators ("com.microsoft.MatMulNBits") that may stand beside the standard ones.
    """
    used = {f"{node.domain}.{node.op_type}" for node in model.graph.node if node.domain}
    foreign = sorted(used - allowed)
    nested = [
        node.op_type for node in model.graph.node for attribute in node.attribute if attribute.HasField("g")
    ]
    fine = {name.rpartition(".")[0] for name in used & allowed}
    domains = [entry.domain for entry in model.opset_import if entry.domain and entry.domain not in fine]
    if foreign or nested or domains or model.functions:
        others = foreign + nested + domains + [function.name for function in model.functions]
        raise GraphError(f"graph: {', '.join(others)}; only standard ONNX operators may be written")


def save(
    model: onnx.ModelProto,
    path: Path,
    *,
    inline_bytes: int = INLINE_BYTES,
    allowed: frozenset[str] = frozenset(),
) -> tuple[Path, ...]:
    """Write a graph, run the full ONNX check on the file, and return the paths of its external weight files.

    Weights are kept in the file itself up to `inline_bytes`, in `<name>.data` beside it above that; a graph
    whose weights were written there already keeps them. Raises GraphError for an operator that is neither
    standard nor `allowed`, onnx.checker.ValidationError for a malformed graph.
    """
    standard_only(model, allowed=allowed)
    size = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    external: tuple[Path, ...] = ()
    if any(tensor.external_data for tensor in model.graph.initializer):
        external = (data_path(path),)
        path.write_bytes(model.SerializeToString(deterministic=True))
    elif size <= inline_bytes:
        path.write_bytes(model.SerializeToString(deterministic=True))
    else:
        data = data_path(path)
        data.unlink(missing_ok=True)
        onnx.save_model(
            model,
            path,
            save_as_external_data=True,
            all_tensors_to_one_file=True,
            location=data.name,
            size_threshold=EXTERNAL_TENSOR_BYTES,
        )
        external = (data,)
    onnx.checker.check_model(str(path), full_check=True)
    return external


def data_path(path: Path) -> Path:
    """The file of external weights of the graph at `path`."""
    return path.with_name(f"{path.name}.data")


def array(tensor: onnx.TensorProto) -> Any:
    """Values of a constant tensor as numpy."""
    return numpy_helper.to_array(tensor)
