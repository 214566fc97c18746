"""Backends from the files of a bundle. ONNX Runtime is imported with the first one."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..bundle.files import BundleFile
    from ..bundle.opening import Bundle
    from .base import Accelerator, LanguageModel, MemoryNetwork, StageHead, VisionTower
    from .ort_options import OrtOptions

__all__ = ["FUSED", "HALF", "external_data", "load_head", "load_language_model", "load_memory", "load_tower"]

FUSED: Final = "_fused"
"""How the precision of a language model with ONNX Runtime's fused attention ends ("int4_fused")."""

HALF: Final = "_half"
"""How the precision of a graph ends that computes in half precision, not only stores weights in it."""


def load_tower(
    bundle: Bundle,
    *,
    threads: int = 1,
    precision: str | None = None,
    accelerator: Accelerator | None = None,
    ort_options: OrtOptions | None = None,
) -> VisionTower:
    """The vision tower of a bundle, at the precision the manifest names first unless another is asked for.

    On an `accelerator` it is there, of the precision that does best there.

    Raises:
        BundleError: a precision the bundle does not hold. IntegrityError: a file changed. BackendError: no
            fit, or no plan.
    """
    if accelerator is not None:
        return accelerator.tower(bundle, precision)
    from .onnx_tower import OnnxVisionTower

    file = bundle.component("tower").at(precision)
    manifest = bundle.manifest
    return OnnxVisionTower(
        bundle.read(file),
        visual_tokens=manifest.visual_tokens,
        hidden_size=manifest.hidden_size,
        threads=threads,
        data=external_data(bundle, file),
        ort_options=ort_options,
    )


def load_head(
    bundle: Bundle,
    *,
    threads: int = 1,
    accelerator: Accelerator | None = None,
    ort_options: OrtOptions | None = None,
) -> StageHead | None:
    """The enhancement module alone; None where the bundle has no graph of it.

    Raises:
        IntegrityError: a file changed. BackendError: no fit.
    """
    if "head" not in bundle.manifest.components:
        return None
    if accelerator is not None and (head := accelerator.head(bundle)) is not None:
        return head
    from .onnx_head import OnnxHead

    file = bundle.component("head").at(None)
    return OnnxHead(
        bundle.read(file), threads=threads, data=external_data(bundle, file), ort_options=ort_options
    )


def load_memory(
    bundle: Bundle,
    features: int,
    *,
    accelerator: Accelerator | None = None,
    ort_options: OrtOptions | None = None,
) -> MemoryNetwork | None:
    """The night memory's network for a head of so many features; None where the bundle has none.

    Raises:
        IntegrityError: a file changed. BackendError: no fit.
    """
    if "memory" not in bundle.manifest.components:
        return None
    if accelerator is not None and (memory := accelerator.memory(bundle, features)) is not None:
        return memory
    from .onnx_memory import OnnxMemory

    file = bundle.component("memory").at(None)
    hidden_size = bundle.manifest.hidden_size
    return OnnxMemory(
        bundle.read(file),
        features=features,
        hidden_size=hidden_size,
        data=external_data(bundle, file),
        ort_options=ort_options,
    )


def load_language_model(
    bundle: Bundle,
    *,
    threads: int = 1,
    precision: str | None = None,
    accelerator: Accelerator | None = None,
    ort_options: OrtOptions | None = None,
) -> LanguageModel:
    """The language model of a bundle with its embedding table; arguments and errors as for `load_tower`."""
    if accelerator is not None:
        return accelerator.language_model(bundle, _embedding_table(bundle), precision)
    component = bundle.component("llm")
    file, name = component.at(precision), precision or component.precision
    graph, table, data = bundle.read(file), _embedding_table(bundle), external_data(bundle, file)
    if name.endswith(FUSED):
        from .onnx_gqa import FusedLanguageModel

        return FusedLanguageModel(
            graph, table, bundle.manifest.lm, threads=threads, data=data, ort_options=ort_options
        )
    from .onnx_lm import OnnxLanguageModel

    return OnnxLanguageModel(
        graph, table, bundle.manifest.lm, threads=threads, data=data, ort_options=ort_options
    )


def _embedding_table(bundle: Bundle) -> NDArray[np.floating]:
    content = bundle.read(bundle.component("embed_tokens"))
    expected = (bundle.manifest.lm.vocab_size, bundle.manifest.hidden_size)
    source = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(source)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, by_column, dtype = read_header(source)
    except (ValueError, KeyError) as error:
        raise BackendError("embed_tokens", str(error), "give one array in NumPy's own format") from error
    if shape != expected or by_column or dtype.str not in ("<f2", "<f4"):
        raise BackendError(
            "embed_tokens", f"{dtype} {shape}", f"give float16 or float32 {expected} in row-major order"
        )
    if len(content) - source.tell() != shape[0] * shape[1] * dtype.itemsize:
        raise BackendError("embed_tokens", f"{len(content)} bytes", f"the array needs another size: {shape}")
    return np.frombuffer(content, dtype, offset=source.tell()).reshape(shape)


def external_data(bundle: Bundle, file: BundleFile) -> Mapping[str, bytes]:
    """The files of weights beside a graph, by name."""
    return {entry.file: bundle.read(entry) for entry in file.data}
