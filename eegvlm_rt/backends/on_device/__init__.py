"""Models on a device: their pictures' tokens, keys and values stay in its memory from one run to the next.

`DeviceGraph` is what runs a graph there: ONNX Runtime (`ort_graph.py`) or a TensorRT plan
(`tensorrt/open_plan.py`).
"""

from __future__ import annotations

from .fused import FusedDeviceLanguageModel
from .graph import DeviceGraph
from .language import DeviceLanguageModel
from .ort_graph import CudaOptions, OrtGraph
from .tower import DeviceVisionTower
from .vectors import DeviceHead, DeviceMemory

__all__ = [
    "CudaOptions",
    "DeviceGraph",
    "DeviceHead",
    "DeviceLanguageModel",
    "DeviceMemory",
    "DeviceVisionTower",
    "FusedDeviceLanguageModel",
    "OrtGraph",
]
