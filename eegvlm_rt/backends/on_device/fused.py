"""A language model with fused attention on a device: keys and values are appended in place, short steps are
replayed.

The graph is that of `onnx_gqa.py`; keys and values are of half precision where the graph says so, which is
what GPUs have the operator for.
"""

from __future__ import annotations

import math
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ...devices.buffers import DeviceArray, DeviceBuffer
from ..base import own_cache
from ..embedding import EmbeddedDecoder, cache_names
from ..rooms import Room, RoomCache, capacity_for
from .graph import cache_dtype, check_single_precision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...bundle.manifest import LanguageModelShape
    from ...devices.buffers import Stream
    from ...devices.device import Device
    from ..base import KVCache
    from .ort_graph import OrtGraph

__all__ = ["REPLAYED_TOKENS", "FusedDeviceLanguageModel"]

Float32 = NDArray[np.float32]

REPLAYED_TOKENS: Final = 32
"""Steps of at most so many tokens are replayed from a CUDA graph; longer ones have work enough to hide their
launches."""


class _KeysValues:
    """Keys and values (2 x layers, heads, capacity, head_dim) on the device, with the bindings made for
    them."""

    __slots__ = ("bindings", "buffer", "number")

    def __init__(self, buffer: DeviceBuffer, number: int) -> None:
        self.buffer, self.number = buffer, number
        self.bindings: dict[int, Any] = {}

    def handed_on(self) -> _KeysValues | None:
        """The memory with its bindings, which hold its address, for the next user."""
        buffer = self.buffer.handed_on()
        if buffer is None:
            return None
        other = _KeysValues(buffer, self.number)
        other.bindings = self.bindings
        return other


DeviceRoom = Room[_KeysValues]


class _Beginning:
    """The cache of a text's beginning: `pieces` of `length` tokens until the first question is read with
    them, and where their keys and values lie from then on, `cache`."""

    __slots__ = ("cache", "length", "pieces")

    def __init__(self, pieces: Sequence[Float32 | DeviceArray], length: int) -> None:
        self.pieces, self.length = pieces, length
        self.cache: RoomCache[_KeysValues] | None = None

    def lies_in(self, room: DeviceRoom, pool: list[DeviceRoom]) -> None:
        """The first tokens of a room are these; the pieces may go."""
        room.share(self.length)
        self.cache, self.pieces = RoomCache(room, self.length, pool), ()


