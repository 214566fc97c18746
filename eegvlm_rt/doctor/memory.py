"""How much memory a bundle takes while it answers, estimated from its manifest alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..backends.loading import FUSED, HALF
from ..tensorrt.profiles import TEXT_TOKENS

if TYPE_CHECKING:
    from ..bundle.files import BundleFile
    from ..bundle.manifest import Manifest

__all__ = ["MemoryNeed", "memory_need"]

_CACHES: Final = 2
"""A step reads one key-value cache and writes the next."""

_CACHE_BYTES: Final = 4
_HALF_CACHE_BYTES: Final = 2
_LOGIT_BYTES: Final = 4
_PROCESS_BYTES: Final = 200_000_000
"""Interpreter and libraries; the resident size of a night on `nano` is of this order."""


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """Bytes of the weights, of keys and values, and of everything else."""

    weights: int
    kv: int
    workspace: int

    @property
    def total(self) -> int:
        """All of it, bytes."""
        return self.weights + self.kv + self.workspace


def memory_need(manifest: Manifest) -> MemoryNeed:
    """Estimate for one epoch at a time with the main precision of every component.

    Weights count as they lie in their files. Keys and values are those of all visual tokens and `TEXT_TOKENS`
    more, in half precision where the language model computes in it ("*_half"), in single else. The workspace
    holds the logits of a whole prompt, a tenth of the weights for activations, and the process itself.
    """
    components = manifest.components
    weights = sum(_size(components[name].file) for name in ("tower", "llm", "embed_tokens"))
    tokens = manifest.visual_tokens + TEXT_TOKENS
    shape = manifest.lm
    half = components["llm"].precision.removesuffix(FUSED).endswith(HALF)
    width = _HALF_CACHE_BYTES if half else _CACHE_BYTES
    kv = _CACHES * 2 * shape.num_layers * shape.num_kv_heads * shape.head_dim * tokens * width
    logits = tokens * shape.vocab_size * _LOGIT_BYTES
    return MemoryNeed(weights, kv, logits + weights // 10 + _PROCESS_BYTES)


def _size(entry: BundleFile) -> int:
    return entry.bytes + sum(data.bytes for data in entry.data)
