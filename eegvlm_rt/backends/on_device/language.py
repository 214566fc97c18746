"""A language model of standard operators on a device: keys and values are inputs and outputs of every run.

They stay on the device from one step to the next; a step reads the cache it goes on from and writes the
longer one, so that caches can be shared and branched as the decoder likes.
"""

from __future__ import annotations

import math
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...devices.buffers import ALIGNMENT, DeviceArray, DeviceBuffer, aligned
from ...errors import BackendError
from ..base import own_cache
from ..embedding import EmbeddedDecoder, cache_names
from .graph import cache_dtype, check_single_precision
from .texts import DeviceTexts, bytes_of_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...bundle.manifest import LanguageModelShape
    from ...devices.buffers import Stream
    from ...devices.device import Device
    from ..base import KVCache
    from .graph import DeviceGraph

__all__ = ["DeviceLanguageModel", "language_inputs", "language_outputs"]

Float32 = NDArray[np.float32]

_ROUND = 128
_SPARES = 3


def language_inputs(shape: LanguageModelShape) -> list[str]:
    """Inputs of a graph of standard operators."""
    return ["inputs_embeds", "position_ids", *cache_names("past_key_values", shape.num_layers)]


def language_outputs(shape: LanguageModelShape) -> list[str]:
    """Outputs of any graph of a language model."""
    return ["logits", *cache_names("present", shape.num_layers)]


class _Cache:
    """Keys and values of `length` tokens in one buffer, handed back to the pool with its last user."""

    __slots__ = ("_pool", "buffer", "length")

    def __init__(self, buffer: DeviceBuffer, length: int, pool: list[DeviceBuffer]) -> None:
        self.buffer = buffer
        self.length = length
        self._pool = pool

    def __del__(self) -> None:
        if len(self._pool) < _SPARES and (buffer := self.buffer.handed_on()) is not None:
            self._pool.append(buffer)


