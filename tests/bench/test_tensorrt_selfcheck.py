"""The self-check of TensorRT: what it reports of plans that run, and what it says where TensorRT is
missing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.tensorrt_selfcheck import check, main
from eegvlm_rt.tensorrt import PlanStore, precision_for
from eegvlm_rt.tensorrt.accelerator import Accelerator
from eegvlm_rt.tensorrt.build import engine_key, shapes_of
from tests.rt.tensorrt.fake_gpu import FakeGpu, fake_plan, fake_tensorrt
from tests.rt.tiny_bundle import write_tiny_bundle


def test_plans_that_answer_like_onnx_runtime_are_good(tmp_path: Path) -> None:
    gpu = FakeGpu()
    accelerator = Accelerator(fake_tensorrt(gpu), gpu, PlanStore(tmp_path / "engines"))
    bundle = write_tiny_bundle(tmp_path / "tiny")
    for part in ("tower", "llm"):
        key = engine_key(bundle, part, precision_for(bundle.manifest, part), accelerator.trt, gpu.facts)
        plan = fake_plan(bundle.read(bundle.component(part)), shapes_of(bundle.manifest, part))
        with accelerator.store.lock(key):
            accelerator.store.publish(key, plan, 1.0)
    report = check(bundle, accelerator, 5, {})
    assert report["good"]
    assert {row["stages"] for row in report["modes"].values()} == {1.0}
    assert all(row["same_again"] for row in report["modes"].values())
    assert [plan["seconds"] for plan in report["plans"]] == [1.0, 1.0]


def test_without_tensorrt_the_cure_is_said_and_the_report_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, None)
    path = tmp_path / "report.json"
    assert main(["--json", str(path)]) == 2
    assert "nvidia-jetpack" in capsys.readouterr().err
    report = json.loads(path.read_text())
    assert not report["good"]
    assert "install TensorRT 10 or newer" in report["error"]
