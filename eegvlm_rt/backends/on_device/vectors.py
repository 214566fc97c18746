"""Small networks on a device whose inputs come from the host and whose outputs go back: stage head and night
memory."""

from __future__ import annotations

import math
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...devices.buffers import DeviceBuffer
from ...errors import BackendError
from ..base import HeadOutput, MemoryOutput
from ..pictures import check_pictures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...devices.buffers import Stream
    from ...devices.device import Device
    from .graph import DeviceGraph

__all__ = ["DeviceHead", "DeviceMemory"]

Float32 = NDArray[np.float32]


class _RoundTrip:
    """Host arrays through a graph on a device and back, through buffers that grow as they must."""

    def __init__(self, graph: DeviceGraph, device: Device, stream: Stream) -> None:
        self._graph, self._device, self._stream = graph, device, stream
        self._buffers: dict[str, DeviceBuffer] = {}
        self._lock = Lock()

    def __call__(
        self, inputs: Mapping[str, Float32], outputs: Mapping[str, tuple[int, ...]]
    ) -> list[Float32]:
        """The outputs, in order, whose shapes `outputs` gives. Raises BackendError where the run fails."""
        arrays = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
        results = {name: np.empty(shape, dtype=np.float32) for name, shape in outputs.items()}
        sizes = {name: array.nbytes for name, array in (arrays | results).items()}
        with self._lock:
            for name, size in sizes.items():
                if name not in self._buffers or self._buffers[name].size < size:
                    self._buffers[name] = DeviceBuffer(self._device, size)
            with self._stream.settled() as stream:
                for name, array in arrays.items():
                    self._buffers[name].upload(array, stream)
                self._graph.enqueue(
                    {name: array.shape for name, array in arrays.items()},
                    {name: self._buffers[name].address for name in sizes},
                    dict(outputs),
                    stream,
                )
                for name, array in results.items():
                    self._buffers[name].download(array, stream)
        return list(results.values())


class DeviceHead:
    """`pixel_values` (n, planes, H, W) -> `stage_logits` (n, 5), `high_level` (n, F); see `OnnxHead`."""

    def __init__(self, graph: DeviceGraph, device: Device, stream: Stream) -> None:
        self._run = _RoundTrip(graph, device, stream)
        _, self.planes, *size = graph.shapes["pixel_values"]
        if self.planes not in (1, 3):
            raise BackendError("head.pixel_values", f"{self.planes} planes", "a picture has 1 or 3")
        self._picture = (self.planes, *size)
        self.features = graph.shapes["high_level"][1]

    def __call__(self, pixel_values: Float32) -> HeadOutput:
        """One pass over n pictures. Raises InputError for another shape or dtype, BackendError where the
        run fails.
        """
        check_pictures(pixel_values, self._picture)
        n = len(pixel_values)
        shapes = {"stage_logits": (n, 5), "high_level": (n, self.features)}
        return HeadOutput(*self._run({"pixel_values": pixel_values}, shapes))


class DeviceMemory:
    """The step of the night memory; see `OnnxMemory`."""

    def __init__(
        self, graph: DeviceGraph, device: Device, stream: Stream, *, features: int, hidden_size: int
    ) -> None:
        self._run = _RoundTrip(graph, device, stream)
        self.state_size = graph.shapes["state"][1]
        self._outputs = {
            "night_logits": (1, 5),
            "night_token": (1, hidden_size),
            "next_state": (1, self.state_size),
        }
        shapes = {"high_level": (1, features)} | self._outputs
        for name, shape in shapes.items():
            if math.prod(graph.shapes[name]) != math.prod(shape):
                raise BackendError(f"memory.{name}", graph.shapes[name], f"its shape is {shape}")
        self._absent = (np.zeros((1, features), np.float32), np.zeros((1, 5), np.float32))

    def __call__(
        self, high_level: Float32 | None, stage_logits: Float32 | None, state: Float32
    ) -> MemoryOutput:
        """One epoch after `state` (S,); None for both where it had no usable signal. Raises BackendError."""
        present = high_level is not None and stage_logits is not None
        look = (high_level[None], stage_logits[None]) if present else self._absent  # type: ignore[index]
        inputs = {
            "high_level": look[0],
            "stage_logits": look[1],
            "present": np.full((1, 1), present, np.float32),
            "state": state[None],
        }
        return MemoryOutput(*(array[0] for array in self._run(inputs, self._outputs)))
