"""Seeded faults of seventeen kinds over whole nights: every epoch accounted for, nothing else changed.

    python -m benchmarks.faults [--seed 0] [--count 306] [--data FOLDER] [--json FILE]

Each kind strikes real recordings (where --data has them) and simulated nights. A night with faults is held
against the same night without: outside the epochs that the faults may touch, every prediction has to be the
same to the last bit. The status is 1 where a promise is broken, 2 where it cannot be run.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from eegvlm_rt.errors import EegVlmError
from eegvlm_rt.stager import Stager

from .._common import bundle_facts, environment, write_json
from .death import deadly_night
from .disk import full_disk_night
from .killing import killed_night
from .kinds import LATER_KINDS, WIRE_KINDS
from .outcome import NightResult, summary
from .signals import Signal, real_signals, simulated_signals
from .slow import slow_night
from .stamping import STAMPING_KINDS, stamped_night
from .streaming import Reference, faulty_night

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["KINDS", "main", "measure"]

KINDS: Final = (
    *(*WIRE_KINDS, "source death", "SIGKILL", "disk full", "slow model"),
    *(*LATER_KINDS, *STAMPING_KINDS),
)
"""New ones come last: a kind's place is a part of its seed."""
PER_NIGHT: Final = 3
EPOCHS_PER_FAULT: Final = {"SIGKILL": 8, "slow model": 4}
DATA: Final = Path(__file__).resolve().parents[3] / "shared" / "data"


