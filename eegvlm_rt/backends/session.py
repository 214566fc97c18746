"""ONNX Runtime sessions made from verified bytes, quiet on an idle machine and small in memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import onnxruntime as ort

from ..errors import BackendError
from ..heap import return_freed_memory
from .forking import keep_in_children

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .ort_options import OrtOptions

__all__ = ["check_names", "make_session", "session_options", "static_dimension"]

_NOWHERE: Final = os.devnull
_WEIGHTS_FOLDER: Final = "session.model_external_initializers_file_folder_path"


def make_session(
    graph: bytes,
    *,
    name: str,
    threads: int,
    data: Mapping[str, bytes] | None = None,
    ort_options: OrtOptions | None = None,
) -> ort.InferenceSession:
    """A session of a graph given as bytes, on the CPU unless `ort_options` name other providers.

    `data` holds the graph's external weight files by name. Any other file that the graph refers to is
    refused: only bytes that were verified are used. Session options that the user brings are taken as they
    are, apart from that.

    Raises:
        BackendError: the graph cannot be loaded, or not by the provider that was asked for first.
    """
    own_options = None if ort_options is None else ort_options.session_options
    options = session_options(threads) if own_options is None else own_options
    own_providers = None if ort_options is None else ort_options.providers
    providers = ["CPUExecutionProvider"] if own_providers is None else list(own_providers)
    try:
        _only_verified_bytes(options, data or {})
        session = ort.InferenceSession(graph, options, providers=providers)
    except Exception as error:
        raise BackendError(
            name, _first_line(error), "the graph cannot be loaded: export the bundle again"
        ) from error
    # ONNX Runtime falls back to the CPU in silence where a provider cannot start.
    if ort_options is not None and ort_options.names[0] not in session.get_providers():
        cure = "it did not start; see what ONNX Runtime logs, or name another provider"
        raise BackendError(name, ort_options.names[0], cure)
    keep_in_children(session)
    # Reading a graph takes more than its weights.
    return_freed_memory()
    return session


def _only_verified_bytes(options: ort.SessionOptions, data: Mapping[str, bytes]) -> None:
    """Let the graph read weights from `data`, and from no file."""
    try:
        folder = options.get_session_config_entry(_WEIGHTS_FOLDER)
    except RuntimeError:
        folder = ""
    if folder != _NOWHERE:
        options.add_session_config_entry(_WEIGHTS_FOLDER, _NOWHERE)
    if data:
        names = list(data)
        options.add_external_initializers_from_files_in_memory(
            names, [data[key] for key in names], [len(data[key]) for key in names]
        )


def session_options(threads: int) -> ort.SessionOptions:
    """Threads sleep while idle, and the same input gives the same output.

    Every run has another length; memory plans by length, which ONNX Runtime would keep for good, are off.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = True
    options.enable_mem_pattern = False
    options.use_deterministic_compute = True
    for key, value in (
        ("session.intra_op.allow_spinning", "0"),
        ("session.inter_op.allow_spinning", "0"),
        ("session.qdq_matmulnbits_accuracy_level", "4"),
    ):
        options.add_session_config_entry(key, value)
    return options


def check_names(name: str, what: str, entries: list[Any], right_names: list[str]) -> None:
    """Refuse a graph whose inputs or outputs are not exactly `right_names`; raises BackendError."""
    names = [entry.name for entry in entries]
    if sorted(names) != sorted(right_names):
        raise BackendError(
            f"{name}.{what}", sorted(set(names) ^ set(right_names)), f"the graph has {', '.join(right_names)}"
        )


def static_dimension(name: str, entry: Any, axis: int, right_size: int | None = None) -> int:
    """A fixed dimension of an input or output; raises BackendError where it is free or not `right_size`."""
    size = entry.shape[axis] if axis < len(entry.shape) else None
    if type(size) is not int or (right_size is not None and size != right_size):
        raise BackendError(
            f"{name}.{entry.name}", f"shape {entry.shape}", f"axis {axis} is {right_size or 'fixed'}"
        )
    return size


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:300] if str(error) else type(error).__name__
