"""eegvlm-rt bundle build-engines: TensorRT plans for the GPU of this device."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from ..bundle.find import find_bundle
from ..bundle.opening import Bundle
from ..devices.device import DeviceFacts
from ..errors import InputError
from ..tensorrt.api import TensorRT
from ..tensorrt.build import build_engines
from ..tensorrt.plan_builder import BuildOptions
from ..tensorrt.plan_store import PlanStore
from ..tensorrt.shipped_plans import write_with_engines
from .console import note, out, plain
from .staging import trust_policy

if TYPE_CHECKING:
    import argparse

    from ..tensorrt.build import EnginePlan

__all__ = ["build"]


def build(args: argparse.Namespace) -> int:
    """Build what is missing and print a line for each plan; raises EegVlmError."""
    precision = dict(map(_precision, args.precision))
    options = BuildOptions(args.workspace, args.level)
    ahead = args.architecture is not None
    bundle = Bundle.open(find_bundle(args.bundle), trust=trust_policy(args.trusted_keys))
    store = PlanStore(args.store)
    trt = TensorRT.load("tensorrt_rtx" if ahead else None)
    device = _elsewhere(args.architecture) if ahead else _here()
    progress = Console(stderr=True)
    plans = build_engines(
        bundle,
        store,
        trt,
        device,
        precision=precision,
        options=options,
        again=args.again,
        ahead=ahead,
        progress=lambda text: progress.print(plain(text), style="dim", markup=False, soft_wrap=True),
    )
    copy = None
    if args.into is not None:
        copy = write_with_engines(bundle, args.into, store, [plan.record for plan in plans])
    console = out()
    if args.json:
        report = {"store": str(store.folder), "plans": [_fields(plan) for plan in plans]}
        console.file.write(json.dumps(report, indent=2) + "\n")
        return 0
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("plan", "size", "built in", ""):
        table.add_column(name, overflow="fold")
    for plan in plans:
        record = plan.record
        state = "there already" if plan.reused else "; ".join(plan.changed) or "new"
        table.add_row(record.file, f"{record.bytes / 1e6:.1f} MB", f"{record.seconds:.1f} s", plain(state))
    console.print(table)
    console.print(plain(f"Kept in {store.folder} for {trt.name} on {device.name}."), soft_wrap=True)
    if copy is not None:
        console.print(plain(f"{copy.path}: lists them, manifest {copy.digest}; sign it."), soft_wrap=True)
    note(console)
    return 0


def _precision(text: str) -> tuple[str, str]:
    part, _, name = text.partition("=")
    if part not in ("tower", "llm") or not name:
        raise InputError("--precision", text, "write tower=NAME or llm=NAME")
    return part, name


def _here() -> DeviceFacts:
    from ..devices.cuda import CudaDevice

    return CudaDevice().facts


def _elsewhere(architecture: str) -> DeviceFacts:
    if not re.fullmatch(r"\d{1,2}\.\d", architecture):
        raise InputError("--architecture", architecture, "give a compute capability like 8.6")
    return DeviceFacts(f"a GPU of compute capability {architecture}", architecture, "unknown")


def _fields(plan: EnginePlan) -> dict[str, Any]:
    record = plan.record
    return {
        "file": record.file,
        "bytes": record.bytes,
        "sha256": record.sha256,
        "seconds": record.seconds,
        "reused": plan.reused,
        "changed": list(plan.changed),
        "key": record.key.to_dict(),
    }
