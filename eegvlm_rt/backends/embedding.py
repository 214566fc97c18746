"""What decoders that read embeddings share: the table, and checks of what is handed to a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..devices.buffers import DeviceArray
from ..errors import BackendError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..bundle.manifest import LanguageModelShape
    from .base import KVCache

__all__ = ["CACHE_DTYPES", "EmbeddedDecoder", "cache_names", "joined"]

Float32 = NDArray[np.float32]

CACHE_DTYPES: dict[str, type[np.float32] | type[np.float16]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
}
"""Types of keys and values, by ONNX Runtime's name for them."""


def cache_names(prefix: str, layers: int) -> list[str]:
    """`{prefix}.0.key`, `{prefix}.0.value`, `{prefix}.1.key`, ..."""
    return [f"{prefix}.{i}.{kind}" for i in range(layers) for kind in ("key", "value")]


def joined(pieces: Sequence[Float32 | DeviceArray]) -> Float32:
    """Pieces of a text, (1, T, D) or (V, D), as one array (1, T, D) on the host."""
    arrays = [piece.numpy() if isinstance(piece, DeviceArray) else piece for piece in pieces]
    return np.concatenate([array.reshape(1, -1, array.shape[-1]) for array in arrays], axis=1)


class EmbeddedDecoder:
    """A decoder and its embedding table (vocabulary, D), float16 or float32; `_run` is the decoder's own."""

    def __init__(self, embed_tokens: NDArray[np.floating], shape: LanguageModelShape) -> None:
        if embed_tokens.ndim != 2 or embed_tokens.dtype not in (np.float16, np.float32):
            kind = f"{embed_tokens.dtype} {embed_tokens.shape}"
            raise BackendError(
                "embed_tokens", kind, "give float16 or float32 of shape (vocab_size, hidden_size)"
            )
        if len(embed_tokens) != shape.vocab_size:
            raise BackendError(
                "embed_tokens", len(embed_tokens), f"the manifest says {shape.vocab_size} rows"
            )
        self._table = embed_tokens
        self._shape = shape

    @property
    def hidden_size(self) -> int:
        """Width D of the embeddings."""
        return int(self._table.shape[1])

    @property
    def vocab_size(self) -> int:
        """Number of tokens V."""
        return self._shape.vocab_size

    def embed(self, ids: Sequence[int]) -> Float32:
        """Embeddings (1, T, D) float32 of T token ids. Raises InputError for an id outside the vocabulary."""
        index = np.asarray(ids, dtype=np.int64)
        if index.ndim != 1 or (index.size and not 0 <= index.min() <= index.max() < self.vocab_size):
            raise InputError("ids", ids, f"give token ids from 0 to {self.vocab_size - 1}")
        return np.asarray(self._table[index], dtype=np.float32)[None]

    def step(self, inputs_embeds: Float32, cache: KVCache | None = None) -> tuple[Float32, KVCache]:
        """Logits (T, V) float32 of (1, T, D) embeddings read after `cache`, and the longer cache.

        Raises:
            InputError: another shape or dtype. BackendError: the run failed.
        """
        logits = np.empty((1, self._tokens(inputs_embeds), self.vocab_size), dtype=np.float32)
        return logits[0], self._run(inputs_embeds, cache, logits)

    def extend(self, inputs_embeds: Float32, cache: KVCache | None = None) -> KVCache:
        """The cache after (1, T, D) embeddings; the logits are not kept. Raises as `step` does."""
        self._tokens(inputs_embeds)
        return self._run(inputs_embeds, cache, None)

    def read(self, pieces: Sequence[Float32 | DeviceArray], cache: KVCache | None = None) -> KVCache:
        """`extend` by several pieces one after another: (1, T, D), or (V, D) of any device. Raises as `step`
        does."""
        return self.extend(joined(pieces), cache)

    def next_logits(self, inputs_embeds: Float32, cache: KVCache | None = None) -> tuple[Float32, KVCache]:
        """`step` for the logits (V,) of the last token alone."""
        logits, following = self.step(inputs_embeds, cache)
        return logits[-1], following

    def _run(self, inputs_embeds: Float32, cache: KVCache | None, logits: Float32 | None) -> KVCache:
        raise NotImplementedError

    def _tokens(self, inputs_embeds: Float32) -> int:
        shape = inputs_embeds.shape
        good = len(shape) == 3 and shape[0] == 1 and shape[1] > 0 and shape[2] == self.hidden_size
        if not good or inputs_embeds.dtype != np.float32:
            kind = f"{inputs_embeds.dtype} {shape}"
            raise InputError(
                "inputs_embeds", kind, f"give float32 of shape (1, T, {self.hidden_size}), T > 0"
            )
        return int(shape[1])

    def _tokens_of(self, pieces: Sequence[Float32 | DeviceArray]) -> int:
        """Tokens of all pieces together; raises InputError for one of another width."""
        for piece in pieces:
            if piece.shape[-1] != self.hidden_size:
                raise InputError("pieces", piece.shape, f"give shape (1, T, {self.hidden_size}), or (V, D)")
        return sum(piece.nbytes for piece in pieces) // (4 * self.hidden_size)
