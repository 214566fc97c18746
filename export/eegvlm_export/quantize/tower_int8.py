"""The vision tower in 8 bits: static scales from calibration pictures, explicit Q/DQ pairs."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from ..graphs.onnx_files import initializers, standard_only

__all__ = ["quantize_static8"]

# TensorRT takes only symmetric 8-bit pairs, and no bias behind a DequantizeLinear.
_SYMMETRIC: Final = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "QuantizeBias": False,
    "OpTypesToExcludeOutputQuantization": ["MatMul"],
}


class _Pictures(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, batches: Iterable[NDArray[np.float32]]) -> None:
        first = next(rest := iter(batches), None)
        if first is None:
            raise ValueError("calibration: no pictures; give at least one batch")
        self._batches = chain([first], rest)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"pixel_values": batch}


def quantize_static8(model: onnx.ModelProto, batches: Iterable[NDArray[np.float32]]) -> onnx.ModelProto:
    """A copy of an fp32 tower whose products with constant weights are INT8 x INT8.

    Weights have one scale per output channel, their inputs one scale per tensor, from the extremes seen on
    `batches` of `pixel_values`. Scores of attention and the few convolutions keep single precision: on CPUs
    they gain nothing. Raises ValueError where there is no calibration picture.
    """
    weights = initializers(model)
    pictures = _Pictures(batches)
    scores = [n.name for n in model.graph.node if n.op_type == "MatMul" and n.input[1] not in weights]
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        with tempfile.TemporaryDirectory() as folder:
            source, path = Path(folder) / "tower.onnx", Path(folder) / "tower.int8.onnx"
            onnx.save_model(model, source)
            quantize_static(
                source,
                path,
                pictures,
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=["MatMul"],
                nodes_to_exclude=scores,
                extra_options=dict(_SYMMETRIC),
            )
            quantized = onnx.load(path)
    finally:
        logging.root.setLevel(level)
    del quantized.metadata_props[:]
    standard_only(quantized)
    return quantized
