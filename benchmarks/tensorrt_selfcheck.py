"""TensorRT on this device: are its plans built, do they answer like ONNX Runtime, and how fast.

    python -m benchmarks.tensorrt_selfcheck [--bundle nano] [--json tensorrt-selfcheck.json]

One command for whoever has a Jetson, or another machine with TensorRT: it builds the plans of a bundle in a
folder of its own, stages simulated epochs with them and with ONNX Runtime on the CPU, and writes a report
that can be sent to the project. Nothing of the machine's is in it but the board, the GPU, versions and times.
`--architecture 8.6` builds for a GPU that is not here, with TensorRT for RTX (`pip install tensorrt-rtx`),
and compares nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from eegvlm_rt.bundle.find import find_bundle
from eegvlm_rt.bundle.opening import Bundle
from eegvlm_rt.devices.device import DeviceFacts
from eegvlm_rt.errors import EegVlmError
from eegvlm_rt.hardware import probe
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.stager import Stager
from eegvlm_rt.tensorrt.accelerator import Accelerator
from eegvlm_rt.tensorrt.api import TensorRT
from eegvlm_rt.tensorrt.build import build_engines
from eegvlm_rt.tensorrt.plan_store import PlanStore

from ._common import bundle_facts, command_line, environment, percentiles, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eegvlm_rt.prediction import StagePrediction

__all__ = ["check", "main"]

MODES: Final = ("head", "direct", "cot")
EPOCH_SAMPLES: Final = 3000
WARM_UP: Final = 3
LEAST_AGREEMENT: Final = 0.995
"""Share of equal stages below which the report says no."""


def check(bundle: Bundle, accelerator: Accelerator, epochs: int, report: dict[str, Any]) -> dict[str, Any]:
    """Build the plans, then answer the same epochs on both sides; `report` is filled as far as it goes.

    Raises EegVlmError where a plan cannot be built or a run fails.
    """
    trt, facts = accelerator.trt, accelerator.device.facts
    plans = build_engines(bundle, accelerator.store, trt, facts, progress=print)
    report["plans"] = [
        {"file": p.record.file, "bytes": p.record.bytes, "seconds": p.record.seconds} for p in plans
    ]
    begin = time.perf_counter()
    ours = Stager.load(bundle.path, backend=accelerator)
    report["load_s"] = time.perf_counter() - begin
    names = {plan.record.key.component: plan.record.key.precision for plan in plans}
    theirs = Stager.load(bundle.path, precision=names)
    hours = max(0.5, (epochs + WARM_UP + 1) * 30 / 3600)
    signal = simulate_night(6, hours=hours).samples_uv[: (epochs + WARM_UP) * EPOCH_SAMPLES]
    windows = signal.reshape(-1, EPOCH_SAMPLES)
    report["modes"] = {}
    for mode in MODES:
        answers, ms = _staged(ours, windows, mode)
        expected, cpu_ms = _staged(theirs, windows, mode)
        pairs = list(zip(answers, expected, strict=True))
        again, _ = _staged(ours, windows[: WARM_UP + 10], mode)
        report["modes"][mode] = {
            "epochs": len(answers),
            "stages": _share([a.stage is b.stage for a, b in pairs]),
            "texts": _share([a.rationale_text == b.rationale_text for a, b in pairs]),
            "largest_shift": max(map(_shift, answers, expected)),
            "same_again": all(
                a.probabilities == b.probabilities for a, b in zip(again, answers, strict=False)
            ),
            "tensorrt_ms": ms,
            "onnxruntime_ms": cpu_ms,
        }
        print(mode, report["modes"][mode], flush=True)
    report["good"] = all(row["stages"] >= LEAST_AGREEMENT for row in report["modes"].values())
    return report


def _staged(stager: Stager, windows: np.ndarray, mode: str) -> tuple[list[StagePrediction], dict[str, float]]:
    """Predictions of epochs, each alone, and milliseconds; the first ones warm up and are left out."""
    predictions, times = [], []
    for x in windows:
        begin = time.perf_counter()
        predictions.append(stager.predict_epoch(x, 100.0, mode=mode))
        times.append(1e3 * (time.perf_counter() - begin))
    return predictions[WARM_UP:], percentiles(times[WARM_UP:])


def _share(equal: list[bool]) -> float:
    return float(np.mean(equal))


def _shift(a: StagePrediction, b: StagePrediction) -> float:
    return max(abs(a.probabilities[stage] - b.probabilities[stage]) for stage in a.probabilities)


def build_ahead(bundle: Bundle, architecture: str, store: PlanStore, report: dict[str, Any]) -> None:
    """Build the plans for a GPU that is not here: the graphs parse and the builder takes them, no more is
    shown."""
    device = DeviceFacts(f"a GPU of compute capability {architecture}", architecture, "unknown")
    trt = TensorRT.load("tensorrt_rtx")
    report["tensorrt"] = trt.name
    plans = build_engines(bundle, store, trt, device, ahead=True, progress=print)
    report["plans"] = [
        {"file": p.record.file, "bytes": p.record.bytes, "seconds": p.record.seconds} for p in plans
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: 0 where the plans answer like ONNX Runtime, 1 where they do not, 2 where TensorRT, the GPU
    or the bundle cannot be used; the message says what helps."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tensorrt_selfcheck",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bundle", default="nano", help="name or folder of a bundle")
    parser.add_argument("--epochs", type=int, default=100, help="epochs to compare")
    parser.add_argument("--architecture", metavar="X.Y", help="build for a GPU that is not here")
    parser.add_argument("--json", type=Path, default=Path("tensorrt-selfcheck.json"), metavar="FILE")
    options = parser.parse_args(arguments)
    if options.epochs < 1:
        parser.error(f"--epochs: {options.epochs}; give at least 1")
    report: dict[str, Any] = {
        "benchmark": "tensorrt_selfcheck",
        "command": command_line("tensorrt_selfcheck", arguments),
        "environment": environment(),
        "device": asdict(probe()),
        "good": False,
    }
    status = 2
    try:
        bundle = Bundle.open(find_bundle(options.bundle))
        report["bundle"] = bundle_facts(bundle)
        with tempfile.TemporaryDirectory(prefix="eegvlm-tensorrt-") as folder:
            store = PlanStore(Path(folder) / "engines")
            if options.architecture is not None:
                build_ahead(bundle, options.architecture, store, report)
                status = 0
            else:
                accelerator = Accelerator.here(store)
                report["tensorrt"] = accelerator.trt.name
                report["gpu"] = asdict(accelerator.device.facts)
                status = 0 if check(bundle, accelerator, options.epochs, report)["good"] else 1
    except EegVlmError as error:
        report["error"] = str(error)
        print(str(error), file=sys.stderr)
    write_json(options.json, json.loads(json.dumps(report, default=str)))
    verdict = {0: "good", 1: "the answers differ more than they should", 2: "not run"}[status]
    print(f"{verdict}; the report is in {options.json}")
    return status


if __name__ == "__main__":
    sys.exit(main())
