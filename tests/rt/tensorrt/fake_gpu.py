"""The one stand-in for hardware in these tests: a GPU's memory and streams, and TensorRT's runtime on it.

Nothing here knows the backend. `FakeGpu` keeps the rules of the CUDA runtime and is stricter where that is
lenient: memory is poisoned, addresses are never given twice, a copy touches its host array when the stream
gets there and not before, work on memory that was freed is an error. Threads may call it at once, as they may
the runtime: memory and streams change under `lock`. `fake_tensorrt` runs a plan, which is an
ONNX graph with profiles, by ONNX Runtime on that memory, with the rules of TensorRT's `IExecutionContext`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from threading import RLock
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from eegvlm_rt.devices import ALIGNMENT, DeviceFacts
from eegvlm_rt.errors import BackendError
from eegvlm_rt.tensorrt import TensorRT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eegvlm_rt.tensorrt.profiles import Shapes

FACTS = DeviceFacts("Fake GPU", "8.7", "CUDA 12.6")
_GAP = 1 << 20
_POISON = 0xFF


class FakeGpu:
    """Device memory by address. `live` allocations, `pending` work by stream, `runs` so far."""

    kind = "cuda"
    index = 0

    def __init__(self, facts: DeviceFacts = FACTS, capacity: int = 1 << 30) -> None:
        self.facts = facts
        self.capacity = capacity
        self.live: dict[int, np.ndarray] = {}
        self.pending: dict[int, list[Callable[[], None]]] = {}
        self.runs = 0
        self.lock = RLock()
        self._next = 0x7F00_0000_0000
        self._streams = 0

    def allocate(self, size: int) -> int:
        if size < 1 or sum(len(block) for block in self.live.values()) + size > self.capacity:
            raise BackendError("cuda.cudaMalloc", "cudaErrorMemoryAllocation", "the GPU's memory is full")
        with self.lock:
            address = self._next
            self._next += -(-size // ALIGNMENT) * ALIGNMENT + _GAP
            self.live = {**self.live, address: np.full(size, _POISON, dtype=np.uint8)}
        return address

    def free(self, address: int) -> None:
        with self.lock:
            if address not in self.live:
                raise BackendError("cuda.cudaFree", "cudaErrorInvalidValue", f"{address:#x} is not allocated")
            for stream in tuple(self.pending):
                self.wait(stream)
            self.live = {start: block for start, block in self.live.items() if start != address}

    def make_stream(self) -> int:
        with self.lock:
            self._streams += 1
            self.pending[self._streams] = []
            return self._streams

    def free_stream(self, stream: int) -> None:
        with self.lock:
            self.wait(stream)
            del self.pending[stream]

    def upload(self, address: int, source: np.ndarray, stream: int) -> None:
        self.bytes_at(address, source.nbytes)
        self._host(source)
        self.enqueue(stream, lambda: self._write(address, source))

    def download(self, target: np.ndarray, address: int, stream: int) -> None:
        self.bytes_at(address, target.nbytes)
        self._host(target)
        target.view(np.uint8)[...] = _POISON
        self.enqueue(stream, lambda: self._read(address, target))

    def copy(
        self, target: int, source: int, row: int, *, rows: int, pitches: tuple[int, int], stream: int
    ) -> None:
        for place, pitch in zip((target, source), pitches, strict=True):
            self.bytes_at(place, (rows - 1) * pitch + row)

        def step() -> None:
            for i in range(rows):
                found = self.bytes_at(source + i * pitches[1], row).copy()
                self.bytes_at(target + i * pitches[0], row)[:] = found

        self.enqueue(stream, step)

    def clear(self, address: int, size: int, stream: int) -> None:
        self.bytes_at(address, size)
        self.enqueue(stream, lambda: self.bytes_at(address, size).fill(0))

    def wait(self, stream: int) -> None:
        with self.lock:
            if stream not in self.pending:
                raise BackendError(
                    "cuda.cudaStreamSynchronize", "cudaErrorInvalidResourceHandle", str(stream)
                )
            work, self.pending[stream] = self.pending[stream], []
            for step in work:
                step()

    def enqueue(self, stream: int, step: Callable[[], None]) -> None:
        if stream not in self.pending:
            raise BackendError("cuda.stream", "cudaErrorInvalidResourceHandle", str(stream))
        self.pending[stream].append(step)

    def bytes_at(self, address: int, size: int) -> np.ndarray:
        """`size` bytes of one allocation; anything else is an illegal address."""
        for start, block in self.live.items():
            if start <= address and address + size <= start + len(block):
                return block[address - start : address - start + size]
        raise BackendError(
            "cuda.access", "cudaErrorIllegalAddress", f"{size} bytes at {address:#x} are not in one block"
        )

    def _host(self, array: np.ndarray) -> None:
        if not array.flags.c_contiguous:
            raise BackendError("cuda.cudaMemcpyAsync", "cudaErrorInvalidValue", "a strided host array")

    def _write(self, address: int, source: np.ndarray) -> None:
        self.bytes_at(address, source.nbytes)[:] = source.reshape(-1).view(np.uint8)

    def _read(self, address: int, target: np.ndarray) -> None:
        target.reshape(-1).view(np.uint8)[:] = self.bytes_at(address, target.nbytes)


DataType = Enum("DataType", ["FLOAT", "HALF", "INT32", "INT64", "BF16"])
TensorIOMode = Enum("TensorIOMode", ["INPUT", "OUTPUT"])
TensorLocation = Enum("TensorLocation", ["DEVICE", "HOST"])
Severity = Enum("Severity", ["INTERNAL_ERROR", "ERROR", "WARNING", "INFO"])
_KINDS = {
    "tensor(float)": (DataType.FLOAT, np.float32),
    "tensor(float16)": (DataType.HALF, np.float16),
    "tensor(int64)": (DataType.INT64, np.int64),
    "tensor(int32)": (DataType.INT32, np.int32),
}
_MAGIC = b"fake plan\n"


def fake_plan(graph: bytes, shapes: Shapes) -> bytes:
    """A plan of an ONNX graph for these profiles."""
    profiles = [{n: [r.low, r.usual, r.high] for n, r in profile.items()} for profile in shapes]
    return _MAGIC + json.dumps(profiles).encode() + b"\n" + graph


class _ILogger:
    """The base class a logger has to call the constructor of."""

    def __init__(self) -> None:
        self.made = True


@dataclass
class _Engine:
    gpu: FakeGpu
    logger: Any
    profiles: list[dict[str, list[list[int]]]]
    session: ort.InferenceSession

    def __post_init__(self) -> None:
        inputs = {entry.name: (entry, TensorIOMode.INPUT) for entry in self.session.get_inputs()}
        outputs = {entry.name: (entry, TensorIOMode.OUTPUT) for entry in self.session.get_outputs()}
        self.tensors = inputs | outputs

    @property
    def num_io_tensors(self) -> int:
        return len(self.tensors)

    @property
    def num_optimization_profiles(self) -> int:
        return len(self.profiles)

    def get_tensor_name(self, index: int) -> str:
        return list(self.tensors)[index]

    def get_tensor_mode(self, name: str) -> Any:
        return self.tensors[name][1]

    def get_tensor_dtype(self, name: str) -> Any:
        return _KINDS[self.tensors[name][0].type][0]

    def get_tensor_location(self, name: str) -> Any:
        assert name in self.tensors
        return TensorLocation.DEVICE

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        shape = self.tensors[name][0].shape
        return tuple(size if isinstance(size, int) else -1 for size in shape)

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        return [tuple(shape) for shape in self.profiles[profile_index][name]]

    def create_execution_context(self) -> _Context:
        return _Context(self)


@dataclass
class _Context:
    engine: _Engine
    profile: int = -1
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    addresses: dict[str, int] = field(default_factory=dict)

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        assert stream_handle in self.engine.gpu.pending
        self.shapes.clear()
        self.profile = profile_index
        return 0 <= profile_index < len(self.engine.profiles)

    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool:
        if self.profile < 0:
            return self._say("no optimization profile was chosen")
        low, _, high = self.engine.profiles[self.profile][name]
        if any(not a <= n <= b for n, a, b in zip(shape, low, high, strict=True)):
            return self._say(f"{name}: {shape} is outside of profile {self.profile}")
        self.shapes[name] = tuple(shape)
        return True

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self.addresses[name] = memory
        return name in self.engine.tensors and memory > 0

    def infer_shapes(self) -> list[str]:
        return [entry.name for entry in self.engine.session.get_inputs() if entry.name not in self.shapes]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        if name in self.shapes:
            return self.shapes[name]
        return self._outputs()[name]

    def execute_async_v3(self, stream_handle: int) -> bool:
        if self.infer_shapes():
            return self._say("inputs without a shape")
        places = {}
        for name, (entry, mode) in self.engine.tensors.items():
            address = self.addresses.get(name, 0)
            if not address or address % ALIGNMENT:
                return self._say(f"{name}: address {address:#x}")
            dtype = _KINDS[entry.type][1]
            shape = self.get_tensor_shape(name)
            size = max(int(np.prod(shape)) * np.dtype(dtype).itemsize, 1)
            self.engine.gpu.bytes_at(address, size)
            places[name] = (address, size, shape, dtype, mode)
        spans = sorted((start, start + size) for start, size, *_ in places.values())
        if any(first[1] > second[0] for first, second in pairwise(spans)):
            return self._say("two tensors share memory")
        self.engine.gpu.enqueue(stream_handle, lambda: self._run(places))
        return True

    def _run(self, places: dict[str, Any]) -> None:
        gpu = self.engine.gpu
        feeds = {}
        for name, (address, _, shape, dtype, mode) in places.items():
            if mode is TensorIOMode.INPUT:
                count = int(np.prod(shape)) * np.dtype(dtype).itemsize
                feeds[name] = gpu.bytes_at(address, max(count, 1))[:count].copy().view(dtype).reshape(shape)
        names = [entry.name for entry in self.engine.session.get_outputs()]
        for name, found in zip(names, self.engine.session.run(names, feeds), strict=True):
            address, size, shape, *_ = places[name]
            assert found.shape == shape
            gpu.bytes_at(address, size)[:] = np.ascontiguousarray(found).reshape(-1).view(np.uint8)
        gpu.runs += 1

    def _outputs(self) -> dict[str, tuple[int, ...]]:
        sizes: dict[str, int] = {}
        for entry in self.engine.session.get_inputs():
            named = zip(entry.shape, self.shapes[entry.name], strict=True)
            sizes |= {name: size for name, size in named if isinstance(name, str)}
        total = sizes.get("past", 0) + sizes.get("seq", 0)
        found = {}
        for entry in self.engine.session.get_outputs():
            known = [n if isinstance(n, int) else sizes.get(n, total) for n in entry.shape]
            found[entry.name] = tuple(known)
        return found

    def _say(self, message: str) -> bool:
        self.engine.logger.log(Severity.ERROR, message)
        return False


class _Runtime:
    gpu: FakeGpu

    def __init__(self, logger: Any) -> None:
        assert logger.made
        self.logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> _Engine | None:
        content = bytes(serialized_engine)
        if not content.startswith(_MAGIC):
            self.logger.log(Severity.ERROR, "the plan was made by another version")
            return None
        profiles, _, graph = content[len(_MAGIC) :].partition(b"\n")
        options = ort.SessionOptions()
        options.log_severity_level = 4
        session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        return _Engine(self.gpu, self.logger, json.loads(profiles), session)


def fake_tensorrt(gpu: FakeGpu, version: str = "10.3.0") -> TensorRT:
    """TensorRT whose plans run on `gpu`."""
    runtime = type("Runtime", (_Runtime,), {"gpu": gpu})
    module = SimpleNamespace(
        __version__=version,
        ILogger=_ILogger,
        Runtime=runtime,
        DataType=DataType,
        TensorIOMode=TensorIOMode,
        TensorLocation=TensorLocation,
    )
    return TensorRT.of(module, "tensorrt")
