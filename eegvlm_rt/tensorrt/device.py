"""Memory and streams of a GPU: what the TensorRT backend asks for, and buffers with bounds."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .plan_key import DeviceFacts

__all__ = ["ALIGNMENT", "Device", "DeviceBuffer", "Stream", "aligned"]

ALIGNMENT = 256
"""TensorRT reads and writes tensors that start at a multiple of this many bytes, as `cudaMalloc` gives."""


class Device(Protocol):
    """One GPU. Addresses are of its memory; copies and runs of a stream happen in order, later.

    A copy reads or writes its host array until `wait`: the caller keeps it alive and untouched till then.
    Every method raises BackendError where the GPU refuses.
    """

    @property
    def facts(self) -> DeviceFacts:
        """Name, architecture and driver."""
        ...

    def allocate(self, size: int) -> int:
        """Address of `size` new bytes, aligned to `ALIGNMENT`."""
        ...

    def free(self, address: int) -> None:
        """Give back what `allocate` gave."""
        ...

    def make_stream(self) -> int:
        """A new stream."""
        ...

    def free_stream(self, stream: int) -> None:
        """Give a stream back."""
        ...

    def upload(self, address: int, source: NDArray[Any], stream: int) -> None:
        """Copy a contiguous host array to the device."""
        ...

    def download(self, target: NDArray[Any], address: int, stream: int) -> None:
        """Copy device memory into a contiguous host array."""
        ...

    def wait(self, stream: int) -> None:
        """Return when everything in the stream has happened."""
        ...


class DeviceBuffer:
    """Bytes on a device, freed with their last user; copies stay inside."""

    __slots__ = ("_device", "address", "size")

    def __init__(self, device: Device, size: int) -> None:
        self._device = device
        self.size = max(size, ALIGNMENT)
        self.address = device.allocate(self.size)

    def upload(self, source: NDArray[Any], stream: int) -> None:
        """Copy a host array to the beginning of the buffer."""
        self._check(source)
        self._device.upload(self.address, source, stream)

    def download(self, target: NDArray[Any], stream: int) -> None:
        """Fill a host array from the beginning of the buffer."""
        self._check(target)
        self._device.download(target, self.address, stream)

    def free(self) -> None:
        """Give the memory back; a second time does nothing."""
        address, self.address = self.address, 0
        if address:
            self._device.free(address)

    def __del__(self) -> None:
        if getattr(self, "address", 0):
            with suppress(BackendError):
                self.free()

    def _check(self, array: NDArray[Any]) -> None:
        if not array.flags.c_contiguous:
            raise BackendError("device buffer", "a strided array", "copy contiguous arrays alone")
        if not self.address or array.nbytes > self.size:
            raise BackendError("device buffer", f"{array.nbytes} bytes", f"it holds {self.size}")


class Stream:
    """Copies and runs in order, given back with its last user. `handle` is what the device calls it."""

    __slots__ = ("_device", "handle")

    def __init__(self, device: Device) -> None:
        self._device = device
        self.handle = device.make_stream()

    @contextmanager
    def settled(self) -> Iterator[int]:
        """The stream for what is put into it here; all of it has happened when the block ends, also where it
        ends by an error: host arrays may go then.
        """
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


def aligned(size: int) -> int:
    """`size` rounded up to a multiple of `ALIGNMENT`."""
    return -(-size // ALIGNMENT) * ALIGNMENT
