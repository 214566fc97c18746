"""Where each network of a bundle runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..backends.base import Accelerator, MemoryNetwork, StageHead

__all__ = ["places_of"]


def places_of(
    accelerator: Accelerator | None, head: StageHead | None, memory: MemoryNetwork | None
) -> dict[str, str]:
    """ "cpu" or "gpu" for tower, llm, and for head and memory where there are any: an accelerator may leave
    these two to the CPU.
    """
    optional = {"head": head, "memory": memory}
    parts = ["tower", "llm", *(name for name, network in optional.items() if network is not None)]
    if accelerator is None:
        return dict.fromkeys(parts, "cpu")
    from ..backends.onnx_head import OnnxHead
    from ..backends.onnx_memory import OnnxMemory

    return {name: "cpu" if isinstance(optional.get(name), OnnxHead | OnnxMemory) else "gpu" for name in parts}
