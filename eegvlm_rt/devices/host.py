"""This host as a device: the same buffers, streams and copies in its own memory, done at once.

Models that are written for a device run on it by ONNX Runtime's CPU provider, so that everything but the
provider and the copies of CUDA is exercised without a GPU.
"""

from __future__ import annotations

import ctypes
import platform
from itertools import count
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import BackendError
from .buffers import ALIGNMENT
from .device import DeviceFacts

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["HostDevice"]


class HostDevice:
    """Memory of this process. A stream has nothing to wait for."""

    kind: Final = "cpu"
    index: Final = 0

    def __init__(self) -> None:
        self._blocks: dict[int, NDArray[np.uint8]] = {}
        self._streams = count(1)
        self.lock = RLock()

    @property
    def facts(self) -> DeviceFacts:
        """The processor's architecture; no driver."""
        return DeviceFacts("host", platform.machine(), "none")

    def allocate(self, size: int) -> int:
        """Address of `size` new bytes."""
        block = np.empty(size + ALIGNMENT, dtype=np.uint8)
        address = -(-block.ctypes.data // ALIGNMENT) * ALIGNMENT
        self._blocks[address] = block
        return address

    def free(self, address: int) -> None:
        """Give memory back; raises BackendError for an address that was not given."""
        if self._blocks.pop(address, None) is None:
            raise BackendError("host memory", hex(address), "free what `allocate` gave, once")

    def make_stream(self) -> int:
        """A new number."""
        return next(self._streams)

    def free_stream(self, stream: int) -> None:
        """Nothing is kept for a stream."""

    def upload(self, address: int, source: NDArray[Any], stream: int) -> None:  # noqa: ARG002
        """Copy a contiguous array to an address."""
        ctypes.memmove(address, source.ctypes.data, source.nbytes)

    def download(self, target: NDArray[Any], address: int, stream: int) -> None:  # noqa: ARG002
        """Copy from an address into a contiguous array."""
        ctypes.memmove(target.ctypes.data, address, target.nbytes)

    def copy(
        self,
        target: int,
        source: int,
        row: int,
        *,
        rows: int,
        pitches: tuple[int, int],
        stream: int,  # noqa: ARG002
    ) -> None:
        """Copy pieces of `row` bytes."""
        for i in range(rows):
            ctypes.memmove(target + i * pitches[0], source + i * pitches[1], row)

    def clear(self, address: int, size: int, stream: int) -> None:  # noqa: ARG002
        """Set bytes to zero."""
        ctypes.memset(address, 0, size)

    def wait(self, stream: int) -> None:
        """Everything has happened already."""
