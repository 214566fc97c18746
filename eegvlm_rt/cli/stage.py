"""eegvlm-rt stage: one channel of an EDF recording, epoch by epoch."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from ..bundle.find import find_bundle
from ..errors import InputError
from ..extras import install_command
from ..files.outputs import check_outputs
from ..hypnogram.agreement import agreement
from ..hypnogram.model import MAX_EPOCHS
from ..hypnogram.plot import available
from ..night.files import make_folder, night_dict, night_paths, night_writers
from ..sources.edf import read_channel
from .console import NOTICE, note, out, plain
from .epoch_lines import header, pick_few, reason, row
from .night_lines import agreement_lines, duration, hypnogram_lines, statistics_lines, summary_lines
from .staging import epochs_of, load_stager, stage_recording
from .truth import read_truth

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from rich.console import Console

    from ..hypnogram.agreement import Agreement
    from ..hypnogram.model import Hypnogram
    from ..night.night import Night
    from ..prediction import StagePrediction
    from ..sources.edf import Recording
    from .truth import Truth

__all__ = ["formats_of", "run", "stage_file"]

DONE, INTERRUPTED = 0, 130
_ALL_REASONS_UP_TO = 20


def run(args: argparse.Namespace) -> int:
    """Stage a file and report: text, or JSON lines with --json."""
    if args.more:
        files = len(args.more) + 1
        raise InputError(
            "stage", f"{files} files", "it takes one; for many use: eegvlm-rt score INPUT... -o OUT"
        )
    formats = formats_of(args)
    if args.truth_offset is not None and args.truth is None:
        raise InputError("--truth-offset", f"{args.truth_offset:g}", "add --truth FILE, which it is about")
    if args.out is not None:
        inputs = [args.file, args.truth, args.trusted_keys, find_bundle(args.bundle)]
        check_outputs(night_paths(args.out, formats), inputs=inputs, overwrite=args.overwrite)
    recording = read_channel(args.file, args.channel, unit=args.unit)
    _check_length(recording)
    truth = None if args.truth is None else read_truth(args.truth, recording, args.truth_offset)
    folder = None if args.out is None else make_folder(args.out)
    if args.json:
        return _json(args, recording, truth, folder)
    return stage_file(args, recording, truth=truth, folder=folder)


def formats_of(args: argparse.Namespace) -> tuple[str, ...]:
    """The further forms of the hypnogram that --format asks for; raises InputError without a folder."""
    formats = tuple(getattr(args, "format", None) or ())
    if formats and args.out is None:
        raise InputError("--format", " ".join(formats), "add --out DIR, the folder they are written to")
    return formats


def _check_length(recording: Recording) -> None:
    """Raises InputError, before anything is staged, for more epochs than a hypnogram holds."""
    epochs = epochs_of(recording)
    if epochs > MAX_EPOCHS:
        raise InputError(
            "recording", duration(recording.duration_s), "give at most a week; export it in parts"
        )


def stage_file(
    args: argparse.Namespace,
    recording: Recording,
    *,
    truth: Truth | None,
    folder: Path | None,
    truth_name: str = "truth",
    title: str | None = None,
    remark: str = "",
) -> int:
    """Stage a recording, print rows as they come, then reasons, hypnogram, numbers and files."""
    console = out()
    formats = formats_of(args)
    stager = load_stager(
        args.bundle,
        args.mode,
        args.threads,
        console,
        backend=args.backend,
        trusted_keys=args.trusted_keys,
    )
    _title(console, recording, stager.bundle.manifest.model_id, args.mode)
    console.print(header(console.width))
    night = stage_recording(
        stager,
        recording,
        args.mode,
        lambda p: console.print(row(p, recording.start, console.width)),
        console,
        smooth=args.smooth,
        memory=not args.no_memory,
    )
    if not night.predictions:
        console.print("\nInterrupted before the first epoch; nothing was written.")
        return INTERRUPTED
    hypnogram = night.hypnogram
    reference, agreement_of_truth = _compare(truth, hypnogram)
    _reasons(console, night, args.reasons)
    console.print()
    for line in (
        *hypnogram_lines(hypnogram, console.width),
        "",
        *summary_lines(night),
        *statistics_lines(night.statistics(), console.width),
    ):
        console.print(line)
    console.print()
    if agreement_of_truth is not None:
        for line in agreement_lines(agreement_of_truth, f"{truth_name} \\ staged"):
            console.print(line)
        if truth is not None and truth.doubt:
            console.print(f"{'':<11}{truth.doubt}", style="bold yellow")
        if remark:
            console.print(remark, style="dim")
        console.print()
    elif truth is not None:
        console.print("No epoch is scored in both: there is no agreement to count.\n")
    if folder is not None:
        writers = night_writers(
            night,
            folder,
            formats=formats,
            title=title,
            reference=reference,
            reference_name=truth_name,
            agreement=agreement_of_truth,
            truth=None if truth is None else truth.to_dict(),
            overwrite=args.overwrite,
        )
        for i, write in enumerate(writers):
            console.print(f"{'' if i else 'Files':<11}{plain(str(write()))}", soft_wrap=True)
        if not available():
            cure = f"no picture: it needs matplotlib, {install_command('viz')}"
            console.print(f"{'':<11}{cure}")
    if not night.complete:
        console.print(f"Interrupted: {len(night.predictions)} epochs were staged.", style="bold yellow")
    note(console)
    return DONE if night.complete else INTERRUPTED


def _json(args: argparse.Namespace, recording: Recording, truth: Truth | None, folder: Path | None) -> int:
    compared = None if truth is None else truth.to_dict()
    stager = load_stager(
        args.bundle, args.mode, args.threads, backend=args.backend, trusted_keys=args.trusted_keys
    )
    night = stage_recording(
        stager,
        recording,
        args.mode,
        lambda p: _line({"type": "epoch", **p.to_dict()}),
        smooth=args.smooth,
        memory=not args.no_memory,
    )
    reference = result = None
    if night.predictions:
        hypnogram = night.hypnogram
        reference, result = _compare(truth, hypnogram)
        if folder is not None:
            for write in night_writers(
                night,
                folder,
                formats=formats_of(args),
                reference=reference,
                agreement=result,
                truth=compared,
                overwrite=args.overwrite,
            ):
                write()
    _line({"type": "summary", **night_dict(night, result, compared), "notice": NOTICE})
    return DONE if night.complete else INTERRUPTED


def _compare(truth: Truth | None, hypnogram: Hypnogram) -> tuple[Hypnogram | None, Agreement | None]:
    """The truth of the epochs that were staged, and the agreement where any epoch has both."""
    if truth is None:
        return None, None
    reference = truth.hypnogram.window(0, len(hypnogram))
    common = any(
        a is not None and b is not None for a, b in zip(reference.stages, hypnogram.stages, strict=True)
    )
    return reference, agreement(reference, hypnogram) if common else None


def _line(fields: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(fields, allow_nan=False) + "\n")
    sys.stdout.flush()


def _title(console: Console, recording: Recording, model_id: str, mode: str) -> None:
    start = "" if recording.start is None else f", from {recording.start:%Y-%m-%d %H:%M:%S}"
    console.print(_name(recording), style="bold")
    console.print(
        f"{duration(recording.duration_s)} at {recording.sfreq:g} Hz{start}; model {model_id}, mode {mode}"
    )
    console.print()


def _name(recording: Recording) -> str:
    return recording.channel if recording.path is None else f"{recording.path.name}, {recording.channel}"


def _reasons(console: Console, night: Night, option: str | None) -> None:
    selection: list[StagePrediction]
    everything = option == "all" or (option is None and len(night.predictions) <= _ALL_REASONS_UP_TO)
    if option == "none":
        return
    if everything:
        selection = list(night.predictions)
        title = "Reasons"
    else:
        selection = pick_few(night.predictions)
        title = "Reasons: the surest and the least sure epoch of each stage"
    if not any(p.rationale_text for p in selection):
        return
    console.print()
    console.print(title, style="bold")
    for prediction in selection:
        console.print()
        for line in reason(prediction, night.start, console.width):
            console.print(line)
