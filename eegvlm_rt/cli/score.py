"""eegvlm-rt score: many nights to a table, per-night files and a report of the cohort."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from ..cohort.bids import describe_dataset, find_bids
from ..cohort.inputs import find_nights
from ..cohort.local_pool import default_threads
from ..cohort.lock import folder_lock
from ..cohort.ray_pool import LOCAL
from ..cohort.receipt import FOLDER, Status
from ..cohort.run import finish, score_nights
from ..cohort.tasks import ScoreOptions
from ..errors import InputError
from ..files.outputs import claim_folder
from ..report.write import check_output
from .console import note, out, plain, progress_console, report_warning

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from ..cohort.receipt import Receipt
    from ..cohort.run import CohortResult, Plan
    from ..cohort.tasks import NightTask

__all__ = ["run"]

ALL, SOME, NONE, INTERRUPTED = 0, 3, 4, 130
LEVELS = ("participant", "group")


def run(args: argparse.Namespace) -> int:
    """Score. Status: 0 every night is scored, 3 some are, 4 none is, 130 interrupted."""
    has_level = len(args.inputs) == 3 and args.inputs[2] in LEVELS
    if has_level and args.out is not None and not Path(args.inputs[2]).exists():
        cure = "BIDS_DIR OUT participant|group names the folder itself; leave out -o, and a default of it"
        raise InputError("--out", args.out, cure)
    is_bids = args.out is None and has_level
    if args.out is None and not is_bids:
        cure = "add -o OUT, the folder of the results; or give BIDS_DIR OUT participant|group"
        raise InputError("score", " ".join(args.inputs) or "nothing", cure)
    if args.participant_label and not is_bids:
        raise InputError("--participant-label", " ".join(args.participant_label), "it is for a BIDS dataset")
    options = _options(args)
    if options.report:
        check_output("report.html")
    return _bids(args, options) if is_bids else _nights(args, options)


def _options(args: argparse.Namespace) -> ScoreOptions:
    return ScoreOptions(
        bundle=args.bundle,
        mode=args.mode,
        memory=not args.no_memory,
        smooth=args.smooth,
        channels=tuple(args.channel or ()),
        unit=args.unit,
        backend=args.backend,
        formats=tuple(args.format or ()),
        predictions=args.predictions,
        report=args.report,
        threads=_threads(args),
        trusted_keys=args.trusted_keys,
        overwrite=args.overwrite,
    )


def _threads(args: argparse.Namespace) -> int:
    """As asked for; else what this machine's processors give each worker. Of another machine nothing is
    known.
    """
    if args.threads is not None:
        return int(args.threads)
    return default_threads(args.workers if args.ray in (None, LOCAL) else None)


def _nights(args: argparse.Namespace, options: ScoreOptions) -> int:
    if not args.inputs and args.list is None:
        raise InputError("score", "no input", "give recordings, folders, patterns, or --list FILE")
    folder = Path(args.out)
    tasks = find_nights(args.inputs, folder, listed=args.list)
    return _score(args, tasks, folder, options)


def _bids(args: argparse.Namespace, options: ScoreOptions) -> int:
    """A BIDS-App: participants may run side by side, table and group report come with the level `group`."""
    dataset, folder, level = Path(args.inputs[0]), Path(args.inputs[1]), args.inputs[2]
    if level == "group":
        if not (folder / FOLDER).is_dir():
            raise InputError("output_dir", str(folder), "no nights there: run the level participant first")
        claim_folder(folder, "score", inputs=[dataset], overwrite=options.overwrite)
        console = out()
        with folder_lock(folder):
            for path in finish(folder, overwrite=options.overwrite):
                console.print(Text(f"Wrote {plain(str(path))}"), soft_wrap=True)
        note(console)
        return ALL
    tasks, others = find_bids(dataset, args.participant_label or ())
    if others:
        report_warning(
            f"{len(others)} recordings are neither EDF nor BDF and are left out, {others[0].name} first"
        )
    claim_folder(folder, "score", inputs=[dataset], overwrite=options.overwrite)
    describe_dataset(folder, dataset, overwrite=options.overwrite)
    labels = args.participant_label or ()
    scope = "-".join(sorted(f"sub-{label.removeprefix('sub-')}" for label in labels))[:200]
    return _score(args, tasks, folder, options, scope=scope, group=False)


def _score(
    args: argparse.Namespace,
    tasks: list[NightTask],
    folder: Path,
    options: ScoreOptions,
    *,
    scope: str = "",
    group: bool = True,
) -> int:
    console = out()
    shown = None if args.json else console
    lines = sys.stdout
    with ExitStack() as stack:
        begin, advance = stack.enter_context(_progress(shown))
        if args.json:
            # Ray prints what befell its workers on standard output, which belongs to the lines of JSON.
            stack.enter_context(redirect_stdout(sys.stderr))

        def on_plan(plan: Plan) -> None:
            begin(len(plan.todo))
            if shown is not None:
                ready = sum(plan.done.values())
                shown.print(f"{len(tasks)} nights, {ready} of them done already", soft_wrap=True)

        def on_receipt(receipt: Receipt) -> None:
            if args.json:
                fields = {"night": receipt.night, "status": str(receipt.status), "error": receipt.error}
                lines.write(json.dumps(fields | {"elapsed_s": receipt.elapsed_s}) + "\n")
                lines.flush()
            elif receipt.status is Status.FAILED:
                console.print(
                    Text(f"{plain(receipt.night)} failed: {plain(receipt.error)}", "red"), soft_wrap=True
                )
            advance(receipt)

        result = score_nights(
            tasks,
            folder,
            options,
            workers=args.workers,
            ray=args.ray,
            scope=scope,
            group=group,
            on_plan=on_plan,
            on_receipt=on_receipt,
        )
    if not args.json:
        _summary(console, result, folder)
    if result.interrupted:
        return INTERRUPTED
    return _status(result)


def _status(result: CohortResult) -> int:
    scored = result.counts[Status.SCORED]
    if scored == 0:
        return NONE
    return ALL if result.counts[Status.FAILED] == 0 else SOME


def _summary(console: Console, result: CohortResult, folder: Path) -> None:
    counts = result.counts
    parts = [f"{counts[Status.SCORED]} scored"]
    if counts[Status.FAILED]:
        parts.append(f"{counts[Status.FAILED]} failed")
    if counts[Status.SKIPPED]:
        parts.append(f"{counts[Status.SKIPPED]} files without signals passed over")
    before = f"; {result.unchanged} were done before" if result.unchanged else ""
    console.print(", ".join(parts) + before, soft_wrap=True)
    console.print(f"Results in {plain(str(folder))}", soft_wrap=True)
    for path in result.files:
        console.print(f"{'':<11}{plain(str(path))}", soft_wrap=True)
    if result.interrupted:
        console.print("Interrupted: the same command does the rest.", style="bold yellow")
    note(console)


@contextmanager
def _progress(console: Console | None) -> Iterator[tuple[Callable[[int], None], Callable[[Receipt], None]]]:
    """A bar with the time that is left, where there is a terminal; functions that begin and advance it."""
    terminal = progress_console(console)
    if terminal is None:
        yield (lambda _: None), (lambda _: None)
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("nights"),
        TimeElapsedColumn(),
        TextColumn("left"),
        # Nights differ: the pace of the last hour is a better guess than that of the last half minute.
        TimeRemainingColumn(),
        console=terminal,
        transient=True,
        expand=True,
        speed_estimate_period=3600,
    ) as progress:
        task = progress.add_task("Scoring", total=None)
        failures = 0

        def advance(receipt: Receipt) -> None:
            nonlocal failures
            failures += receipt.status is Status.FAILED
            text = f"Scoring, {failures} failed" if failures else "Scoring"
            progress.update(task, advance=1, description=text)

        yield (lambda total: progress.update(task, total=total)), advance
