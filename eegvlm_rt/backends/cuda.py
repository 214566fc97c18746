"""`backend="cuda"`: a bundle's models on an NVIDIA GPU by ONNX Runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..devices.buffers import Stream
from ..errors import BundleError, InputError
from .embedding import cache_names
from .loading import FUSED, external_data
from .on_device.fused import FusedDeviceLanguageModel
from .on_device.language import DeviceLanguageModel, language_inputs, language_outputs
from .on_device.ort_graph import CudaOptions, OrtGraph, check_cuda_provider
from .on_device.tower import TOWER_OUTPUTS, DeviceVisionTower
from .on_device.vectors import DeviceHead, DeviceMemory
from .rooms import TEXT_TOKENS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from ..bundle.manifest import Manifest
    from ..bundle.opening import Bundle
    from ..devices.device import Device
    from .base import LanguageModel

__all__ = ["HOST_PARTS", "PREFERENCE", "CudaBackend"]

HOST_PARTS: Final = ("head", "memory")
"""Parts that `CudaOptions.host` may leave to the CPU: their inputs and outputs lie there anyway."""

PREFERENCE: Final[Mapping[str, tuple[str, ...]]] = {
    "tower": ("fp16_half", "fp16", "fp32", "int8"),
    "llm": ("int4_half_fused", "int4_half", "int4", "fp16_half", "fp16", "int8", "fp32"),
}
"""Precisions that ONNX Runtime has kernels of on a GPU, the best first. `*_fused` graphs of single precision
are not among them: the operator for attention exists in half precision alone there."""


class CudaBackend:
    """ONNX Runtime on one device, all models in one stream.

    Raises InputError for a part that cannot be left to the CPU.
    """

    def __init__(self, device: Device, options: CudaOptions | None = None) -> None:
        self.device, self.options = device, options or CudaOptions()
        for part in self.options.host:
            if part not in HOST_PARTS:
                raise InputError("CudaOptions.host", part, f"give some of {', '.join(HOST_PARTS)}")
        self._stream = Stream(device)

    @classmethod
    def here(cls, index: int = 0, options: CudaOptions | None = None) -> CudaBackend:
        """GPU number `index` of this machine.

        Raises:
            BackendError: no GPU, no cuda-python, or an ONNX Runtime without CUDA.
        """
        from ..devices.cuda import CudaDevice

        check_cuda_provider()
        return cls(CudaDevice(index, extra="cuda"), options)

    def tower(self, bundle: Bundle, precision: str | None = None) -> DeviceVisionTower:
        """See `Accelerator`."""
        manifest = bundle.manifest
        name = precision_for(manifest, "tower", precision)
        graph = self._graph(bundle, "tower", name, ["pixel_values"], TOWER_OUTPUTS)
        return DeviceVisionTower(
            graph,
            self.device,
            self._stream,
            visual_tokens=manifest.visual_tokens,
            hidden_size=manifest.hidden_size,
        )

    def head(self, bundle: Bundle) -> DeviceHead | None:
        """See `Accelerator`."""
        if "head" in self.options.host:
            return None
        graph = self._graph(bundle, "head", None, ["pixel_values"], TOWER_OUTPUTS[:2])
        return DeviceHead(graph, self.device, self._stream)

    def memory(self, bundle: Bundle, features: int) -> DeviceMemory | None:
        """See `Accelerator`."""
        if "memory" in self.options.host:
            return None
        inputs = ["high_level", "stage_logits", "present", "state"]
        outputs = ["night_logits", "night_token", "next_state"]
        graph = self._graph(bundle, "memory", None, inputs, outputs)
        size = bundle.manifest.hidden_size
        return DeviceMemory(graph, self.device, self._stream, features=features, hidden_size=size)

    def language_model(
        self, bundle: Bundle, embed_tokens: NDArray[np.floating], precision: str | None = None
    ) -> LanguageModel:
        """See `Accelerator`."""
        manifest = bundle.manifest
        name = precision_for(manifest, "llm", precision)
        outputs = language_outputs(manifest.lm)
        if not name.endswith(FUSED):
            graph = self._graph(bundle, "llm", name, language_inputs(manifest.lm), outputs)
            return DeviceLanguageModel(graph, embed_tokens, self.device, self._stream, manifest.lm)
        past = cache_names("past_key_values", manifest.lm.num_layers)
        inputs = ["inputs_embeds", "last_position", "total_tokens", *past]
        replay = self.options.graphs and self.device.kind == "cuda"
        graph = self._graph(bundle, "llm", name, inputs, outputs, record=replay)
        return FusedDeviceLanguageModel(
            graph,
            embed_tokens,
            self.device,
            self._stream,
            manifest.lm,
            replay=replay,
            capacity=manifest.visual_tokens + TEXT_TOKENS,
        )

    def _graph(
        self,
        bundle: Bundle,
        part: str,
        precision: str | None,
        inputs: list[str],
        outputs: tuple[str, ...] | list[str],
        *,
        record: bool = False,
    ) -> OrtGraph:
        file = bundle.component(part).at(precision)
        return OrtGraph(
            bundle.read(file),
            self.device,
            self._stream,
            part=part,
            inputs=inputs,
            outputs=outputs,
            data=external_data(bundle, file),
            options=self.options,
            record=record,
        )


def precision_for(manifest: Manifest, part: str, choice: str | None = None) -> str:
    """The precision of a part that is loaded: `choice`, or the first of `PREFERENCE` that the bundle holds.

    Raises:
        BundleError: a precision that is not held, or none of those that a GPU runs.
    """
    component = manifest.components[part]
    precisions = (component.precision, *component.variants)
    if choice is not None:
        component.at(choice)
        return choice
    for name in PREFERENCE[part]:
        if name in precisions:
            return name
    cure = f"export the bundle with one of {', '.join(PREFERENCE[part])}"
    raise BundleError(f"{part}.precision", ", ".join(precisions), cure)
