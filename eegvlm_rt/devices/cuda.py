"""A GPU through cuda-python: memory, copies and streams of the CUDA runtime."""

from __future__ import annotations

from importlib import import_module
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

from ..errors import BackendError
from ..extras import install_command
from ..hardware import probe
from .device import DeviceFacts

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CudaDevice"]

_CURES: Final = {
    "cudaErrorInsufficientDriver": "install the GPU's driver, or a CUDA runtime that it knows",
    "cudaErrorNoDevice": "no GPU is visible to this process: check CUDA_VISIBLE_DEVICES and permissions",
    "cudaErrorMemoryAllocation": "the GPU's memory is full: stop other users of it, or take "
    "a smaller bundle or text_batch",
}


class CudaDevice:
    """A device of the CUDA runtime by its number. Raises BackendError without cuda-python, driver or GPU."""

    kind: Final = "cuda"

    def __init__(self, index: int = 0, *, extra: str = "tensorrt") -> None:
        self.lock = RLock()
        try:
            self._cuda: Any = import_module("cuda.bindings.runtime")
        except ImportError as error:
            raise BackendError("cuda-python", str(error), install_command(extra)) from error
        count = self._call("cudaGetDeviceCount")
        if count < 1:
            raise BackendError("GPU", "none", _CURES["cudaErrorNoDevice"])
        if not 0 <= index < count:
            raise BackendError("device", index, f"this process sees GPUs 0 to {count - 1}")
        self.index = index
        self._call("cudaSetDevice", index)
        properties = self._call("cudaGetDeviceProperties", index)
        name = properties.name.decode() if isinstance(properties.name, bytes) else str(properties.name)
        self._facts = DeviceFacts(name.rstrip("\0"), f"{properties.major}.{properties.minor}", self._driver())

    @property
    def facts(self) -> DeviceFacts:
        """Name, compute capability and driver."""
        return self._facts

    def allocate(self, size: int) -> int:
        """Address of `size` bytes of device memory."""
        # The current device is a property of each thread.
        self._call("cudaSetDevice", self.index)
        return int(self._call("cudaMalloc", size))

    def free(self, address: int) -> None:
        """Give memory back; waits for what the device has to do."""
        self._call("cudaFree", address)

    def make_stream(self) -> int:
        """A stream that does not wait for the default one."""
        return int(self._call("cudaStreamCreateWithFlags", self._cuda.cudaStreamNonBlocking))

    def free_stream(self, stream: int) -> None:
        """Give a stream back."""
        self._call("cudaStreamDestroy", stream)

    def upload(self, address: int, source: NDArray[Any], stream: int) -> None:
        """Copy a contiguous host array to the device, in the order of the stream."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", address, source.ctypes.data, source.nbytes, kind, stream)

    def download(self, target: NDArray[Any], address: int, stream: int) -> None:
        """Copy device memory into a contiguous host array, in the order of the stream."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", target.ctypes.data, address, target.nbytes, kind, stream)

    def copy(
        self, target: int, source: int, row: int, *, rows: int, pitches: tuple[int, int], stream: int
    ) -> None:
        """Copy pieces of `row` bytes within the device, in the order of the stream."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        if rows == 1:
            self._call("cudaMemcpyAsync", target, source, row, kind, stream)
        else:
            self._call("cudaMemcpy2DAsync", target, pitches[0], source, pitches[1], row, rows, kind, stream)

    def clear(self, address: int, size: int, stream: int) -> None:
        """Set bytes to zero, in the order of the stream."""
        self._call("cudaMemsetAsync", address, 0, size, stream)

    def wait(self, stream: int) -> None:
        """Return when everything in the stream has happened; errors of runs come to light here."""
        self._call("cudaStreamSynchronize", stream)

    def _driver(self) -> str:
        """Version of the driver, or of the board's software, and the newest CUDA it knows."""
        number = int(self._call("cudaDriverGetVersion"))
        facts = probe()
        parts = [facts.driver, f"L4T {facts.l4t}" if facts.l4t else None]
        return " ".join([*filter(None, parts), f"CUDA {number // 1000}.{number % 1000 // 10}"])

    def _call(self, name: str, *arguments: Any) -> Any:
        """The value of a runtime function; every one answers (error, value...)."""
        with self.lock:
            status, *values = getattr(self._cuda, name)(*arguments)
        if int(status) != 0:
            cure = _CURES.get(status.name, "see the CUDA runtime's list of errors")
            raise BackendError(f"cuda.{name}", status.name, cure)
        return values[0] if values else None
