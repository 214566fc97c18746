"""What the decoder and the stager ask of an inference backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..bundle.opening import Bundle
    from ..devices.buffers import DeviceArray

__all__ = [
    "Accelerator",
    "HeadOutput",
    "KVCache",
    "LanguageModel",
    "ManyTexts",
    "MemoryNetwork",
    "MemoryOutput",
    "StageHead",
    "Texts",
    "TowerOutput",
    "VisionTower",
    "own_cache",
]

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class TowerOutput:
    """What one pass over n pictures gives, all float32.

    `stage_logits` (n, 5) of the stage head in the order W N1 N2 N3 R, `high` (n, Dv) the high-level feature,
    `visual_tokens` (n, V, D) the tokens the language model reads, on the device where the tower ran on one.
    """

    stage_logits: Float32
    high: Float32
    visual_tokens: Float32 | DeviceArray

    def __len__(self) -> int:
        return len(self.stage_logits)


@dataclass(frozen=True, slots=True, eq=False)
class HeadOutput:
    """What the enhancement module alone gives of n pictures, float32: `stage_logits` (n, 5), `high_level`
    (n, F) its pooled high-level features, which the night memory reads."""

    stage_logits: Float32
    high_level: Float32


@dataclass(frozen=True, slots=True, eq=False)
class MemoryOutput:
    """One step of the night memory, float32: `night_logits` (5,) log-probabilities of the stages with the
    night in mind, `night_token` (D,) for the language model, `next_state` (S,)."""

    night_logits: Float32
    night_token: Float32
    next_state: Float32


class KVCache(Protocol):
    """Keys and values of the tokens read so far. It never changes: a step makes a new one, so it can be
    shared.
    """

    @property
    def length(self) -> int:
        """Number of tokens held."""
        ...


Cache = TypeVar("Cache", bound=KVCache)


def own_cache(cache: KVCache | None, kind: type[Cache]) -> Cache | None:
    """`cache` where it is of the kind that a model makes, or None; raises InputError for another model's."""
    if cache is not None and not isinstance(cache, kind):
        raise InputError("cache", type(cache).__name__, "give a cache that this model made, or None")
    return cache


class StageHead(Protocol):
    """Pictures to stage logits and pooled high-level features."""

    @property
    def planes(self) -> int:
        """Planes of a picture that are read: 1 of a gray one, or 3."""
        ...

    @property
    def features(self) -> int:
        """F: length of the pooled features."""
        ...

    def __call__(self, pixel_values: Float32) -> HeadOutput:
        """`pixel_values` (n, planes, H, W) float32, normalised as the render spec says. Raises
        BackendError."""
        ...


class MemoryNetwork(Protocol):
    """The night memory's network."""

    @property
    def state_size(self) -> int:
        """S: numbers in a state."""
        ...

    def __call__(
        self, high_level: Float32 | None, stage_logits: Float32 | None, state: Float32
    ) -> MemoryOutput:
        """One epoch after `state` (S,); None for both where it had no usable signal. Raises BackendError."""
        ...


class VisionTower(Protocol):
    """Pictures to stage logits, high-level features and visual tokens."""

    def __call__(self, pixel_values: Float32) -> TowerOutput:
        """`pixel_values` (n, 3, H, W) float32, normalised as the render spec says. Raises BackendError."""
        ...


class LanguageModel(Protocol):
    """A causal language model that reads embeddings."""

    @property
    def hidden_size(self) -> int: ...

    @property
    def vocab_size(self) -> int: ...

    def embed(self, ids: Sequence[int]) -> Float32:
        """Embeddings (1, T, D) float32 of T token ids. Raises BackendError for an id outside the
        vocabulary.
        """
        ...

    def step(self, inputs_embeds: Float32, cache: KVCache | None = None) -> tuple[Float32, KVCache]:
        """Read (1, T, D) embeddings after what `cache` holds: logits (T, V) float32 and the longer cache."""
        ...

    def extend(self, inputs_embeds: Float32, cache: KVCache | None = None) -> KVCache:
        """`step` for the cache alone; a backend need not compute the logits."""
        ...

    def read(self, pieces: Sequence[Float32 | DeviceArray], cache: KVCache | None = None) -> KVCache:
        """`extend` by several pieces one after another: (1, T, D) on the host, or (V, D) on the device the
        model runs on."""
        ...

    def next_logits(self, inputs_embeds: Float32, cache: KVCache | None = None) -> tuple[Float32, KVCache]:
        """`step` for the logits (V,) of the last token alone."""
        ...


class Texts(Protocol):
    """B texts of one length, which go on side by side."""

    def read(self, inputs_embeds: Float32) -> Float32:
        """Read (B, T, D) embeddings, the next T tokens of every text: logits (B, V) float32 after the last of
        them. Raises BackendError where the run fails."""
        ...

    def peek(self, inputs_embeds: Float32) -> Float32:
        """`read`, after which the texts are as they were."""
        ...


@runtime_checkable
class ManyTexts(LanguageModel, Protocol):
    """A language model that reads several texts in one run, as long as all have the same length."""

    def most_texts(self, tokens: int, memory_bytes: int) -> int:
        """Texts of up to so many tokens that one run takes and whose keys and values fit into so much memory,
        at least 1."""
        ...

    def texts(self, beginnings: Sequence[Sequence[Float32 | DeviceArray]], room: int) -> Texts:
        """Texts that begin with these pieces, given as to `read`, and have room for `room` tokens more.

        Raises InputError for beginnings of several lengths, BackendError where memory is not enough or a run
        fails.
        """
        ...


class Accelerator(Protocol):
    """A processor that runs a bundle's models in place of ONNX Runtime on the CPU.

    Every method raises BackendError where the models do not fit or cannot run there, BundleError for a
    precision the bundle does not hold. `head` and `memory` give None where they leave the part to the CPU.
    """

    def tower(self, bundle: Bundle, precision: str | None = None) -> VisionTower:
        """The vision tower."""
        ...

    def head(self, bundle: Bundle) -> StageHead | None:
        """The enhancement module alone, of a bundle that has a graph of it."""
        ...

    def memory(self, bundle: Bundle, features: int) -> MemoryNetwork | None:
        """The night memory, of a bundle that has one."""
        ...

    def language_model(
        self, bundle: Bundle, embed_tokens: NDArray[np.floating], precision: str | None = None
    ) -> LanguageModel:
        """The language model with its embedding table."""
        ...
