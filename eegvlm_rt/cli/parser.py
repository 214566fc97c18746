"""The arguments of every command."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import TYPE_CHECKING

from ..versions import VersionOption
from .bundle_parser import add_bundle_actions
from .console import NOTICE
from .options import (
    OldName,
    count,
    format_option,
    hours,
    integer,
    model_options,
    old_names,
    overwrite_option,
    seconds,
    seed,
    unit_option,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["build_parser"]

# Those of `calibration.smoothing.Smoothing`, whose imports a command line that asks for help can do without.
_SMOOTHING = ("causal", "viterbi", "cycles")


def build_parser() -> argparse.ArgumentParser:
    """The parser of `eegvlm-rt`; `run` of what it parses is the command."""
    parser = argparse.ArgumentParser(
        prog="eegvlm-rt",
        description="Sleep stages from one EEG channel by a vision-language model, with reasons to check.",
        epilog=NOTICE,
    )
    parser.add_argument("--version", action=VersionOption)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _demo(commands)
    _stage(commands)
    _score(commands)
    _report(commands)
    _stream(commands)
    _serve(commands)
    _render(commands)
    add_bundle_actions(
        _command(commands, "bundle", "bundle", "Verify, describe, sign or pack a trained model's folder.")
    )
    _doctor(commands)
    _journal(commands)
    _info(commands)
    _completion(commands)
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, module: str, summary: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=summary, description=summary, epilog=NOTICE)
    command.set_defaults(run=_later(module))
    return command


def _later(module: str) -> Callable[[argparse.Namespace], int]:
    """The module's `run`, imported when the command is run: help and errors in arguments stay quick."""

    def run(args: argparse.Namespace) -> int:
        status: int = import_module(f".{module}", __package__).run(args)
        return status

    return run


def _demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _command(
        commands, "demo", "demo", "Simulate a night, write it as an EDF file, stage that file and report."
    )
    command.add_argument(
        "--hours", type=hours, default=8.0, metavar="H", help="length of the night (default: 8)"
    )
    command.add_argument(
        "--seed", type=seed, default=8, metavar="N", help="which night is simulated (default: 8)"
    )
    command.add_argument(
        "--out", default="demo-night", metavar="DIR", help="folder of the results (default: demo-night)"
    )
    command.set_defaults(smooth=None)
    overwrite_option(command)
    model_options(command, reasons="default: few of each stage")


