"""eegvlm-rt demo: a simulated night, written as an EDF file and staged from that file like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..hypnogram import read_edf
from ..night_files import make_folder
from ..simulator import simulate_night, write_edf
from ..sources import read_channel
from .console import out
from .stage import covering, stage_file
from .staging import busy

if TYPE_CHECKING:
    import argparse

__all__ = ["run"]

_REMARK = (
    "Agreement with the stages a simulator intended. No person was recorded: this says that the parts work "
    "together, and nothing about accuracy."
)


def run(args: argparse.Namespace) -> int:
    """Simulate, write, read, stage, compare, report."""
    folder = make_folder(args.out)
    console = out()
    console.print(f"Simulated night, seed {args.seed}", style="bold")
    with busy("Simulating", console):
        path = write_edf(simulate_night(args.seed, hours=args.hours), folder / "recording.edf")
    console.print(f"written as EDF+ to {path}, read back and staged from there\n", soft_wrap=True)
    recording = read_channel(path)
    if args.reasons is None:
        args.reasons = "few"
    return stage_file(
        args,
        recording,
        truth=covering(read_edf(path), recording),
        folder=folder,
        truth_name="simulated",
        title=f"Simulated night, seed {args.seed}, {recording.channel}",
        remark=_REMARK,
    )
