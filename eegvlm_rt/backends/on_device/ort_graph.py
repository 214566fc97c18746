"""A graph in ONNX Runtime whose inputs and outputs are bound to memory of a device."""

from __future__ import annotations

import ctypes
import weakref
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnxruntime as ort

from ...errors import BackendError
from ...extras import install_command
from ..ort_options import OrtOptions
from ..session import check_names, make_session, session_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ...devices.buffers import Stream
    from ...devices.device import Device

__all__ = ["CudaOptions", "OrtGraph", "check_cuda_provider"]

_PROVIDERS: Final = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}

_DTYPES: Final[dict[str, Any]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
}

_SHAPE_WORK: Final = frozenset(
    [
        "Add",
        "Cast",
        "Concat",
        "Constant",
        "ConstantOfShape",
        "Div",
        "Equal",
        "Gather",
        "Identity",
        "Max",
        "Min",
        "Mul",
        "Range",
        "Reshape",
        "Shape",
        "Size",
        "Slice",
        "Squeeze",
        "Sub",
        "Unsqueeze",
        "Where",
    ]
)
"""Operators that ONNX Runtime computes on the host on purpose where they handle sizes of tensors."""

_ATTENTION: Final = {"flash": 1, "cudnn": 8}
"""Kernels of attention by the bit of the provider's option `sdpa_kernel`."""

_ANY: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class CudaOptions:
    """How ONNX Runtime uses the GPU.

    Attributes:
        graphs: short steps of a language model with fused attention are recorded once as CUDA graphs and
            replayed.
        tf32: products of single precision may use the 10-bit mantissa of TensorFloat-32; results then differ
            from the CPU's by more than rounding.
        memory_bytes: the most that ONNX Runtime's own arena takes; None leaves it free.
        batch: pictures that go through the tower at once, at most.
        half_products: products of 4-bit weights by the kernels for half-precision activations that ONNX
            Runtime took over from TensorRT-LLM, tuned when the graph is loaded. Its packages hold them for
            blocks of 32 without zero points; other products stay as they are, without a word.
            On an H200 they took less time for 6 or 7 tokens, and more for one token and for a picture.
        attention: "flash" or "cudnn": the kernels that fused attention may take, other than those for single
            tokens; None leaves the choice to ONNX Runtime.
        host: "head", "memory" or both: parts that are left to the CPU. Both are small: on an H200 a night of
            nano took less time with both on the CPU, a single epoch of `head` more.
        session_config: entries of ONNX Runtime's session configuration beside this package's, as pairs of key
            and value.
        keep_on_device: False lets operators that the GPU has no kernel for run on the host.
        free_sessions: a model's memory on the device is given back with the model. ONNX Runtime 1.31.1 ended
            the process twice where the sessions of nano were freed (`cudaFreeHost`, error 800), so by default
            they stay until the process ends, which then ends without an error. Sessions of one large language
            model were freed without harm.
    """

    graphs: bool = True
    tf32: bool = False
    memory_bytes: int | None = None
    batch: int = 64
    half_products: bool = False
    attention: str | None = None
    host: tuple[str, ...] = ()
    session_config: tuple[tuple[str, str], ...] = ()
    keep_on_device: bool = True
    free_sessions: bool = False


