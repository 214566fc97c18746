"""Tower and language model as TensorRT plans: the models of `backends/on_device` with a plan in place of a
session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..backends.on_device.language import DeviceLanguageModel, language_inputs, language_outputs
from ..backends.on_device.tower import TOWER_OUTPUTS, DeviceVisionTower
from ..devices.buffers import Stream
from .open_plan import OpenPlan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..bundle.manifest import LanguageModelShape
    from ..devices.device import Device
    from .api import TensorRT

__all__ = ["open_language_model", "open_tower"]


def open_tower(
    plan: bytes, trt: TensorRT, device: Device, *, visual_tokens: int, hidden_size: int
) -> DeviceVisionTower:
    """The tower of a plan. Raises BackendError where the plan cannot be opened or is of another tower."""
    graph = OpenPlan(plan, trt, device, part="tower", inputs=["pixel_values"], outputs=TOWER_OUTPUTS)
    return DeviceVisionTower(
        graph, device, Stream(device), visual_tokens=visual_tokens, hidden_size=hidden_size
    )


def open_language_model(
    plan: bytes,
    embed_tokens: NDArray[np.floating],
    trt: TensorRT,
    device: Device,
    shape: LanguageModelShape,
) -> DeviceLanguageModel:
    """The language model of a plan, and its embedding table (vocabulary, D) in host memory. Raises
    BackendError where plan, table and shape do not fit.
    """
    inputs, outputs = language_inputs(shape), language_outputs(shape)
    graph = OpenPlan(plan, trt, device, part="llm", inputs=inputs, outputs=outputs)
    return DeviceLanguageModel(graph, embed_tokens, device, Stream(device), shape)
