"""Backends from the files of a bundle. ONNX Runtime is imported with the first one."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..bundle import Bundle, BundleFile
    from .base import LanguageModel, VisionTower

__all__ = ["load_language_model", "load_tower"]


def load_tower(bundle: Bundle, *, threads: int = 1, precision: str | None = None) -> VisionTower:
    """The vision tower of a bundle, at the precision the manifest names first unless another is asked for.

    Raises:
        BundleError: a precision the bundle does not hold. IntegrityError: a file changed. BackendError: no
            fit.
    """
    from .onnx_tower import OnnxVisionTower

    file = bundle.component("tower").at(precision)
    manifest = bundle.manifest
    return OnnxVisionTower(
        bundle.read(file),
        visual_tokens=manifest.visual_tokens,
        hidden_size=manifest.hidden_size,
        threads=threads,
        data=_data(bundle, file),
    )


def load_language_model(bundle: Bundle, *, threads: int = 1, precision: str | None = None) -> LanguageModel:
    """The language model of a bundle with its embedding table; precision and errors as for `load_tower`."""
    from .onnx_lm import OnnxLanguageModel

    file = bundle.component("llm").at(precision)
    try:
        table = np.load(io.BytesIO(bundle.read(bundle.component("embed_tokens"))), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise BackendError("embed_tokens", str(error), "give one array in NumPy's own format") from error
    if not isinstance(table, np.ndarray) or table.shape[-1:] != (bundle.manifest.hidden_size,):
        found = getattr(table, "shape", type(table).__name__)
        raise BackendError("embed_tokens", found, f"the manifest says rows of {bundle.manifest.hidden_size}")
    return OnnxLanguageModel(
        bundle.read(file), table, bundle.manifest.lm, threads=threads, data=_data(bundle, file)
    )


def _data(bundle: Bundle, file: BundleFile) -> Mapping[str, bytes]:
    return {entry.file: bundle.read(entry) for entry in file.data}
