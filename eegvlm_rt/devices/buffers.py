"""Buffers with bounds, arrays that stay on a device, and streams that are given back."""

from __future__ import annotations

import math
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .device import Device

__all__ = ["ALIGNMENT", "DeviceArray", "DeviceBuffer", "Stream", "aligned"]

ALIGNMENT = 256
"""TensorRT reads and writes tensors that start at a multiple of this many bytes, as `cudaMalloc` gives."""


class DeviceBuffer:
    """Bytes on a device, freed with their last user; copies stay inside."""

    __slots__ = ("_device", "address", "size")

    def __init__(self, device: Device, size: int) -> None:
        self._device = device
        self.size = max(size, ALIGNMENT)
        self.address = device.allocate(self.size)

    def handed_on(self) -> DeviceBuffer | None:
        """Another buffer with the memory of this one, which has none from then on; None where it was given
        back.

        For finalizers that keep memory for the next user. Where a buffer and its last user are garbage
        together, both are finalized, in any order, also where one of them was kept: only the memory may go
        on.
        """
        # Taken and forgotten in one statement: whichever of two finalizers comes first gets the memory, and
        # the other finds nothing to free.
        address, self.address = self.address, 0
        if not address:
            return None
        other = DeviceBuffer.__new__(DeviceBuffer)
        other._device, other.size, other.address = self._device, self.size, address
        return other

    def upload(self, source: NDArray[Any], stream: int, *, offset: int = 0) -> None:
        """Copy a host array into the buffer, from byte `offset` on."""
        self._check_host(source)
        self._check(offset, source.nbytes)
        self._device.upload(self.address + offset, source, stream)

    def download(self, target: NDArray[Any], stream: int, *, offset: int = 0) -> None:
        """Fill a host array from byte `offset` on."""
        self._check_host(target)
        self._check(offset, target.nbytes)
        self._device.download(target, self.address + offset, stream)

    def copy(self, source: DeviceArray, stream: int, *, offset: int = 0) -> None:
        """Copy an array of the same device into the buffer, from byte `offset` on."""
        self._check(offset, source.nbytes)
        size = source.nbytes
        place = self.address + offset
        self._device.copy(place, source.address, size, rows=1, pitches=(size, size), stream=stream)

    def copy_rows(
        self, source: DeviceBuffer, row: int, *, rows: int, pitches: tuple[int, int], stream: int
    ) -> None:
        """Copy `rows` pieces of `row` bytes; they start every `pitches[0]` bytes here and `pitches[1]` in
        `source`."""
        for buffer, pitch in zip((self, source), pitches, strict=True):
            buffer._check(0, (rows - 1) * pitch + row)
        self._device.copy(self.address, source.address, row, rows=rows, pitches=pitches, stream=stream)

    def clear(self, stream: int) -> None:
        """Set the buffer to zero."""
        self._device.clear(self.address, self.size, stream)

    def free(self) -> None:
        """Give the memory back; a second time does nothing."""
        address, self.address = self.address, 0
        if address:
            self._device.free(address)

    def __del__(self) -> None:
        if getattr(self, "address", 0):
            with suppress(BackendError):
                self.free()

    def _check_host(self, array: NDArray[Any]) -> None:
        if not array.flags.c_contiguous:
            raise BackendError("device buffer", "a strided array", "copy contiguous arrays alone")

    def _check(self, offset: int, size: int) -> None:
        if not self.address or offset < 0 or offset + size > self.size:
            raise BackendError("device buffer", f"{size} bytes at {offset}", f"it holds {self.size}")


class Stream:
    """Copies and runs in order, given back with its last user. `handle` is what the device calls it."""

    __slots__ = ("_device", "handle")

    def __init__(self, device: Device) -> None:
        self._device = device
        self.handle = device.make_stream()

    @contextmanager
    def settled(self) -> Iterator[int]:
        """The stream for what is put into it here; all of it has happened when the block ends, also where it
        ends by an error: host arrays may go then. Other threads wait for the device meanwhile.
        """
        # Copies return before they have happened. Waiting at the end of the block is what makes it safe to
        # let the host arrays of the block go, after an error above all.
        with self._device.lock:
            try:
                yield self.handle
            except BaseException:
                with suppress(BackendError):
                    self._device.wait(self.handle)
                raise
            self._device.wait(self.handle)

    def __del__(self) -> None:
        if getattr(self, "handle", 0):
            with suppress(BackendError):
                self._device.free_stream(self.handle)


class DeviceArray:
    """Float32 numbers of a shape that lie on a device, from byte `offset` of a buffer on. An index gives one
    entry along the first axis; nothing is copied.
    """

    __slots__ = ("_owner", "_stream", "buffer", "offset", "shape")

    def __init__(
        self,
        buffer: DeviceBuffer,
        shape: tuple[int, ...],
        stream: Stream,
        *,
        offset: int = 0,
        owner: object = None,
    ) -> None:
        self.buffer, self.shape, self.offset = buffer, shape, offset
        self._stream, self._owner = stream, owner

    @property
    def address(self) -> int:
        """Where the first number lies."""
        return self.buffer.address + self.offset

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return 4 * math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> DeviceArray:
        if not 0 <= index < len(self):
            raise IndexError(index)
        tail = self.shape[1:]
        offset = self.offset + 4 * math.prod(tail) * index
        return DeviceArray(self.buffer, tail, self._stream, offset=offset, owner=self._owner)

    def numpy(self) -> NDArray[np.float32]:
        """A copy on the host; raises BackendError where the device fails."""
        host = np.empty(self.shape, dtype=np.float32)
        with self._stream.settled() as stream:
            self.buffer.download(host, stream, offset=self.offset)
        return host


def aligned(size: int) -> int:
    """`size` rounded up to a multiple of `ALIGNMENT`."""
    return -(-size // ALIGNMENT) * ALIGNMENT
