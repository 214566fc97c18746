"""cuda-python without a GPU: its own errors, typed and with a cure."""

from __future__ import annotations

import sys
from threading import RLock

import pytest

from eegvlm_rt.devices.cuda import CudaDevice
from eegvlm_rt.errors import BackendError
from eegvlm_rt.stager import Stager
from eegvlm_rt.tensorrt.accelerator import Accelerator


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    with pytest.raises(BackendError, match=r"\[tensorrt\]"):
        CudaDevice()


def test_without_tensorrt_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendError, match="install TensorRT 10 or newer"):
        Accelerator.here()
    with pytest.raises(BackendError, match="tensorrt"):
        Stager.load("nano", backend="tensorrt")


def test_every_call_that_is_used_is_one_that_cuda_python_has() -> None:
    """The real functions, without a driver: each is there and answers as `CudaDevice` reads it."""
    cuda = pytest.importorskip("cuda.bindings.runtime")
    status, count = cuda.cudaGetDeviceCount()
    if int(status) == 0 and count:
        device = CudaDevice()
        assert device.facts.architecture
        return
    with pytest.raises(BackendError, match=r"cudaGetDeviceCount: cudaError\w+; "):
        CudaDevice()
    device = CudaDevice.__new__(CudaDevice)
    device._cuda, device.index, device.lock = cuda, 0, RLock()
    import numpy as np

    array = np.zeros(4, dtype=np.float32)
    for call in (
        lambda: device.allocate(16),
        device.make_stream,
        lambda: device.wait(0),
        lambda: device.upload(256, array, 0),
        lambda: device.copy(256, 512, 16, rows=1, pitches=(16, 16), stream=0),
        lambda: device.copy(256, 1024, 16, rows=2, pitches=(32, 64), stream=0),
        lambda: device.clear(256, 16, 0),
        lambda: device.download(array, 256, 0),
        lambda: device._call("cudaSetDevice", 0),
        lambda: device._call("cudaGetDeviceProperties", 0),
    ):
        with pytest.raises(BackendError, match="cudaError"):
            call()
    assert {"major", "minor", "name"} <= set(dir(cuda.cudaDeviceProp))
    assert device._driver().endswith("CUDA 0.0")
