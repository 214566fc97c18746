"""The vision tower on a device: pictures go there, stage logits and features come back, visual tokens
stay."""

from __future__ import annotations

import math
from threading import Lock
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ...devices.buffers import DeviceArray, DeviceBuffer
from ...errors import BackendError
from ..base import TowerOutput
from ..pictures import check_pictures

if TYPE_CHECKING:
    from ...devices.buffers import Stream
    from ...devices.device import Device
    from .graph import DeviceGraph

__all__ = ["TOWER_OUTPUTS", "DeviceVisionTower"]

Float32 = NDArray[np.float32]

TOWER_OUTPUTS: Final = ("stage_logits", "high_level", "visual_tokens")
_TO_HOST: Final = ("stage_logits", "high_level")
_SPARES: Final = 3


class _Lease:
    """A buffer that goes back to its pool with its last user."""

    __slots__ = ("_pool", "buffer")

    def __init__(self, buffer: DeviceBuffer, pool: list[DeviceBuffer]) -> None:
        self.buffer, self._pool = buffer, pool

    def __del__(self) -> None:
        if len(self._pool) < _SPARES and (buffer := self.buffer.handed_on()) is not None:
            self._pool.append(buffer)


class DeviceVisionTower:
    """`pixel_values` (n, 3, H, W) -> `stage_logits` (n, 5) and `high_level` (n, Dv) on the host,
    `visual_tokens` (n, V, D) as a DeviceArray.

    More pictures than the graph takes at once go through it in turns. May be used from several threads, which
    take turns. Raises BackendError where the graph has other inputs and outputs.
    """

    def __init__(
        self, graph: DeviceGraph, device: Device, stream: Stream, *, visual_tokens: int, hidden_size: int
    ) -> None:
        self._graph, self._device, self._stream = graph, device, stream
        for name, dtype in graph.dtypes.items():
            if dtype != np.float32:
                raise BackendError(f"tower.{name}", str(dtype), "pictures and answers are float32")
        _, _, self.height, self.width = graph.shapes["pixel_values"]
        self._tails = {name: graph.shapes[name][1:] for name in TOWER_OUTPUTS}
        for name, tail in (("stage_logits", (5,)), ("visual_tokens", (visual_tokens, hidden_size))):
            if self._tails[name] != tail:
                raise BackendError(f"tower.{name}", self._tails[name], f"the manifest says {tail}")
        self._batch = graph.largest("pixel_values", 0)
        sizes = {"pixel_values": 3 * self.height * self.width} | {
            name: math.prod(self._tails[name]) for name in _TO_HOST
        }
        self._buffers = {name: DeviceBuffer(device, 4 * self._batch * n) for name, n in sizes.items()}
        self._pool: list[DeviceBuffer] = []
        self._lock = Lock()

    def __call__(self, pixel_values: Float32) -> TowerOutput:
        """One pass over n pictures. Raises InputError for another shape or dtype, BackendError where the
        run fails.
        """
        check_pictures(pixel_values, (3, self.height, self.width))
        n = len(pixel_values)
        results = {name: np.empty((n, *self._tails[name]), dtype=np.float32) for name in _TO_HOST}
        with self._lock:
            tokens = self._room(n)
            for start in range(0, n, self._batch):
                some = slice(start, min(start + self._batch, n))
                self._pass(np.ascontiguousarray(pixel_values[some]), results, tokens, some)
        return TowerOutput(results["stage_logits"], results["high_level"], tokens)

    def _room(self, n: int) -> DeviceArray:
        """Place for the visual tokens of n pictures."""
        shape = (n, *self._tails["visual_tokens"])
        size = 4 * math.prod(shape)
        buffer = self._pool.pop() if self._pool else DeviceBuffer(self._device, size)
        if buffer.size < size:
            buffer.free()
            buffer = DeviceBuffer(self._device, size)
        return DeviceArray(buffer, shape, self._stream, owner=_Lease(buffer, self._pool))

    def _pass(self, pictures: Float32, results: dict[str, Float32], tokens: DeviceArray, some: slice) -> None:
        n = len(pictures)
        places = {name: buffer.address for name, buffer in self._buffers.items()}
        with self._stream.settled() as stream:
            self._buffers["pixel_values"].upload(pictures, stream)
            self._graph.enqueue(
                {"pixel_values": pictures.shape},
                places | {"visual_tokens": tokens[some.start].address},
                {name: (n, *tail) for name, tail in self._tails.items()},
                stream,
            )
            for name in _TO_HOST:
                self._buffers[name].download(results[name][some], stream)
