"""eegvlm-rt report: the report of a night from a recording, a journal or a folder of results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from ..bundle.find import find_bundle
from ..night.files import PREDICTIONS
from ..night.inputs import is_journal, night_of
from ..report.write import check_output
from ..sources.edf import read_channel
from .console import note, out, plain
from .staging import busy, load_stager, stage_recording

if TYPE_CHECKING:
    import argparse

    from rich.console import Console

    from ..night.night import Night

__all__ = ["run"]

DONE, INTERRUPTED = 0, 130


def run(args: argparse.Namespace) -> int:
    """Write a report. Status: 0 done, 130 interrupted: the report then covers what was staged."""
    target = Path(args.input)
    # A report may lie beside the results that it is made of.
    source = target / PREDICTIONS if target.is_dir() else target
    inputs = [source, args.signal, args.review, args.trusted_keys]
    check_output(args.out, inputs=inputs, overwrite=args.overwrite)
    console = out()
    staged = not target.is_dir() and not is_journal(target)
    night = _staged(args, console) if staged else night_of(target)
    if not len(night):
        console.print("Interrupted before the first epoch; nothing was written.")
        return INTERRUPTED
    with busy("Writing the report", console):
        path = night.report(
            args.out,
            review=args.review,
            reviewer=args.reviewer,
            signal=args.signal,
            epochs=args.epochs,
            overwrite=args.overwrite,
        )
    console.print(Text(f"Wrote {plain(str(path))}"), soft_wrap=True)
    note(console)
    return DONE if night.complete else INTERRUPTED


def _staged(args: argparse.Namespace, console: Console) -> Night:
    bundle = find_bundle(args.bundle)
    check_output(args.out, inputs=[bundle], overwrite=args.overwrite)
    recording = read_channel(args.input, args.channel, unit=args.unit)
    stager = load_stager(
        args.bundle, args.mode, args.threads, console, backend=args.backend, trusted_keys=args.trusted_keys
    )
    return stage_recording(stager, recording, args.mode, lambda _: None, console, memory=not args.no_memory)
