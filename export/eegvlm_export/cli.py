"""`python -m eegvlm_export CHECKPOINT -o BUNDLE`"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table

from eegvlm_rt.errors import EegVlmError
from eegvlm_rt.files import check_outputs, write_file
from eegvlm_rt.prompt import Mode
from eegvlm_rt.versions import VersionOption

from .gates import GateResult, GatesFailedError, shortcomings
from .recipe import LANGUAGE_PRECISIONS, TOWER_PRECISIONS, Recipe, load_recipe

if TYPE_CHECKING:
    from .build import Measurements

__all__ = ["EXIT_GATES", "EXIT_INPUT", "main"]

_COMMANDS: Final = {
    "compare": ".measure.compare",
    "import": ".weights.import_llava",
    "rehearse": ".measure.rehearse",
}

EXIT_INPUT = 2
EXIT_GATES = 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m eegvlm_export",
        description="Export a checkpoint as a quantized, verified bundle for eegvlm-rt.",
        epilog="Exit status: 0 published, 2 wrong input, 3 a gate failed, or a part was never trained, and "
        "nothing was published.",
    )
    parser.add_argument("--version", action=VersionOption, const="eegvlm_export")
    parser.add_argument("checkpoint", type=Path, help="folder of the trained checkpoint")
    parser.add_argument("-o", "--out", type=Path, required=True, help="bundle folder to write")
    parser.add_argument("--recipe", default="nano", help="shipped recipe or YAML file (default: nano)")
    parser.add_argument(
        "--precision",
        action="append",
        default=[],
        metavar="PART=NAME",
        help=f"default precision: tower={'|'.join(TOWER_PRECISIONS)}, llm={'|'.join(LANGUAGE_PRECISIONS)}",
    )
    parser.add_argument("--model-id", help="name in the manifest (default: the checkpoint's preset)")
    parser.add_argument("--calibration", default="sim", metavar="DIR|sim", help="epochs that set int8 scales")
    parser.add_argument("--parity", default="sim", metavar="DIR|sim", help="epochs that are compared")
    parser.add_argument("--parity-epochs", type=int, help="how many; the recipe's number by default")
    parser.add_argument("--reasoning-epochs", type=int, help="how many of them with reasoning")
    parser.add_argument(
        "--evaluate",
        action="append",
        default=[],
        metavar="KIND:DIR",
        help="also measure agreement with scorers: real:DIR, or sim:DIR for stored nights",
    )
    parser.add_argument("--modes", default=",".join(Mode), help="modes to evaluate (default: all three)")
    parser.add_argument("--threads", type=int, default=2, help="threads of the runtime's sessions")
    parser.add_argument("--report", type=Path, help="figures, gates and timings: .html or JSON")
    parser.add_argument(
        "--draft",
        action="store_true",
        help="publish even where a gate fails or a part was never trained; the bundle, and all that is made "
        "with it, are marked",
    )
    parser.add_argument("--work", type=Path, help="keep quantised weights here; an interrupted run goes on")
    parser.add_argument("--overwrite", action="store_true", help="replace an older bundle or report")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one export, or the command `import`, `compare` or `rehearse`; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in _COMMANDS:
        command: Any = import_module(_COMMANDS[argv[0]], __package__)
        return int(command.main(argv[1:]))
    args = _parser().parse_args(argv)
    console = Console(stderr=True)
    try:
        if args.report is not None:
            inputs = [args.checkpoint, args.recipe]
            check_outputs([args.report], inputs=inputs, overwrite=args.overwrite)
        recipe = _recipe(args)
        modes = [Mode.parse(name) for name in dict.fromkeys(args.modes.split(","))]
        from transformers.utils import logging

        from .build import export_bundle

        logging.disable_progress_bar()
        exported = export_bundle(
            args.checkpoint,
            args.out,
            recipe,
            model_id=args.model_id,
            calibration=args.calibration,
            parity=args.parity,
            evaluations=args.evaluate,
            evaluation_modes=modes,
            threads=args.threads,
            overwrite=args.overwrite,
            draft=args.draft,
            keep=args.work,
            progress=lambda text: console.print(text, style="dim"),
        )
    except GatesFailedError as failed:
        if failed.results:
            console.print(_gate_table(failed.results))
        for shortcoming in shortcomings(failed.results, failed.untrained):
            console.print(shortcoming, style="red", soft_wrap=True)
        if failed.measured is not None and args.report is not None:
            _write_report(args, failed.measured, recipe)
        console.print("nothing was published; --draft publishes it marked as a draft", soft_wrap=True)
        return EXIT_GATES
    except (EegVlmError, FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return EXIT_INPUT
    console.print(_gate_table(exported.gates))
    console.print(_size_table(exported.figures["bytes"], exported.speed_ms))
    if args.report is not None:
        _write_report(args, exported, recipe)
    for shortcoming in exported.shortcomings:
        console.print(f"a draft: {shortcoming}", style="red", soft_wrap=True)
    print(f"{exported.bundle.path}  {exported.bundle.digest}")
    return 0


def _write_report(args: argparse.Namespace, measured: Measurements, recipe: Recipe) -> None:
    """Figures, gates and timings, of a bundle that was published and of one that was not."""
    if args.report.suffix == ".html":
        from .report import write_report

        write_report(args.report, measured, recipe, overwrite=args.overwrite)
        return
    report = {
        "figures": measured.figures,
        "gates": [
            {"figure": r.gate.figure, "wanted": r.gate.wanted, "value": r.value} for r in measured.gates
        ],
        "shortcomings": measured.shortcomings,
        "speed_ms": measured.speed_ms,
    }
    text = json.dumps(report, indent=2) + "\n"
    write_file(args.report, text.encode(), overwrite=args.overwrite)


def _recipe(args: argparse.Namespace) -> Recipe:
    recipe = load_recipe(args.recipe)
    for pair in args.precision:
        part, equals, precision = pair.partition("=")
        if not equals:
            raise ValueError(f"--precision: {pair!r}; write tower=PRECISION or llm=PRECISION")
        recipe = recipe.with_precision(part, precision)
    changes = {}
    if args.parity_epochs is not None:
        changes["parity_epochs"] = args.parity_epochs
        changes["reasoning_epochs"] = min(args.parity_epochs, recipe.reasoning_epochs)
    if args.reasoning_epochs is not None:
        changes["reasoning_epochs"] = args.reasoning_epochs
    return replace(recipe, **changes)


def _gate_table(results: Sequence[GateResult]) -> Table:
    table = Table("gate", "wanted", "measured", "")
    for result in results:
        value = "not measured" if result.value is None else f"{result.value:g}"
        verdict = "[green]pass" if result.passed else "[red]FAIL"
        table.add_row(result.gate.figure, result.gate.wanted, value, verdict)
    return table


def _size_table(sizes: Mapping[str, int], speed_ms: Mapping[str, float]) -> Table:
    table = Table("measured here", "")
    for name, size in sizes.items():
        table.add_row(name, f"{size / 1e6:.2f} MB")
    for name, value in speed_ms.items():
        table.add_row(name, f"{value:.2f} ms")
    return table
