"""The language model in ONNX Runtime with fused attention: keys and values are appended to a buffer in place.

Inputs `inputs_embeds` (1, T, D), `last_position` (1,) and `total_tokens` () int32 and
`past_key_values.{i}.key|value` (1, heads, capacity, head_dim); outputs `logits` (1, T, V) and
`present.{i}.key|value`, bound to the memory of the past.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BackendError
from .base import own_cache
from .embedding import CACHE_DTYPES, EmbeddedDecoder, cache_names
from .rooms import Room, RoomCache, capacity_for
from .session import check_names, make_session, static_dimension

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..bundle.manifest import LanguageModelShape
    from .base import KVCache
    from .ort_options import OrtOptions

__all__ = ["FusedLanguageModel"]

Float32 = NDArray[np.float32]


class _KeysValues:
    """Keys and values (2 x layers, heads, capacity, head_dim), and bindings to them that no step uses, with
    logits (true) and without: making one takes as long as a step of a small model."""

    __slots__ = ("array", "bindings")

    def __init__(self, array: NDArray[np.floating]) -> None:
        self.array = array
        self.bindings: dict[bool, list[Any]] = {True: [], False: []}

    def handed_on(self) -> _KeysValues:
        """Itself: memory of the host lives as long as an array of it."""
        return self

    def take_binding(self, with_logits: bool) -> Any:
        """A binding for one step, or None; taking from a list is one operation for all threads."""
        try:
            return self.bindings[with_logits].pop()
        except IndexError:
            return None


class FusedLanguageModel(EmbeddedDecoder):
    """A decoder graph with GroupQueryAttention and its embedding table (vocabulary, D).

    Going on from the newest cache of a text writes behind it and copies nothing; going on from an older one,
    while a longer text of the same beginning is still in use, copies the beginning first. Steps may run in
    several threads at once. Raises BackendError where graph, table and shape do not fit.
    """

    def __init__(
        self,
        graph: bytes,
        embed_tokens: NDArray[np.floating],
        shape: LanguageModelShape,
        *,
        threads: int = 1,
        data: Mapping[str, bytes] | None = None,
        ort_options: OrtOptions | None = None,
    ) -> None:
        super().__init__(embed_tokens, shape)
        self._past = cache_names("past_key_values", shape.num_layers)
        self._present = cache_names("present", shape.num_layers)
        self._session = make_session(graph, name="llm", threads=threads, data=data, ort_options=ort_options)
        self._dtype = self._check_graph()
        self._pool: list[Room[_KeysValues]] = []

    def _run(
        self, inputs_embeds: Float32, cache: KVCache | None, logits: Float32 | None
    ) -> RoomCache[_KeysValues]:
        own = own_cache(cache, RoomCache)
        past = 0 if own is None else own.length
        total = past + inputs_embeds.shape[1]
        embeds = np.ascontiguousarray(inputs_embeds)
        last, count = np.array([total - 1], dtype=np.int32), np.array(total, dtype=np.int32)
        following = self._following(own, past, total)

        memory = following.room.content
        # A binding that was used once writes logits to a place that must be given anew.
        binding = memory.take_binding(logits is not None) or self._bound(memory.array)
        for name, array in (("inputs_embeds", embeds), ("last_position", last), ("total_tokens", count)):
            binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        if logits is not None:
            binding.bind_output("logits", "cpu", 0, np.float32, logits.shape, logits.ctypes.data)
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:
            raise BackendError(
                "llm", str(error), f"a step of {total - past} tokens after {past} failed"
            ) from error
        memory.bindings[logits is not None].append(binding)
        return following

    def _bound(self, keys_values: NDArray[np.floating]) -> Any:
        """A binding whose past and present of a layer are the same memory: the operator writes the new keys
        and values behind the old ones, and nothing is copied."""
        binding = self._session.io_binding()
        shape, address = (1, *keys_values.shape[1:]), keys_values.ctypes.data
        for i, (before, after) in enumerate(zip(self._past, self._present, strict=True)):
            place = address + i * keys_values.strides[0]
            binding.bind_input(before, "cpu", 0, self._dtype, shape, place)
            binding.bind_output(after, "cpu", 0, self._dtype, shape, place)
        return binding

    def _following(
        self, cache: RoomCache[_KeysValues] | None, past: int, total: int
    ) -> RoomCache[_KeysValues]:
        # The newest text of a buffer may use the room behind it; another one needs a buffer of its own.
        if cache is not None and cache.room.claim(past, total):
            return RoomCache(cache.room, total, self._pool)
        room = self._take(total)
        if cache is not None:
            room.content.array[:, :, :past] = cache.room.content.array[:, :, :past]
        return RoomCache(room, total, self._pool)

    def _take(self, total: int) -> Room[_KeysValues]:
        while self._pool:
            room = self._pool.pop()
            if room.claim(0, total):
                return room
        capacity = capacity_for(total)
        shape = (len(self._past), self._shape.num_kv_heads, capacity, self._shape.head_dim)
        room = Room(_KeysValues(np.zeros(shape, dtype=self._dtype)), capacity)
        room.claim(0, total)
        return room

    def _check_graph(self) -> type[np.float32] | type[np.float16]:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        check_names("llm", "inputs", inputs, ["inputs_embeds", "last_position", "total_tokens", *self._past])
        check_names("llm", "outputs", outputs, ["logits", *self._present])
        by_name = {entry.name: entry for entry in (*inputs, *outputs)}
        static_dimension("llm", by_name["inputs_embeds"], 2, self.hidden_size)
        static_dimension("llm", by_name["logits"], 2, self.vocab_size)
        for name in self._past:
            static_dimension("llm", by_name[name], 1, self._shape.num_kv_heads)
            static_dimension("llm", by_name[name], 3, self._shape.head_dim)
        kinds = {by_name[name].type for name in (*self._past, *self._present)}
        if len(kinds) != 1 or not kinds <= set(CACHE_DTYPES):
            raise BackendError("llm.past_key_values", sorted(kinds), "keys and values are float16 or float32")
        return CACHE_DTYPES[kinds.pop()]