def _stage(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _command(commands, "stage", "stage", "Stage one EEG channel of an EDF or BDF recording.")
    command.add_argument("file", metavar="FILE", help="EDF or BDF recording")
    command.add_argument("more", nargs="*", help=argparse.SUPPRESS)
    command.add_argument("--channel", metavar="NAME", help="EEG channel (default: the only one there is)")
    command.add_argument(
        "--out",
        metavar="DIR",
        help="write hypnogram.edf, hypnogram.csv, predictions.json and hypnogram.png there",
    )
    command.add_argument(
        "--json", action="store_true", help="print JSON lines: one per epoch, then a summary"
    )
    command.add_argument("--truth", metavar="FILE", help="EDF+ hypnogram to compare with")
    command.add_argument(
        "--truth-offset",
        type=float,
        metavar="S",
        help="the recording begins so many seconds after that hypnogram (default: by their clocks)",
    )
    command.add_argument(
        "--smooth",
        choices=_SMOOTHING,
        help="stages given the course of the night: of the epochs so far; or of all, which come at the end: "
        "its most probable course, or with the cycles of a night",
    )
    unit_option(command)
    overwrite_option(command)
    format_option(command)
    model_options(command, reasons="default: all of up to 20 epochs, else few of each stage")


def _score(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _command(
        commands,
        "score",
        "score",
        "Score many nights: recordings, folders, patterns, a list, or a BIDS dataset "
        "(BIDS_DIR OUT participant|group).",
    )
    add = command.add_argument
    add(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="EDF or BDF recordings, folders with such, quoted patterns; or BIDS_DIR OUT participant|group",
    )
    add("-o", "--out", metavar="OUT", help="folder of the results: table, group report, files of each night")
    add(
        "--list",
        metavar="FILE",
        help="a path a line, or a table with the column path (channel, name); - is stdin",
    )
    add(
        "--participant-label",
        nargs="+",
        metavar="LABEL",
        help="participants of the BIDS dataset, with or without sub- (default: all)",
    )
    add(
        "--channel",
        action="append",
        metavar="NAME",
        help="EEG channel; given again, the next choice where a recording lacks the first "
        "(default: the only one there is)",
    )
    add("--report", action="store_true", help="write a report (HTML) of each night too")
    add(
        "--predictions",
        action="store_true",
        help="write predictions.json of each night too, with what is measured in every epoch "
        "(always with --mode direct or cot)",
    )
    add("--workers", type=count, metavar="N", help="worker processes (default: processors / threads)")
    add(
        "--ray",
        metavar="ADDRESS",
        help="run the workers on this Ray cluster (auto, HOST:PORT, ray://...); local starts one here",
    )
    add(
        "--smooth",
        choices=_SMOOTHING,
        help="stages given the course of the night, of the epochs so far or of all",
    )
    add("--json", action="store_true", help="print a JSON line per night")
    unit_option(command)
    overwrite_option(command)
    format_option(command)
    model_options(command, mode="head", threads="1 or 2 for each worker, as the processors carry")


def _report(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _command(
        commands, "report", "night_report", "Write the report of a night as one HTML file or as a PDF."
    )
    add = command.add_argument
    add(
        "input",
        metavar="INPUT",
        help="recording (EDF or BDF), journal of 'stream', or --out folder of 'stage'",
    )
    out = command.add_mutually_exclusive_group(required=True)
    out.add_argument("-o", "--out", metavar="FILE", help="file to write, .html or .pdf")
    out.add_argument("--output", dest="out", action=OldName, new="--out")
    add("--channel", metavar="NAME", help="EEG channel of the recording (default: the only one there is)")
    add("--signal", metavar="FILE", help="recording that a journal or results were made of, for the traces")
    add("--review", metavar="FILE", help="EDF+ hypnogram of a person who went through the night")
    add("--reviewer", default="not named", metavar="NAME", help="who that is")
    add("--epochs", type=_few, default=12, metavar="N", help="epochs to look at first (default: 12)")
    unit_option(command)
    overwrite_option(command)
    model_options(command)


def _stream(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _command(commands, "stream", "stream", "Stage a night while it is recorded, or replay one.")
    add = command.add_argument
    add(
        "--source",
        required=True,
        metavar="SOURCE",
        help="lsl:NAME, brainflow:BOARD, edf:FILE or bdf:FILE; a file is played in real time, with @10x ten "
        "times as fast, with @max at once",
    )
    add("--channel", metavar="NAME", help="EEG channel (default: the only one there is)")
    add(
        "--wait-s",
        "--wait",
        type=seconds,
        metavar="S",
        help="look for a source that is not there for so long, then end with status 75 (default: error)",
    )
    unit_option(command)
    add(
        "--deadline-s",
        type=seconds,
        metavar="S",
        help="seconds for each epoch (default: 20 live, none of a file)",
    )
    add("--hop-s", type=seconds, metavar="S", help="a provisional stage of the latest 30 s this often")
    add(
        "--lights-off",
        metavar="TIME",
        help="epoch 1 begins then: 22:30, or +90 s from now (default: first sample)",
    )
    add(
        "--smooth",
        nargs="?",
        const="causal",
        choices=("causal",),
        help="smooth by a hidden Markov model of the night so far too",
    )
    add("--journal", metavar="FILE", help="write everything to this journal, fsync per epoch")
    add("--resume", action="store_true", help="resume the night in the journal, if there is one")
    add(
        "--out",
        metavar="DIR",
        help="write hypnogram.edf, hypnogram.csv, night.json and hypnogram.png there at the end",
    )
    add("--json", action="store_true", help="print JSON lines: begin, epoch, text, event, summary")
    add("--plain", action="store_true", help="print lines on a terminal too, no live view")
    add(
        "--timeout-s",
        type=seconds,
        default=10.0,
        metavar="S",
        help="a source quiet for so long has stalled (default: 10)",
    )
    add(
        "--lag-warning-s",
        type=seconds,
        default=30.0,
        metavar="S",
        help="warn of answers so far behind (default: 30)",
    )
    add(
        "--tolerance-s",
        type=seconds,
        default=0.02,
        metavar="S",
        help="timestamps may be off by this (default: 0.02)",
    )
    old_names(
        command,
        deadline="--deadline-s",
        hop="--hop-s",
        timeout="--timeout-s",
        lag_warning="--lag-warning-s",
        tolerance="--tolerance-s",
    )
    overwrite_option(command)
    format_option(command)
    model_options(command)


def _serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _command(commands, "serve", "serve", "Record and stage several beds, night after night.")
    command.add_argument("--config", metavar="FILE", help="configuration (TOML); see docs/service.md")
    command.add_argument("--check", action="store_true", help="check the configuration and start nothing")
    command.add_argument("--schema", action="store_true", help="print the JSON Schema of the configuration")


def _render(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _command(
        commands, "render", "render", "Write the picture the model sees of one epoch as a PNG file."
    )
    command.add_argument("file", metavar="FILE", help="EDF or BDF recording")
    command.add_argument("--channel", metavar="NAME", help="EEG channel (default: the only one there is)")
    command.add_argument(
        "--epoch", type=count, default=1, metavar="K", help="epoch, counted from 1 (default: 1)"
    )
    out = command.add_mutually_exclusive_group(required=True)
    out.add_argument("-o", "--out", metavar="PNG", help="file to write")
    out.add_argument("--output", dest="out", action=OldName, new="--out")
    unit_option(command)
    overwrite_option(command)
    command.add_argument("--bundle", default="nano", metavar="NAME|DIR", help="trained model (default: nano)")
    command.add_argument(
        "--rows", type=count, metavar="N", help="rows the 30 s are folded into (default: the model's)"
    )
    command.add_argument("--size", type=count, metavar="PX", help="width and height (default: the model's)")
    command.add_argument(
        "--uv-range", type=float, metavar="UV", help="half a row's height in µV (default: the model's)"
    )


def _journal(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _command(commands, "journal", "journal", "Verify or export the journal of a streamed night.")
    actions = command.add_subparsers(metavar="ACTION", required=True, dest="action")
    for action, summary in (
        ("verify", "Check every record and the chain: status 0 whole, 3 torn tail, 4 damaged."),
        ("export", "Write the records as JSON lines, or the hypnogram as CSV or EDF+."),
    ):
        subcommand = actions.add_parser(action, help=summary, description=summary, epilog=NOTICE)
        subcommand.add_argument("file", metavar="FILE", help="journal")
        if action == "verify":
            subcommand.add_argument("--head", metavar="SHA256", help="digest of a record that must be in it")
            subcommand.add_argument("--json", action="store_true", help="print JSON")
        else:
            subcommand.add_argument(
                "-o",
                "--out",
                metavar="OUT",
                help="file to write, .jsonl, .csv or .edf (default: JSON lines on stdout)",
            )
            overwrite_option(subcommand)


def _doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _command(commands, "doctor", "doctor", "Say whether this device is enough for a trained model.")
    command.add_argument(
        "bundle", nargs="?", default="nano", metavar="BUNDLE", help="name or folder (default: nano)"
    )
    command.add_argument("--json", action="store_true", help="print JSON")


def _info(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _command(
        commands, "info", "info", "Print versions, how the renderer was compiled, and the bundle in use."
    )
    command.add_argument("--bundle", default="nano", metavar="NAME|DIR", help="trained model (default: nano)")
    command.add_argument("--json", action="store_true", help="print JSON")


def _completion(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _command(
        commands,
        "completion",
        "completion",
        "Print the script that completes commands and options in a shell.",
    )
    command.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell that will run it")


def _few(text: str) -> int:
    value = integer(text, low=0)
    if value > 60:
        raise argparse.ArgumentTypeError(f"{text!r}: give 0 to 60")
    return value
