"""The CUDA face where there is no device: every argument is checked and named, what is missing is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eegvlm_rt.errors import BackendError
from eegvlm_rt.rendering.cuda import _library, render_batch_cuda
from eegvlm_rt.rendering.renderer import RenderSpec

SPEC = RenderSpec(width=8, height=6, rows=1)


class OnDevice:
    """Host memory that says it is a device's: nothing here reads it."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.__cuda_array_interface__ = {**array.__array_interface__, "version": 3}


X = np.zeros((2, 50), np.float32)
OUT = np.zeros((2, 3, 6, 8), np.float32)
FROZEN = np.zeros_like(OUT)
FROZEN.setflags(write=False)


@pytest.mark.parametrize(
    ("changed", "error", "name"),
    [
        ({"x": X}, TypeError, "x"),
        ({"x": OnDevice(X.astype(np.int64))}, TypeError, "x"),
        ({"x": OnDevice(X.astype(">f4"))}, TypeError, "x"),
        ({"x": OnDevice(X[0])}, ValueError, "x"),
        ({"x": OnDevice(X[:, :0])}, ValueError, "x"),
        ({"x": OnDevice(X[:, None].repeat(2, axis=1))}, ValueError, "x"),
        (
            {"x": OnDevice(np.frombuffer(bytes(401), np.uint8)[1:].view(np.float32).reshape(2, 50))},
            ValueError,
            "x",
        ),
        ({"out": OUT}, TypeError, "out"),
        ({"out": OnDevice(OUT.astype(np.float64))}, TypeError, "out"),
        ({"out": OnDevice(OUT[:1])}, ValueError, "out"),
        ({"out": OnDevice(OUT[:, :, ::-1])}, ValueError, "out"),
        ({"out": OnDevice(FROZEN)}, ValueError, "out"),
        ({"scale": float("nan")}, ValueError, "scale"),
        ({"offset": "1"}, TypeError, "offset"),
        ({"scale": (1.0, 2.0)}, ValueError, "scale"),
        ({"mask": np.zeros((2, 50), bool)}, TypeError, "mask"),
        ({"mask": OnDevice(np.zeros((2, 50), np.uint8))}, TypeError, "mask"),
        ({"mask": OnDevice(np.zeros((2, 49), bool))}, ValueError, "mask"),
        ({"stream": 1.5}, TypeError, "stream"),
        ({"spec": {}}, TypeError, "spec"),
    ],
)
def test_a_wrong_argument_is_named(changed: dict[str, Any], error: type[Exception], name: str) -> None:
    arguments = {"x": OnDevice(X), "spec": SPEC, "out": OnDevice(OUT), **changed}
    with pytest.raises(error, match=f"^{name}: "):
        render_batch_cuda(arguments.pop("x"), arguments.pop("spec"), **arguments)


def test_an_out_that_overlaps_the_samples_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^out: overlaps x"):
        render_batch_cuda(OnDevice(OUT.reshape(2, -1)[:, :50]), SPEC, out=OnDevice(OUT))


def test_an_out_that_overlaps_the_mask_is_refused() -> None:
    mask = OnDevice(OUT.view(np.bool_).reshape(2, -1)[:, :50])
    with pytest.raises(ValueError, match=r"^out: overlaps mask"):
        render_batch_cuda(OnDevice(X), SPEC, out=OnDevice(OUT), mask=mask)


def test_without_the_library_the_error_says_how_to_build_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EEGVLM_CUDA_LIBRARY", "/nowhere/libeegvlm_cuda.so")
    _library.cache_clear()
    with pytest.raises(BackendError, match="EEGVLM_BUILD_CUDA"):
        render_batch_cuda(OnDevice(X), SPEC, out=OnDevice(OUT))