class OrtGraph:
    """One session. `bind` and `run` may be used by hand; `enqueue` does both for tensors that all lie on the
    device.

    Raises:
        BackendError: the graph cannot be loaded, has other inputs and outputs, or has operators that the
        device
            cannot run.
    """

    def __init__(
        self,
        graph: bytes,
        device: Device,
        stream: Stream,
        *,
        part: str,
        inputs: Iterable[str],
        outputs: Iterable[str],
        data: Mapping[str, bytes] | None = None,
        options: CudaOptions | None = None,
        record: bool = False,
        threads: int = 1,
    ) -> None:
        self._part, self._device = part, device
        cuda_options = options or CudaOptions()
        self._largest = cuda_options.batch
        own = session_options(threads)
        # What runs where is recorded while the graph is loaded: an operator without a kernel on the GPU would
        # run on the host, slowly and without a word.
        own.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        if cuda_options.half_products:
            own.add_session_config_entry("ep.cuda.fpa_intb_gemm", "1")
        for key, value in cuda_options.session_config:
            own.add_session_config_entry(key, value)
        provider = (_PROVIDERS[device.kind], _provider_options(device, stream, cuda_options, record=record))
        providers = (provider,) if device.kind == "cpu" else (provider, "CPUExecutionProvider")
        self.session = make_session(
            graph, name=part, threads=threads, data=data, ort_options=OrtOptions(providers, own)
        )
        found_inputs, found_outputs = self.session.get_inputs(), self.session.get_outputs()
        check_names(part, "inputs", found_inputs, list(inputs))
        check_names(part, "outputs", found_outputs, list(outputs))
        self._inputs = frozenset(entry.name for entry in found_inputs)
        self.dtypes, self.shapes = {}, {}
        for entry in (*found_inputs, *found_outputs):
            if entry.type not in _DTYPES:
                raise BackendError(f"{part}.{entry.name}", entry.type, f"tensors are {', '.join(_DTYPES)}")
            self.dtypes[entry.name] = np.dtype(_DTYPES[entry.type])
            self.shapes[entry.name] = tuple(n if isinstance(n, int) else -1 for n in entry.shape)
        if cuda_options.keep_on_device:
            self._check_places()
        self._plain = self._run_options("-1")
        self._recorded: dict[int, ort.RunOptions] = {}
        weakref.finalize(self, _wait, stream)
        if device.kind == "cuda" and not cuda_options.free_sessions:
            _keep(self.session)

    def largest(self, name: str, axis: int) -> int:
        """Pictures of one run where `name` is pictures; texts may be of any number and length, unless the
        graph has it fixed."""
        size = self.shapes[name][axis]
        if size > 0:
            return size
        return self._largest if (name, axis) == ("pixel_values", 0) else _ANY

    def enqueue(
        self,
        inputs: Mapping[str, tuple[int, ...]],
        addresses: Mapping[str, int],
        outputs: Mapping[str, tuple[int, ...]],
        stream: int,  # noqa: ARG002
    ) -> None:
        """Put one run into the stream the session was made with; see `DeviceGraph`."""
        binding = self.session.io_binding()
        self.bind(binding, inputs, addresses)
        self.bind(binding, outputs, addresses)
        self.run(binding)

    def bind(self, binding: Any, shapes: Mapping[str, tuple[int, ...]], addresses: Mapping[str, int]) -> None:
        """Bind tensors of these shapes to their addresses on the device."""
        kind, index = self._device.kind, self._device.index
        for name, shape in shapes.items():
            to = binding.bind_input if name in self._inputs else binding.bind_output
            to(name, kind, index, self.dtypes[name].type, shape, addresses[name])

    def run(self, binding: Any, recording: int | None = None) -> None:
        """Put a run into the stream. `recording` is the number of the CUDA graph that this run is recorded
        as, and replayed from the next time on; its shapes and addresses stay the same.
        """
        options = self._plain
        if recording is not None:
            if recording not in self._recorded:
                self._recorded[recording] = self._run_options(str(recording))
            options = self._recorded[recording]
        try:
            self.session.run_with_iobinding(binding, options)
        except Exception as error:
            raise BackendError(self._part, str(error), "the run on the device failed") from error

    def _run_options(self, recording: str) -> ort.RunOptions:
        options = ort.RunOptions()
        if self._device.kind == "cuda":
            # The caller waits for the stream when it needs the result.
            options.add_run_config_entry("disable_synchronize_execution_providers", "1")
            options.add_run_config_entry("gpu_graph_id", recording)
        return options

    def _check_places(self) -> None:
        """Refuse a graph of which ONNX Runtime would run more than arithmetic of shapes on the host."""
        if self._device.kind == "cpu":
            return
        on_host = sorted(
            {
                node.op_type
                for part in self.session.get_provider_graph_assignment_info()
                if part.ep_name == _PROVIDERS["cpu"]
                for node in part.get_nodes()
            }
            - _SHAPE_WORK
        )
        if on_host:
            cure = (
                "the GPU has no kernel for these; take another precision of the part, such as "
                f'precision={{"{self._part}": "int4"}}, or CudaOptions(keep_on_device=False)'
            )
            raise BackendError(f"{self._part}.graph", ", ".join(on_host), cure)


def _keep(session: object) -> None:
    """Never free the session, also not where Python ends: one reference to it is never given back."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))


def _wait(stream: Stream) -> None:
    """All that was put into the stream has happened, before the session goes whose memory it uses."""
    with suppress(BackendError), stream.settled():
        pass


def check_cuda_provider() -> None:
    """Load CUDA's libraries from NVIDIA's packages, where they are installed.

    Raises:
        BackendError: this ONNX Runtime was built without CUDA; the message says which package is in the way.
    """
    if hasattr(ort, "preload_dlls"):
        ort.preload_dlls()
    if _PROVIDERS["cuda"] in ort.get_available_providers():
        return
    cure = "pip install --force-reinstall --no-deps onnxruntime-gpu"
    if _installed("onnxruntime-gpu"):
        cure = f"onnxruntime has the same import name and covers onnxruntime-gpu: {cure}"
    else:
        cure = f"{install_command('cuda')}; then {cure}"
    raise BackendError("onnxruntime", f"{ort.__version__} without CUDA", cure)


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _provider_options(
    device: Device, stream: Stream, cuda_options: CudaOptions, *, record: bool
) -> dict[str, str]:
    """Options of the CUDA provider: one stream for everything, and convolutions chosen without trials, which
    would make two starts differ.
    """
    if device.kind == "cpu":
        return {}
    options = {
        "device_id": str(device.index),
        "user_compute_stream": str(stream.handle),
        "do_copy_in_default_stream": "1",
        "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",
        "use_tf32": str(int(cuda_options.tf32)),
        "enable_cuda_graph": str(int(record)),
    }
    if cuda_options.attention is not None:
        options["sdpa_kernel"] = str(_ATTENTION[cuda_options.attention])
    if cuda_options.memory_bytes is not None:
        options["gpu_mem_limit"] = str(cuda_options.memory_bytes)
    return options
