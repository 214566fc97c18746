"""Tower and language model on TensorRT: plans run on device buffers through cuda-python, without torch.

Keys and values stay on the device from one step to the next; a step reads the cache it goes on from and
writes the longer one, so that caches can be shared and branched as the decoder likes.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ..backends.base import TowerOutput
from ..backends.embedding import EmbeddedDecoder, cache_names
from ..errors import BackendError, InputError
from .device import ALIGNMENT, DeviceBuffer, Stream, aligned
from .open_plan import OpenPlan

if TYPE_CHECKING:
    from ..backends.base import KVCache
    from ..bundle.manifest import LanguageModelShape
    from .api import TensorRT
    from .device import Device

__all__ = ["TensorRTLanguageModel", "TensorRTVisionTower"]

Float32 = NDArray[np.float32]

_TOWER: Final = ("stage_logits", "high_level", "visual_tokens")
_ROUND: Final = 128
_SPARES: Final = 3


class TensorRTVisionTower:
    """`pixel_values` (n, 3, H, W) -> `stage_logits` (n, 5), `high_level` (n, Dv), `visual_tokens` (n, V, D).

    More pictures than the plan takes at once go through it in turns. May be used from several threads, which
    take turns. Raises BackendError where the plan cannot be opened or has other inputs and outputs.
    """

    def __init__(
        self, plan: bytes, trt: TensorRT, device: Device, *, visual_tokens: int, hidden_size: int
    ) -> None:
        self._plan = OpenPlan(plan, trt, device, part="tower", inputs=["pixel_values"], outputs=_TOWER)
        for name, dtype in self._plan.dtypes.items():
            if dtype != np.float32:
                raise BackendError(f"tower.{name}", str(dtype), "pictures and answers are float32")
        _, _, self.height, self.width = self._plan.shapes["pixel_values"]
        self._tails = {name: self._plan.shapes[name][1:] for name in _TOWER}
        for name, tail in (("stage_logits", (5,)), ("visual_tokens", (visual_tokens, hidden_size))):
            if self._tails[name] != tail:
                raise BackendError(f"tower.{name}", self._tails[name], f"the manifest says {tail}")
        self._batch = self._plan.largest("pixel_values", 0)
        self._stream = Stream(device)
        sizes = {"pixel_values": 3 * self.height * self.width} | {
            name: int(np.prod(tail)) for name, tail in self._tails.items()
        }
        self._buffers = {name: DeviceBuffer(device, 4 * self._batch * n) for name, n in sizes.items()}
        self._lock = Lock()

    def __call__(self, pixel_values: Float32) -> TowerOutput:
        """One pass over n pictures. Raises InputError for another shape or dtype, BackendError where the
        run fails.
        """
        expected = (3, self.height, self.width)
        if pixel_values.ndim != 4 or pixel_values.shape[1:] != expected or pixel_values.dtype != np.float32:
            found = f"{pixel_values.dtype} {pixel_values.shape}"
            raise InputError(
                "pixel_values", found, f"give float32 of shape (n, {', '.join(map(str, expected))})"
            )
        n = len(pixel_values)
        results = {name: np.empty((n, *tail), dtype=np.float32) for name, tail in self._tails.items()}
        with self._lock:
            for start in range(0, n, self._batch):
                some = slice(start, min(start + self._batch, n))
                self._pass(np.ascontiguousarray(pixel_values[some]), results, some)
        return TowerOutput(*(results[name] for name in _TOWER))

    def _pass(self, pictures: Float32, results: dict[str, Float32], some: slice) -> None:
        n = len(pictures)
        with self._stream.settled() as stream:
            self._buffers["pixel_values"].upload(pictures, stream)
            self._plan.enqueue(
                {"pixel_values": pictures.shape},
                {name: buffer.address for name, buffer in self._buffers.items()},
                {name: (n, *tail) for name, tail in self._tails.items()},
                stream,
            )
            for name in _TOWER:
                self._buffers[name].download(results[name][some], stream)


class _Cache:
    """Keys and values of `length` tokens in one buffer, handed back to the pool with its last user."""

    __slots__ = ("_pool", "buffer", "length")

    def __init__(self, buffer: DeviceBuffer, length: int, pool: list[DeviceBuffer]) -> None:
        self.buffer = buffer
        self.length = length
        self._pool = pool

    def __del__(self) -> None:
        if len(self._pool) < _SPARES:
            self._pool.append(self.buffer)


class TensorRTLanguageModel(EmbeddedDecoder):
    """A plan of a decoder with keys and values as inputs and outputs, and its embedding table
    (vocabulary, D) in host memory.

    Steps of several threads take turns. Raises BackendError where plan, table and shape do not fit.
    """

    def __init__(
        self,
        plan: bytes,
        embed_tokens: NDArray[np.floating],
        trt: TensorRT,
        device: Device,
        shape: LanguageModelShape,
    ) -> None:
        super().__init__(embed_tokens, shape)
        self._past = cache_names("past_key_values", shape.num_layers)
        self._present = cache_names("present", shape.num_layers)
        self._plan = OpenPlan(
            plan,
            trt,
            device,
            part="llm",
            inputs=["inputs_embeds", "position_ids", *self._past],
            outputs=["logits", *self._present],
        )
        self._check_plan()
        self._device, self._stream = device, Stream(device)
        self._empty = DeviceBuffer(device, ALIGNMENT * len(self._past))
        self._embeds, self._positions, self._logits = (DeviceBuffer(device, 0) for _ in range(3))
        self._pool: list[DeviceBuffer] = []
        self._lock = Lock()

    def _run(self, inputs_embeds: Float32, cache: KVCache | None, logits: Float32 | None) -> _Cache:
        if cache is not None and not isinstance(cache, _Cache):
            raise InputError("cache", type(cache).__name__, "give a cache that this model made, or None")
        past = 0 if cache is None else cache.length
        tokens = inputs_embeds.shape[1]
        embeds = np.ascontiguousarray(inputs_embeds)
        positions = np.arange(past, past + tokens, dtype=self._plan.dtypes["position_ids"])[None]
        with self._lock:
            following = _Cache(self._take(past + tokens), past + tokens, self._pool)
            self._embeds = self._grown(self._embeds, embeds.nbytes)
            self._positions = self._grown(self._positions, positions.nbytes)
            self._logits = self._grown(self._logits, 4 * tokens * self.vocab_size)
            shapes = dict.fromkeys(self._past, self._cache_shape(past))
            expected = dict.fromkeys(self._present, self._cache_shape(past + tokens))
            places = {
                "inputs_embeds": self._embeds.address,
                "position_ids": self._positions.address,
                "logits": self._logits.address,
                **self._places(self._past, None if cache is None else cache.buffer, past),
                **self._places(self._present, following.buffer, past + tokens),
            }
            with self._stream.settled() as stream:
                self._embeds.upload(embeds, stream)
                self._positions.upload(positions, stream)
                self._plan.enqueue(
                    {"inputs_embeds": embeds.shape, "position_ids": positions.shape, **shapes},
                    places,
                    {"logits": (1, tokens, self.vocab_size), **expected},
                    stream,
                )
                if logits is not None:
                    self._logits.download(logits, stream)
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
        return aligned(int(np.prod(self._cache_shape(length))) * self._cache_dtype.itemsize)

    def _take(self, tokens: int) -> DeviceBuffer:
        wanted = len(self._past) * self._part_bytes(-(-tokens // _ROUND) * _ROUND)
        while self._pool:
            buffer = self._pool.pop()
            if buffer.size >= wanted:
                return buffer
            buffer.free()
        return DeviceBuffer(self._device, wanted)

    def _grown(self, buffer: DeviceBuffer, size: int) -> DeviceBuffer:
        """The buffer, or a larger one in its place; nothing is in flight while it is replaced."""
        return buffer if buffer.size >= size else DeviceBuffer(self._device, size)

    def _check_plan(self) -> None:
        shapes, dtypes = self._plan.shapes, self._plan.dtypes
        heads, width = self._shape.num_kv_heads, self._shape.head_dim
        wanted: dict[str, tuple[Any, ...]] = {
            "inputs_embeds": (2, self.hidden_size),
            "logits": (2, self.vocab_size),
        }
        for name, (axis, size) in wanted.items():
            if shapes[name][axis] != size or dtypes[name] != np.float32:
                found = f"{dtypes[name]} {shapes[name]}"
                raise BackendError(f"llm.{name}", found, f"float32, axis {axis} is {size}")
        if dtypes["position_ids"].kind != "i":
            raise BackendError("llm.position_ids", str(dtypes["position_ids"]), "positions are integers")
        kinds = {dtypes[name] for name in (*self._past, *self._present)}
        fits = all(shapes[name][1] == heads and shapes[name][3] == width for name in self._past)
        if len(kinds) != 1 or not fits or next(iter(kinds)).kind != "f":
            found = f"{sorted(map(str, kinds))} {shapes[self._past[0]]}"
            raise BackendError(
                "llm.past_key_values", found, f"float16 or float32 (1, {heads}, tokens, {width})"
            )
        self._cache_dtype = next(iter(kinds))
