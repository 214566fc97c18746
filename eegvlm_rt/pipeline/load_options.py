"""What `Stager.load` is asked for, checked: backend, threads, and a warning where a model is a draft."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Final

from ..errors import DraftWarning, InputError

if TYPE_CHECKING:
    from ..backends.base import Accelerator
    from ..bundle.manifest import Manifest

__all__ = [
    "accelerator_of",
    "default_threads",
    "text_count",
    "thread_count",
    "usable_processors",
    "warn_of_draft",
]

MAX_DEFAULT_THREADS: Final = 4
MAX_TEXTS: Final = 256


def warn_of_draft(manifest: Manifest) -> None:
    """Give why a model is a draft as a DraftWarning of the caller of `Stager.load`."""
    if manifest.draft:
        why = "; ".join(manifest.draft)
        text = f"{manifest.model_id}: a draft, not for use, and its files say so ({why})"
        warnings.warn(text, DraftWarning, stacklevel=3)


def accelerator_of(backend: str | Accelerator, device: int) -> Accelerator | None:
    """What computes in place of the CPU, None for the CPU itself; `device` counts GPUs."""
    if backend == "onnxruntime":
        return None
    if backend in ("cuda", "cuda+cpu"):
        from ..backends.cuda import HOST_PARTS, CudaBackend
        from ..backends.on_device.ort_graph import CudaOptions

        return CudaBackend.here(device, CudaOptions(host=HOST_PARTS if backend == "cuda+cpu" else ()))
    if backend == "tensorrt":
        from ..tensorrt.accelerator import Accelerator as Plans

        return Plans.here(index=device)
    if isinstance(backend, str):
        raise InputError("backend", backend, 'give "onnxruntime", "cuda", "cuda+cpu" or "tensorrt"')
    return backend


def thread_count(threads: int | None) -> int:
    """Processors to use: those asked for, or the default."""
    if threads is None:
        return default_threads()
    if not isinstance(threads, int) or not 1 <= threads <= 256:
        raise InputError("threads", threads, "give an integer from 1 to 256, or None")
    return threads


def text_count(texts: int | None) -> int | None:
    """Texts to decode side by side: as many as were asked for, or None for the backend's own number."""
    if texts is not None and not (type(texts) is int and 1 <= texts <= MAX_TEXTS):
        raise InputError("text_batch", texts, f"give an integer from 1 to {MAX_TEXTS}, or None")
    return texts


def default_threads() -> int:
    """Processors this process may use, at most 4."""
    return min(MAX_DEFAULT_THREADS, usable_processors())


def usable_processors() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