def measure(
    bundle: str,
    *,
    seed: int,
    count: int,
    signals: Sequence[Signal],
    kinds: Sequence[str] = KINDS,
    deadline_s: float = 3.0,
    threads: int | None = None,
    progress: Callable[[NightResult], None] = lambda _: None,
) -> dict[str, Any]:
    """Run `count` faults, shared out evenly among the kinds; returns a JSON-able dictionary of all figures.

    Raises:
        EegVlmError: the bundle cannot be used.
    """
    started = time.perf_counter()
    stager = Stager.load(bundle, mode="head", threads=threads)
    reference = Reference(stager)
    nights: list[NightResult] = []
    with tempfile.TemporaryDirectory(prefix="eegvlm-faults-") as folder:
        for kind in kinds:
            for number, signal, faults in _nights(kind, -(-count // len(kinds)), signals):
                rng = np.random.default_rng([seed, KINDS.index(kind), number])
                night = _night(kind, number, rng, signal, faults, reference, Path(folder), deadline_s)
                nights.append(night)
                progress(night)
    return {
        "benchmark": "faults",
        "environment": environment(stager.threads),
        "bundle": bundle_facts(stager.bundle),
        "seed": seed,
        "elapsed_s": time.perf_counter() - started,
        "signals": [signal.to_dict() for signal in signals],
        "kinds": {kind: summary(night for night in nights if night.kind == kind) for kind in kinds},
        "total": summary(nights),
        "nights": [night.to_dict() for night in nights],
    }


def _nights(kind: str, faults: int, signals: Sequence[Signal]) -> Iterator[tuple[int, Signal, int]]:
    """Number, clean signal and faults of each night of a kind; real and simulated ones take turns."""
    turns = {True: [s for s in signals if s.real], False: [s for s in signals if not s.real]}
    number = 0
    while faults > 0:
        group = turns[number % 2 == 0] or turns[number % 2 == 1]
        signal = group[(number // 2 + KINDS.index(kind)) % len(group)]
        per_fault = EPOCHS_PER_FAULT.get(kind, 10)
        some = min(faults, PER_NIGHT, max(1, signal.epochs // per_fault))
        if kind in EPOCHS_PER_FAULT:
            signal = signal.first(min(signal.epochs, some * per_fault))
        yield number, signal, some
        faults, number = faults - some, number + 1


def _night(
    kind: str,
    number: int,
    rng: np.random.Generator,
    signal: Signal,
    faults: int,
    reference: Reference,
    folder: Path,
    deadline_s: float,
) -> NightResult:
    if kind in STAMPING_KINDS:
        return stamped_night(kind, number, rng, signal, faults, reference, folder)
    if kind in (*WIRE_KINDS, *LATER_KINDS):
        return faulty_night(kind, number, rng, signal, faults, reference, folder)
    if kind == "source death":
        return deadly_night(number, rng, signal, faults, reference, folder)
    if kind == "SIGKILL":
        return killed_night(number, rng, signal, faults, reference, folder)
    if kind == "disk full":
        return full_disk_night(number, rng, signal, faults, reference, folder)
    return slow_night(number, rng, signal, faults, reference, folder, deadline_s)


def _print(results: dict[str, Any], console: Console) -> None:
    machine, total = results["environment"], results["total"]
    real = total["real_nights"]
    console.print(
        f"[bold]{results['bundle']['model_id']}[/], seed {results['seed']}, {total['faults']} faults in "
        f"{total['nights']} nights ({real} recorded from people), {results['elapsed_s']:.0f} s"
    )
    console.print(f"{machine['cpu']}, {machine['cpus_usable']} processors, Python {machine['python']}")
    if machine["load_average"]:
        console.print(f"load average {machine['load_average'][0]:.1f} when it ended")
    names = ("kind", "n", "epochs", "rows", "same", "changed", "struck", "differ", "resumed", "other")
    table = Table(*names, box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for kind, row in (*results["kinds"].items(), ("all", total)):
        table.add_row(
            kind,
            str(row["faults"]),
            str(row["expected"]),
            f"{100 * row['accounted'] / row['expected']:g} %",
            str(row["compared"] - row["changed"]),
            str(row["changed"]),
            str(row["excluded"]),
            str(row["excluded_changed"]),
            f"{row['resumed']}/{row['interrupted']}" if row["interrupted"] else "-",
            str(row["broken"]),
            end_section=kind == KINDS[-1],
        )
    console.print(table)
    console.print(
        "rows: epochs with exactly one row, which has an outcome. same: epochs outside the faults whose "
        "prediction is that of the night without them, to the last bit; changed: those whose is not. (Had "
        f"the grid slipped by one epoch, {total['slipped']} of {total['compared']} would have changed. In "
        f"{total['last_digits']} a measured number differs by less than a millionth.) struck: epochs that a "
        "fault may touch; differ: how many of them do. other: promises broken beside."
    )
    for night in results["nights"]:
        if not night["ok"]:
            console.print(f"[bold red]broken[/] {_named(night)}", markup=True)
            for text in (*night["told"], *night["broken"]):
                console.print(f"  {text}", markup=False)
            console.print(f"  changed: {list(night['comparison']['changed'])}", markup=False)


def _named(night: dict[str, Any]) -> str:
    return f"{night['kind']}, night {night['number']}: {night['signal']}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__.split("\n")[0])
    parser.add_argument("--bundle", default="nano", help="name or folder of a bundle (default: nano)")
    parser.add_argument("--seed", type=int, default=0, help="of all faults (default: 0)")
    parser.add_argument("--count", type=int, default=306, help="faults, shared out among the kinds (306)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="default: all")
    parser.add_argument(
        "--data", type=Path, default=DATA, help=f"folder of real recordings (default: {DATA})"
    )
    parser.add_argument("--deadline", type=float, default=3.0, metavar="S", help="of the slow model (3)")
    parser.add_argument("--threads", type=int, default=None, help="processors (default: those at hand)")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="also write all figures here")
    options = parser.parse_args(arguments)
    if options.count < 1 or options.seed < 0 or not 0.1 <= options.deadline <= 60:
        parser.error("give at least 1 fault, a seed of 0 or more and a deadline of 0.1 to 60 s")
    console, errors = Console(), Console(stderr=True)
    logging.getLogger("eegvlm_rt").setLevel(logging.CRITICAL)
    try:
        signals = simulated_signals()
        if options.data.is_dir():
            signals = real_signals(options.data) + signals
        else:
            errors.print(f"no real recordings at {options.data}: simulated nights only", markup=False)
        results = measure(
            options.bundle,
            seed=options.seed,
            count=options.count,
            signals=signals,
            kinds=options.kinds,
            deadline_s=options.deadline,
            threads=options.threads,
            progress=lambda night: errors.print(
                f"{night.kind} {night.number}: {'kept' if night.ok else 'BROKEN'}", markup=False
            ),
        )
    except (EegVlmError, FileNotFoundError) as error:
        errors.print(str(error), markup=False)
        return 2
    _print(results, console)
    if options.json is not None:
        write_json(options.json, results)
    return 0 if results["total"]["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
