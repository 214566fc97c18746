"""Memory and streams of a GPU: what backends ask of a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

__all__ = ["Device", "DeviceFacts"]


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """A GPU: its name, compute capability ("8.7") and driver ("580.65", or CUDA's and L4T's on a Jetson)."""

    name: str
    architecture: str
    driver: str


class Device(Protocol):
    """One GPU. Addresses are of its memory; copies and runs of a stream happen in order, later.

    A copy reads or writes its host array until `wait`: the caller keeps it alive and untouched till then.
    Every method raises BackendError where the GPU refuses.
    """

    @property
    def kind(self) -> str:
        """ "cuda" or "cpu": what ONNX Runtime calls memory of this device."""
        ...

    @property
    def index(self) -> int:
        """Number of the device among those of its kind."""
        ...

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """Held while anything is put into a stream or memory is taken or given back, by one thread at a time,
        which may take it again: while a CUDA graph is recorded, no other thread may touch the device."""
        ...

    @property
    def facts(self) -> DeviceFacts:
        """Name, architecture and driver."""
        ...

    def allocate(self, size: int) -> int:
        """Address of `size` new bytes, aligned to `buffers.ALIGNMENT`."""
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

    def copy(
        self, target: int, source: int, row: int, *, rows: int, pitches: tuple[int, int], stream: int
    ) -> None:
        """Copy `rows` pieces of `row` bytes within the device; `pitches` are the bytes from one to the next
        in target and source."""
        ...

    def clear(self, address: int, size: int, stream: int) -> None:
        """Set `size` bytes to zero."""
        ...

    def wait(self, stream: int) -> None:
        """Return when everything in the stream has happened."""
        ...