class DeviceLanguageModel(EmbeddedDecoder):
    """A decoder with keys and values as inputs and outputs, and its embedding table (vocabulary, D) in host
    memory.

    Steps of several threads take turns. Raises BackendError where graph, table and shape do not fit.
    """

    def __init__(
        self,
        graph: DeviceGraph,
        embed_tokens: NDArray[np.floating],
        device: Device,
        stream: Stream,
        shape: LanguageModelShape,
    ) -> None:
        super().__init__(embed_tokens, shape)
        self._graph, self._device, self._stream = graph, device, stream
        self._past = cache_names("past_key_values", shape.num_layers)
        self._present = cache_names("present", shape.num_layers)
        self._check_graph()
        self._empty = DeviceBuffer(device, ALIGNMENT * len(self._past))
        self._embeds, self._positions, self._logits = (DeviceBuffer(device, 0) for _ in range(3))
        self._pool: list[DeviceBuffer] = []
        self._lock = Lock()

    def read(self, pieces: Sequence[Float32 | DeviceArray], cache: KVCache | None = None) -> _Cache:
        """See `LanguageModel`; what lies on the device is not brought to the host."""
        return self._go_on(self._tokens_of(pieces), pieces, cache, None)

    def next_logits(self, inputs_embeds: Float32, cache: KVCache | None = None) -> tuple[Float32, _Cache]:
        """See `LanguageModel`; only the last row of the logits leaves the device."""
        logits = np.empty((1, self.vocab_size), dtype=np.float32)
        following = self._go_on(self._tokens(inputs_embeds), [inputs_embeds], cache, logits)
        return logits[0], following

    def most_texts(self, tokens: int, memory_bytes: int) -> int:
        """See `ManyTexts`."""
        fitting = memory_bytes // bytes_of_text(self._shape, tokens, self._cache_dtype)
        return max(1, min(self._graph.largest("inputs_embeds", 0), fitting))

    def texts(self, beginnings: Sequence[Sequence[Float32 | DeviceArray]], room: int) -> DeviceTexts:
        """See `ManyTexts`; what lies on the device is not brought to the host."""
        for pieces in beginnings:
            self._tokens_of(pieces)
        return DeviceTexts(self._graph, self._device, self._stream, self._shape, beginnings, room)

    def _run(self, inputs_embeds: Float32, cache: KVCache | None, logits: Float32 | None) -> _Cache:
        rows = None if logits is None else logits[0]
        return self._go_on(inputs_embeds.shape[1], [inputs_embeds], cache, rows)

    def _go_on(
        self,
        tokens: int,
        pieces: Sequence[Float32 | DeviceArray],
        cache: KVCache | None,
        logits: Float32 | None,
    ) -> _Cache:
        """The cache after `tokens` more; `logits` (n, V) gets those of the last n tokens."""
        own = own_cache(cache, _Cache)
        past = 0 if own is None else own.length
        positions = np.arange(past, past + tokens, dtype=self._graph.dtypes["position_ids"])[None]
        with self._lock:
            # The graph reads the old cache and writes a whole new one: what has the old one may go on from it
            # another way. The buffers of caches that nobody has any more are used again.
            following = _Cache(self._take(past + tokens), past + tokens, self._pool)
            self._embeds = self._grown(self._embeds, 4 * tokens * self.hidden_size)
            self._positions = self._grown(self._positions, positions.nbytes)
            self._logits = self._grown(self._logits, 4 * tokens * self.vocab_size)
            shapes = dict.fromkeys(self._past, self._cache_shape(past))
            expected = dict.fromkeys(self._present, self._cache_shape(past + tokens))
            places = {
                "inputs_embeds": self._embeds.address,
                "position_ids": self._positions.address,
                "logits": self._logits.address,
                **self._places(self._past, None if own is None else own.buffer, past),
                **self._places(self._present, following.buffer, past + tokens),
            }
            # Copies read these arrays until the stream is settled.
            arrays = [p if isinstance(p, DeviceArray) else np.ascontiguousarray(p) for p in pieces]
            with self._stream.settled() as stream:
                offset = 0
                for piece in arrays:
                    write = self._embeds.copy if isinstance(piece, DeviceArray) else self._embeds.upload
                    write(piece, stream, offset=offset)  # type: ignore[arg-type]
                    offset += piece.nbytes
                self._positions.upload(positions, stream)
                self._graph.enqueue(
                    {"inputs_embeds": (1, tokens, self.hidden_size), "position_ids": (1, tokens), **shapes},
                    places,
                    {"logits": (1, tokens, self.vocab_size), **expected},
                    stream,
                )
                if logits is not None:
                    first = tokens - len(logits)
                    self._logits.download(logits, stream, offset=4 * first * self.vocab_size)
        return following

    def _places(self, names: list[str], buffer: DeviceBuffer | None, length: int) -> dict[str, int]:
        """Where each tensor of a cache lies. Those of no cache are empty; TensorRT wants a place of its own
        for each of them all the same.
        """
        start, size = (
            (self._empty.address, ALIGNMENT) if buffer is None else (buffer.address, self._part_bytes(length))
        )
        return {name: start + i * size for i, name in enumerate(names)}

    def _cache_shape(self, length: int) -> tuple[int, ...]:
        return (1, self._shape.num_kv_heads, length, self._shape.head_dim)

    def _part_bytes(self, length: int) -> int:
        return aligned(math.prod(self._cache_shape(length)) * self._cache_dtype.itemsize)

    def _take(self, tokens: int) -> DeviceBuffer:
        size = len(self._past) * self._part_bytes(-(-tokens // _ROUND) * _ROUND)
        while self._pool:
            buffer = self._pool.pop()
            if buffer.size >= size:
                return buffer
            buffer.free()
        return DeviceBuffer(self._device, size)

    def _grown(self, buffer: DeviceBuffer, size: int) -> DeviceBuffer:
        """The buffer, or a larger one in its place; nothing is in flight while it is replaced."""
        return buffer if buffer.size >= size else DeviceBuffer(self._device, size)

    def _check_graph(self) -> None:
        graph, heads, width = self._graph, self._shape.num_kv_heads, self._shape.head_dim
        check_single_precision(graph, {"inputs_embeds": self.hidden_size, "logits": self.vocab_size})
        positions = graph.dtypes["position_ids"]
        if positions.kind != "i":
            raise BackendError("llm.position_ids", str(positions), "positions are integers")
        self._cache_dtype = cache_dtype(graph, self._past, self._present, heads, width, "tokens")
