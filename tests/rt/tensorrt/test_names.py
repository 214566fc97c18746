"""Every name of TensorRT that the runtime uses is one that TensorRT has.

`make tensorrt-check` fetches TensorRT for RTX and the bindings of TensorRT 10 and 11, a few megabytes each.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from eegvlm_rt.tensorrt import api
from tests.rt.tensorrt.tensorrt_bindings import members

PROTOCOLS = {
    "INetworkDefinition": api.Network,
    "OnnxParser": api.Parser,
    "IOptimizationProfile": api.Profile,
    "IBuilderConfig": api.Config,
    "Builder": api.Builder,
    "ICudaEngine": api.CudaEngine,
    "IExecutionContext": api.Context,
    "Runtime": api.Runtime,
    "ITensor": api.Tensor,
}
VALUES = {
    "NetworkDefinitionCreationFlag": ["STRONGLY_TYPED"],
    "MemoryPoolType": ["WORKSPACE"],
    "TensorIOMode": ["INPUT", "OUTPUT"],
    "TensorLocation": ["DEVICE"],
    "DataType": ["FLOAT", "HALF", "INT32", "INT64"],
    "ITimingCache": ["serialize"],
    "ILogger": ["log"],
}
WHEELS = sorted(Path(os.environ.get("EEGVLM_TENSORRT_BINDINGS", "nowhere")).glob("tensorrt_cu*bindings*.whl"))


def used(protocol: Any) -> set[str]:
    """What a protocol asks for."""
    names = {*vars(protocol), *protocol.__annotations__}
    return {name for name in names if not name.startswith("_")}


def check(found: dict[str, list[str]]) -> None:
    for name, protocol in PROTOCOLS.items():
        assert used(protocol) - set(found[name]) == set(), name
    for name, values in VALUES.items():
        assert set(values) - set(found[name]) == set(), name


def test_a_protocol_says_what_is_used() -> None:
    assert "execute_async_v3" in used(api.Context)
    assert "builder_optimization_level" in used(api.Config)
    with pytest.raises(AssertionError, match="Runtime"):
        check({name: sorted(used(p)) for name, p in PROTOCOLS.items()} | {"Runtime": []})


def test_tensorrt_for_rtx_has_them() -> None:
    rtx = pytest.importorskip("tensorrt_rtx")
    check({name: dir(getattr(rtx, name)) for name in dir(rtx)})


@pytest.mark.skipif(not WHEELS, reason="make tensorrt-check fetches the bindings")
@pytest.mark.parametrize("wheel", WHEELS, ids=lambda wheel: wheel.name.split("-")[1])
def test_tensorrt_has_them(wheel: Path, tmp_path: Path) -> None:
    check(members(wheel, tmp_path))
