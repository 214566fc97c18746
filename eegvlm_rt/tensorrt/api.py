"""The part of TensorRT that is used, as protocols, and the one place that picks the package.

`tensorrt` (10 and 11) and `tensorrt_rtx` have the same classes; where they differ, `TensorRT` says so. What a
protocol here names is checked against the bindings by `make tensorrt-check`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

__all__ = [
    "FLAVOURS",
    "Builder",
    "Context",
    "CudaEngine",
    "Module",
    "Network",
    "Parser",
    "Runtime",
    "TensorRT",
]

FLAVOURS: Final = ("tensorrt", "tensorrt_rtx")
_OLDEST: Final = 10


class Tensor(Protocol):
    """An input of a network."""

    name: str


class Network(Protocol):
    """What the parser makes of a graph."""

    @property
    def num_inputs(self) -> int: ...

    def get_input(self, index: int) -> Tensor: ...


class Parser(Protocol):
    """Reads an ONNX graph into a network."""

    @property
    def num_errors(self) -> int: ...

    def get_error(self, index: int) -> Any: ...

    def parse(self, model: bytes, path: str | None = None) -> bool: ...


class Profile(Protocol):
    """Shapes that a plan is made for."""

    def set_shape(self, input: str, min: Sequence[int], opt: Sequence[int], max: Sequence[int]) -> Any:  # noqa: A002
        ...


class Config(Protocol):
    """How a plan is built."""

    builder_optimization_level: int

    def set_flag(self, flag: Any) -> None: ...

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None: ...

    def add_optimization_profile(self, profile: Profile) -> int: ...

    def create_timing_cache(self, serialized_timing_cache: bytes) -> Any: ...

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool: ...

    def get_timing_cache(self) -> Any: ...


class Builder(Protocol):
    """Makes plans."""

    def create_network(self, flags: int) -> Network: ...

    def create_builder_config(self) -> Config: ...

    def create_optimization_profile(self) -> Profile: ...

    def build_serialized_network(self, network: Network, config: Config) -> Buffer | None: ...


class CudaEngine(Protocol):
    """A plan that was opened."""

    @property
    def num_io_tensors(self) -> int: ...

    @property
    def num_optimization_profiles(self) -> int: ...

    def get_tensor_name(self, index: int) -> str: ...

    def get_tensor_mode(self, name: str) -> Any: ...

    def get_tensor_dtype(self, name: str) -> Any: ...

    def get_tensor_shape(self, name: str) -> Sequence[int]: ...

    def get_tensor_location(self, name: str) -> Any: ...

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> Sequence[Sequence[int]]: ...

    def create_execution_context(self) -> Context | None: ...


class Context(Protocol):
    """One run of a plan at a time."""

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool: ...

    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool: ...

    def set_tensor_address(self, name: str, memory: int) -> bool: ...

    def infer_shapes(self) -> Sequence[str]: ...

    def get_tensor_shape(self, name: str) -> Sequence[int]: ...

    def execute_async_v3(self, stream_handle: int) -> bool: ...


class Runtime(Protocol):
    """Opens plans. A plan is native code: only `PlanStore` and a verified manifest say which."""

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> CudaEngine | None: ...


class Module(Protocol):
    """The package itself."""

    __version__: str
    Logger: Any
    ILogger: Any
    Builder: Any
    OnnxParser: Any
    Runtime: Any
    NetworkDefinitionCreationFlag: Any
    MemoryPoolType: Any
    BuilderFlag: Any
    DataType: Any
    TensorIOMode: Any
    TensorLocation: Any


@dataclass(frozen=True, slots=True)
class TensorRT:
    """TensorRT or TensorRT for RTX, whichever is installed."""

    module: Module
    flavour: str
    version: str

    @classmethod
    def load(cls, flavour: str | None = None) -> TensorRT:
        """The package named, or the first of `FLAVOURS` that can be imported.

        Raises:
            BackendError: neither can be, or a TensorRT before 10, which has no strongly typed networks.
        """
        if flavour is not None and flavour not in FLAVOURS:
            raise BackendError("tensorrt", flavour, f"use {' or '.join(FLAVOURS)}")
        failures = []
        for name in FLAVOURS if flavour is None else (flavour,):
            try:
                return cls.of(import_module(name), name)
            except ImportError as error:
                failures.append(f"{name}: {error}")
        raise BackendError(
            "tensorrt",
            "; ".join(failures),
            "install TensorRT 10 or newer (on a Jetson: sudo apt install nvidia-jetpack)",
        )

    @classmethod
    def of(cls, module: Any, flavour: str) -> TensorRT:
        """An imported package; raises BackendError for one that is too old."""
        version = str(module.__version__)
        major = int(version.partition(".")[0])
        if flavour == "tensorrt" and major < _OLDEST:
            raise BackendError("tensorrt", version, f"install TensorRT {_OLDEST} or newer")
        return cls(module, flavour, version)

    @property
    def name(self) -> str:
        """Package and version, "tensorrt 10.3.0"."""
        return f"{self.flavour} {self.version}"

    @property
    def times(self) -> bool:
        """Whether kernels are timed while a plan is built, so that a timing cache helps. TensorRT for RTX
        compiles them when a plan is opened.
        """
        return self.flavour == "tensorrt"

    @property
    def builds_ahead(self) -> bool:
        """Whether plans can be built for a GPU that is not there."""
        return self.flavour == "tensorrt_rtx"

    def logger(self) -> Log:
        """A logger that keeps what is said."""
        return Log(self)


class Log:
    """What TensorRT said: warnings and errors, the latest 50. `handle` is handed to its classes."""

    def __init__(self, trt: TensorRT) -> None:
        lines: list[tuple[str, str]] = []
        base: Any = trt.module.ILogger

        class Keeper(base):  # type: ignore[misc]
            """Keeps what is said and prints nothing."""

            def __init__(self) -> None:
                base.__init__(self)

            def log(self, severity: Any, message: str) -> None:
                """Called by TensorRT, from any of its threads."""
                if severity.name in ("INTERNAL_ERROR", "ERROR", "WARNING"):
                    lines.append((severity.name, message))
                    del lines[:-50]

        self._lines = lines
        self.handle: Any = Keeper()

    @property
    def errors(self) -> list[str]:
        """Messages of errors, oldest first."""
        return [message for severity, message in self._lines if severity != "WARNING"]

    def explain(self, otherwise: str) -> str:
        """The first error, or `otherwise` where none was said."""
        return self.errors[0][:400] if self.errors else otherwise
