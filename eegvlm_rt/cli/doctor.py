"""eegvlm-rt doctor: is this device enough, before anything heavy starts."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from ..bundle.find import find_bundle
from ..bundle.opening import Bundle
from ..doctor.checks import Check, examine
from ..errors import BundleError
from ..hardware import probe
from ..tensorrt.plan_store import PlanStore
from .console import note, out, plain

if TYPE_CHECKING:
    import argparse

    from ..tensorrt.plan_store import StoredPlan

__all__ = ["REFUSED", "run"]

REFUSED = 3


def run(args: argparse.Namespace) -> int:
    """Print the device and one line per part; 3 where a required part will not do. No model is loaded."""
    facts = probe()
    try:
        manifest = Bundle.open(find_bundle(args.bundle), verify=False).manifest
        opened = Check("bundle", True, f"{manifest.model_id} opens; sizes and digests were not checked")
    except BundleError as error:
        manifest, opened = None, Check("bundle", False, f"{error.field}: {error.value}", error.cure)
    checks = (opened, *examine(facts, manifest, _plans()))
    good = all(check.ok for check in checks if check.required)
    console = out()
    if args.json:
        report = {"ok": good, "device": asdict(facts), "checks": [check.to_dict() for check in checks]}
        console.file.write(json.dumps(report, indent=2) + "\n")
        return 0 if good else REFUSED
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("", "board", Text(plain(facts.board + (f", L4T {facts.l4t}" if facts.l4t else ""))))
    for check in checks:
        answer = "yes" if check.ok else "no"
        style = "green" if check.ok else "red" if check.required else "yellow"
        text = check.reason if check.ok or not check.cure else f"{check.reason}; {check.cure}"
        table.add_row(Text(answer, style=style), check.part, Text(plain(text)))
    console.print(table)
    note(console)
    return 0 if good else REFUSED


def _plans() -> list[StoredPlan]:
    """Records of the plans in the store; none where it is not to be trusted, which `build-engines` says."""
    try:
        return PlanStore().plans()
    except BundleError:
        return []