class FusedDeviceLanguageModel(EmbeddedDecoder):
    """A decoder graph with GroupQueryAttention and its embedding table (vocabulary, D) in host memory.

    The beginning of a text is read in one run with its first question, which takes less time than two. Its
    keys and values may then be rounded otherwise than with another question first. Steps of several threads
    take turns. `replay` records short steps as CUDA graphs: one for each number of
    tokens and each buffer; `capacity` is the least number of tokens that a buffer has room for. Raises
    BackendError where graph, table and shape do not fit.
    """

    def __init__(
        self,
        graph: OrtGraph,
        embed_tokens: NDArray[np.floating],
        device: Device,
        stream: Stream,
        shape: LanguageModelShape,
        *,
        replay: bool = False,
        capacity: int = 0,
    ) -> None:
        super().__init__(embed_tokens, shape)
        self._graph, self._device, self._stream = graph, device, stream
        self._replay, self._capacity = replay, capacity
        self._past = cache_names("past_key_values", shape.num_layers)
        self._present = cache_names("present", shape.num_layers)
        self._check_graph()
        self._itemsize = graph.dtypes[self._past[0]].itemsize
        # Short steps have places of their own, which never move: a recorded step reads and writes them by
        # address.
        self._short = self._places(REPLAYED_TOKENS)
        self._long = self._places(0)
        self._last = DeviceBuffer(device, 4)
        self._pool: list[DeviceRoom] = []
        self._rooms = 0
        self._lock = Lock()

    def read(self, pieces: Sequence[Float32 | DeviceArray], cache: KVCache | None = None) -> KVCache:
        """See `LanguageModel`; what lies on the device is not brought to the host. A beginning is not read
        before its first question, which raises the error of the run."""
        tokens = self._tokens_of(pieces)
        if cache is None:
            # What lies on the host may be written again before; what lies on the device is held.
            own = [piece if isinstance(piece, DeviceArray) else piece.copy() for piece in pieces]
            return _Beginning(own, tokens)
        return self._go_on(tokens, pieces, cache, None)

    def next_logits(
        self, inputs_embeds: Float32, cache: KVCache | None = None
    ) -> tuple[Float32, RoomCache[_KeysValues]]:
        """See `LanguageModel`; only the last row of the logits leaves the device."""
        logits = np.empty((1, self.vocab_size), dtype=np.float32)
        tokens = self._tokens(inputs_embeds)
        return logits[0], self._go_on(tokens, [inputs_embeds], cache, logits)

    def _run(
        self, inputs_embeds: Float32, cache: KVCache | None, logits: Float32 | None
    ) -> RoomCache[_KeysValues]:
        rows = None if logits is None else logits[0]
        return self._go_on(inputs_embeds.shape[1], [inputs_embeds], cache, rows)

    def _go_on(
        self,
        tokens: int,
        pieces: Sequence[Float32 | DeviceArray],
        cache: KVCache | None,
        logits: Float32 | None,
    ) -> RoomCache[_KeysValues]:
        """Read `tokens` tokens, `pieces`, behind `cache`; logits of the last ones go to `logits` (N, V)."""
        with self._lock:
            if not isinstance(cache, _Beginning):
                return self._append(tokens, pieces, own_cache(cache, RoomCache), logits)
            if cache.cache is not None:
                return self._append(tokens, pieces, cache.cache, logits)
            whole = [*cache.pieces, *pieces]
            following = self._append(cache.length + tokens, whole, None, logits)
            cache.lies_in(following.room, self._pool)
            return following

    def _append(
        self,
        tokens: int,
        pieces: Sequence[Float32 | DeviceArray],
        cache: RoomCache[_KeysValues] | None,
        logits: Float32 | None,
    ) -> RoomCache[_KeysValues]:
        past = 0 if cache is None else cache.length
        total = past + tokens
        last = np.array([total - 1], dtype=np.int32)
        with self._stream.settled() as stream:
            # Past and present are the same memory: the operator writes the new keys and values behind the old
            # ones, and only who is first to go on from a text may do so in place. The others get a copy.
            following = self._following(cache, past, total, stream)
            short = tokens <= REPLAYED_TOKENS
            if not short and self._long[0].size < 4 * tokens * self.hidden_size:
                # Nothing may be in flight that still uses the old places.
                self._device.wait(stream)
                self._long = self._places(tokens)
            embeds, scores = self._short if short else self._long
            offset = 0
            for piece in pieces:
                if isinstance(piece, DeviceArray):
                    embeds.copy(piece, stream, offset=offset)
                else:
                    embeds.upload(np.ascontiguousarray(piece), stream, offset=offset)
                offset += piece.nbytes
            self._last.upload(last, stream)
            self._step(following.room, past, total, embeds, scores)
            if logits is not None:
                scores.download(logits, stream, offset=4 * (tokens - len(logits)) * self.vocab_size)
        return following

    def _step(
        self, room: DeviceRoom, past: int, total: int, embeds: DeviceBuffer, scores: DeviceBuffer
    ) -> None:
        tokens = total - past
        recording = None
        # A recorded step keeps its host inputs for good, and one of them is the number of tokens in all. The
        # operator takes the lengths of texts from the device; this number only says that it is not the first
        # step.
        count = total
        if self._replay and past and tokens <= REPLAYED_TOKENS < room.capacity:
            recording, count = room.content.number * (REPLAYED_TOKENS + 1) + tokens, room.capacity
        # Bindings are made once for a buffer and kept with it: making one costs more than a step of a small
        # model.
        binding = room.content.bindings.get(tokens if recording is not None else 0)
        if binding is None:
            binding = self._bound(room)
            room.content.bindings[tokens if recording is not None else 0] = binding
            fresh = True
        else:
            fresh = recording is None
        if fresh:
            shapes = {
                "inputs_embeds": (1, tokens, self.hidden_size),
                "last_position": (1,),
                "logits": (1, tokens, self.vocab_size),
            }
            places = {
                "inputs_embeds": embeds.address,
                "last_position": self._last.address,
                "logits": scores.address,
            }
            self._graph.bind(binding, shapes, places)
            binding.bind_cpu_input("total_tokens", np.array(count, dtype=np.int32))
        self._graph.run(binding, recording)

    def _bound(self, room: DeviceRoom) -> Any:
        """A binding with past and present of every layer in the same memory."""
        binding = self._graph.session.io_binding()
        shape = (1, self._shape.num_kv_heads, room.capacity, self._shape.head_dim)
        size = math.prod(shape) * self._itemsize
        names = zip(self._past, self._present, strict=True)
        address = room.content.buffer.address
        places = {name: address + i * size for i, pair in enumerate(names) for name in pair}
        self._graph.bind(binding, dict.fromkeys(places, shape), places)
        return binding

    def _following(
        self, cache: RoomCache[_KeysValues] | None, past: int, total: int, stream: int
    ) -> RoomCache[_KeysValues]:
        if cache is not None and cache.room.claim(past, total):
            return RoomCache(cache.room, total, self._pool)
        room = self._take(total, stream)
        if cache is not None:
            self._copy(cache.room, room, past, stream)
        return RoomCache(room, total, self._pool)

    def _copy(self, source: DeviceRoom, target: DeviceRoom, tokens: int, stream: int) -> None:
        width = self._shape.head_dim * self._itemsize
        rows = len(self._past) * self._shape.num_kv_heads
        pitches = (target.capacity * width, source.capacity * width)
        target.content.buffer.copy_rows(
            source.content.buffer, tokens * width, rows=rows, pitches=pitches, stream=stream
        )

    def _take(self, total: int, stream: int) -> DeviceRoom:
        while self._pool:
            room = self._pool.pop()
            if room.claim(0, total):
                return room
        capacity = max(capacity_for(total), self._capacity)
        shape = (len(self._past), self._shape.num_kv_heads, capacity, self._shape.head_dim)
        buffer = DeviceBuffer(self._device, math.prod(shape) * self._itemsize)
        # What the operator reads behind a text counts nothing, unless it is not a number.
        buffer.clear(stream)
        room = Room(_KeysValues(buffer, self._rooms), capacity)
        self._rooms += 1
        room.claim(0, total)
        return room

    def _places(self, tokens: int) -> tuple[DeviceBuffer, DeviceBuffer]:
        """Room for the embeddings and the logits of a step."""
        widths = (self.hidden_size, self.vocab_size)
        embeds, scores = (DeviceBuffer(self._device, 4 * tokens * width) for width in widths)
        return embeds, scores

    def _check_graph(self) -> None:
        check_single_precision(self._graph, {"inputs_embeds": self.hidden_size, "logits": self.vocab_size})
        heads, width = self._shape.num_kv_heads, self._shape.head_dim
        cache_dtype(self._graph, self._past, self._present, heads, width, "capacity")
