"""eegvlm-rt demo: a simulated night, written as an EDF file and staged from that file like any other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..bundle.find import find_bundle
from ..files.outputs import check_outputs
from ..night.files import make_folder, night_paths
from ..simulator.edf import write_edf
from ..simulator.night import simulate_night
from ..sources.edf import read_channel
from .console import out
from .stage import stage_file
from .staging import busy
from .truth import read_truth

if TYPE_CHECKING:
    import argparse

__all__ = ["run"]

_REMARK = (
    "Agreement with the stages a simulator intended. No person was recorded: this says that the parts work "
    "together, and nothing about accuracy."
)


def run(args: argparse.Namespace) -> int:
    """Simulate, write, read, stage, compare, report."""
    paths = [*night_paths(args.out), Path(args.out) / "recording.edf"]
    check_outputs(paths, inputs=[args.trusted_keys, find_bundle(args.bundle)], overwrite=args.overwrite)
    folder = make_folder(args.out)
    console = out()
    console.print(f"Simulated night, seed {args.seed}", style="bold")
    with busy("Simulating", console):
        night = simulate_night(args.seed, hours=args.hours)
        path = write_edf(night, folder / "recording.edf", overwrite=args.overwrite)
    console.print(f"written as EDF+ to {path}, read back and staged from there\n", soft_wrap=True)
    recording = read_channel(path)
    if args.reasons is None:
        args.reasons = "few"
    return stage_file(
        args,
        recording,
        truth=read_truth(str(path), recording),
        folder=folder,
        truth_name="simulated",
        title=f"Simulated night, seed {args.seed}, {recording.channel}",
        remark=_REMARK,
    )
