"""A TensorRT plan that was opened: its tensors, its profiles, and one run at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..devices.device import Device
    from .api import Context, CudaEngine, Runtime, TensorRT

__all__ = ["OpenPlan"]

_DTYPES: Final[dict[str, Any]] = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "INT32": np.int32,
    "INT64": np.int64,
}


class OpenPlan:
    """The plan in `content`, which is native code: hand over verified bytes alone.

    `dtypes` and `shapes` (with -1 for free dimensions) are those of its inputs and outputs by name. Not for
    several threads at once.

    Raises:
        BackendError: TensorRT cannot open it (another version or GPU than it was built for), or its tensors
            are others than `inputs` and `outputs`.
    """

    def __init__(
        self,
        content: bytes,
        trt: TensorRT,
        device: Device,
        *,
        part: str,
        inputs: Iterable[str],
        outputs: Iterable[str],
    ) -> None:
        self._part, self._device, self._log = part, device, trt.logger()
        self._runtime: Runtime = trt.module.Runtime(self._log.handle)
        engine = self._runtime.deserialize_cuda_engine(content)
        if engine is None:
            explanation = self._log.explain("TensorRT does not open this plan")
            raise BackendError(
                f"{part}.engine", explanation, "build it again: eegvlm-rt bundle build-engines --again"
            )
        self._engine: CudaEngine = engine
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        mode = trt.module.TensorIOMode
        for kind, right_names in ((mode.INPUT, list(inputs)), (mode.OUTPUT, list(outputs))):
            plan_names = [name for name in names if engine.get_tensor_mode(name) == kind]
            if sorted(plan_names) != sorted(right_names):
                odd = sorted(set(plan_names) ^ set(right_names))
                raise BackendError(
                    f"{part}.{kind.name.lower()}s", odd, f"the plan has {', '.join(right_names)}"
                )
        on_host = [n for n in names if engine.get_tensor_location(n) != trt.module.TensorLocation.DEVICE]
        if on_host:
            raise BackendError(f"{part}.engine", on_host, "every tensor of a plan lies on the device")
        self.dtypes = {name: self._dtype(name) for name in names}
        self.shapes = {name: tuple(engine.get_tensor_shape(name)) for name in names}
        self._ranges = [
            {name: self._range(name, profile) for name in inputs}
            for profile in range(engine.num_optimization_profiles)
        ]
        context = engine.create_execution_context()
        if context is None:
            explanation = self._log.explain("no execution context")
            raise BackendError(
                f"{part}.engine", explanation, "the GPU's memory is full, or the plan too large for it"
            )
        self._context: Context = context
        self._profile: int | None = None

    def largest(self, name: str, axis: int) -> int:
        """The largest size along `axis` that any profile takes for an input."""
        return max(ranges[name][1][axis] for ranges in self._ranges)

    def enqueue(
        self,
        inputs: Mapping[str, tuple[int, ...]],
        addresses: Mapping[str, int],
        outputs: Mapping[str, tuple[int, ...]],
        stream: int,
    ) -> None:
        """Put one run into the stream. `inputs` gives shapes, `addresses` the place of every tensor, and
        `outputs` the shapes that are expected.

        Raises:
            BackendError: shapes that no profile takes, other output shapes, or a run that is refused.
        """
        self._choose(inputs, stream)
        for name, shape in inputs.items():
            self._need(self._context.set_input_shape(name, shape), name, f"shape {shape}")
        missing = list(self._context.infer_shapes())
        self._need(not missing, "inputs", f"without a shape: {', '.join(missing)}")
        for name, shape in outputs.items():
            own_shape = tuple(self._context.get_tensor_shape(name))
            self._need(own_shape == shape, name, f"shape {own_shape}, {shape} is expected")
        for name, address in addresses.items():
            self._need(self._context.set_tensor_address(name, address), name, "address refused")
        self._need(self._context.execute_async_v3(stream), "run", "refused")

    def _choose(self, inputs: Mapping[str, tuple[int, ...]], stream: int) -> None:
        """Switch to the last profile that takes the shapes: later ones are made for shorter steps."""
        for profile in reversed(range(len(self._ranges))):
            if all(_within(shape, *self._ranges[profile][name]) for name, shape in inputs.items()):
                break
        else:
            raise BackendError(
                f"{self._part}.shapes",
                {name: shape for name, shape in inputs.items() if not name.endswith(("key", "value"))},
                "longer than the plan takes: shorten the text, or build for more tokens",
            )
        if profile != self._profile:
            done = self._context.set_optimization_profile_async(profile, stream)
            self._need(done, "profile", str(profile))
            self._profile = profile

    def _dtype(self, name: str) -> Any:
        kind = self._engine.get_tensor_dtype(name).name
        if kind not in _DTYPES:
            raise BackendError(f"{self._part}.{name}", kind, f"tensors are {', '.join(_DTYPES)}")
        return np.dtype(_DTYPES[kind])

    def _range(self, name: str, profile: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        low, _, high = self._engine.get_tensor_profile_shape(name, profile)
        return tuple(low), tuple(high)

    def _need(self, done: bool, name: str, value: str) -> None:
        if not done:
            cure = self._log.explain("the plan does not take it")
            raise BackendError(f"{self._part}.{name}", value, cure)


def _within(shape: tuple[int, ...], low: tuple[int, ...], high: tuple[int, ...]) -> bool:
    return len(shape) == len(low) and all(a <= n <= b for n, a, b in zip(shape, low, high, strict=True))
