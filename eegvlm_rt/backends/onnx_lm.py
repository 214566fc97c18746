"""The language model in ONNX Runtime: an exported decoder with concatenated keys and values.

Inputs `inputs_embeds` (1, T, D), `position_ids` (1, T) and `past_key_values.{i}.key|value` (1, heads, past,
head_dim); outputs `logits` (1, T, V) and `present.{i}.key|value` (1, heads, past + T, head_dim). Keys and
values are bound to reused memory, so a step allocates nothing of size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import BackendError
from .base import own_cache
from .embedding import CACHE_DTYPES, EmbeddedDecoder, cache_names
from .session import check_names, make_session, static_dimension

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..bundle.manifest import LanguageModelShape
    from .base import KVCache
    from .ort_options import OrtOptions

__all__ = ["OnnxLanguageModel"]

Float32 = NDArray[np.float32]

_ROUND = 128
_SPARES = 3


class _Cache:
    """Keys and values of `length` tokens in one block of memory, handed back to the pool with its last
    user.
    """

    __slots__ = ("_pool", "block", "length")

    def __init__(self, block: NDArray[np.uint8], length: int, pool: list[NDArray[np.uint8]]) -> None:
        self.block = block
        self.length = length
        self._pool = pool

    def __del__(self) -> None:
        if len(self._pool) < _SPARES:
            self._pool.append(self.block)


class OnnxLanguageModel(EmbeddedDecoder):
    """A decoder graph and its embedding table (vocabulary, D) in float16 or float32.

    Steps may run in several threads at once. Raises BackendError where graph, table and shape do not fit.
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
        self._pool: list[NDArray[np.uint8]] = []

    def _run(self, inputs_embeds: Float32, cache: KVCache | None, logits: Float32 | None) -> _Cache:
        own = own_cache(cache, _Cache)
        past = 0 if own is None else own.length
        total = past + inputs_embeds.shape[1]
        positions = np.arange(past, total, dtype=np.int64)[None]
        embeds = np.ascontiguousarray(inputs_embeds)
        following = _Cache(self._take(total), total, self._pool)

        binding = self._session.io_binding()
        for name, array in (("inputs_embeds", embeds), ("position_ids", positions)):
            binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        self._bind(binding.bind_input, self._past, following.block if own is None else own.block, past)
        if logits is not None:
            binding.bind_output("logits", "cpu", 0, np.float32, logits.shape, logits.ctypes.data)
        self._bind(binding.bind_output, self._present, following.block, total)
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:
            raise BackendError(
                "llm", str(error), f"a step of {total - past} tokens after {past} failed"
            ) from error
        return following

    def _bind(self, bind: object, names: list[str], block: NDArray[np.uint8], length: int) -> None:
        shape = (1, self._shape.num_kv_heads, length, self._shape.head_dim)
        size = int(np.prod(shape)) * np.dtype(self._dtype).itemsize
        address = block.ctypes.data
        for name in names:
            bind(name, "cpu", 0, self._dtype, shape, address)  # type: ignore[operator]
            address += size

    def _take(self, tokens: int) -> NDArray[np.uint8]:
        per_token = (
            len(self._past) * self._shape.num_kv_heads * self._shape.head_dim * np.dtype(self._dtype).itemsize
        )
        size = -(-tokens // _ROUND) * _ROUND * per_token
        while self._pool:
            block = self._pool.pop()
            if block.size >= size:
                return block
        return np.empty(size, dtype=np.uint8)

    def _check_graph(self) -> type[np.float32] | type[np.float16]:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        check_names("llm", "inputs", inputs, ["inputs_embeds", "position_ids", *self._past])
        check_names("llm", "outputs", outputs, ["logits", *self._present])
        by_name = {entry.name: entry for entry in (*inputs, *outputs)}
        static_dimension("llm", by_name["inputs_embeds"], 2, self.hidden_size)
        static_dimension("llm", by_name["logits"], 2, self.vocab_size)
        kinds = {by_name[name].type for name in (*self._past, *self._present)}
        for name in self._past:
            static_dimension("llm", by_name[name], 1, self._shape.num_kv_heads)
            static_dimension("llm", by_name[name], 3, self._shape.head_dim)
        if len(kinds) != 1 or not kinds <= set(CACHE_DTYPES):
            raise BackendError("llm.past_key_values", sorted(kinds), "keys and values are float16 or float32")
        return CACHE_DTYPES[kinds.pop()]
