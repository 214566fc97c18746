"""A whole night by each stager: time of the first night and of the next, memory, causal or not.

    python -m benchmarks.staging [--bundle nano] [--band-power FOLDER] [--epochs 960] [--json FILE]

Each stager runs in a process of its own with the same samples (one simulated night, one channel, 100 Hz) and
the same number of threads; the stagers take turns, round after round, so that other work on the machine slows
all of them alike. A time is from the samples in memory to the last stage, medians of the rounds: compare
ratios of one run. YASA and GSSC come with the extra `peers`; `eegvlm_train band-power` trains the stager of
band powers.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from eegvlm_rt.errors import EegVlmError
from eegvlm_rt.extras import install_command
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.stager import Stager

from ._common import bundle_facts, environment, fresh, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["READS_AHEAD", "main", "measure", "rows"]

EPOCH_SAMPLES: Final = 3000
OURS: Final = ("head", "direct", "cot")
PEERS: Final = ("YASA", "GSSC", "band powers", "band powers, causal")
READS_AHEAD: Final = {
    "head": "",
    "direct": "",
    "cot": "",
    "YASA": "7.5 min, and scales by the whole night",
    "GSSC": "later epochs too, by a network of both directions, and scales by the whole night",
    "band powers": "2.5 min, and scales by the whole night",
    "band powers, causal": "",
}
"""What of the future a stager needs; nothing where it is causal (filters of about a second aside)."""
POOLS: Final = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA", "LOKY_MAX_CPU_COUNT")


def measure(
    bundle: str,
    *,
    epochs: int,
    threads: int,
    rounds: int,
    warm: int,
    batch: int,
    band_power: Path | None,
    only: Sequence[str] = (),
    console: Console | None = None,
) -> dict[str, Any]:
    """Time every stager; returns a JSON-able dictionary of all figures.

    Raises:
        EegVlmError: the bundle cannot be used. RuntimeError: a stager's process failed.
    """
    facts = bundle_facts(Stager.load(bundle, mode="head").bundle)
    names = [name for name in (*OURS, *PEERS) if not only or name in only]
    if band_power is None:
        names = [name for name in names if not name.startswith("band powers")]
    figures: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    missing: dict[str, str] = {}
    pools = {f"{pool}_NUM_THREADS" if "_" not in pool else pool: str(threads) for pool in POOLS}
    with tempfile.TemporaryDirectory() as folder:
        night = Path(folder) / "night.npy"
        hours = max(0.5, (epochs + 1) / 120)
        np.save(night, simulate_night(1, hours=hours).samples_uv[: epochs * EPOCH_SAMPLES])
        parameters = (str(night), str(threads), str(warm), bundle, str(batch), str(band_power or ""))
        for number in range(rounds):
            for name in names:
                if name in missing:
                    continue
                if console is not None:
                    console.print(f"round {number + 1} of {rounds}: {name}", highlight=False)
                one = fresh("benchmarks._staging_one", name, *parameters, environment=pools)
                if "missing" in one:
                    missing[name] = one["missing"]
                else:
                    figures[name].append(one)
    machine = environment(threads)
    machine["packages"] |= {name: _version(name) for name in ("yasa", "gssc", "lightgbm", "torch")}
    return {
        "benchmark": "staging",
        "environment": machine,
        "bundle": facts,
        "epochs": epochs,
        "rounds": rounds,
        "batch": batch or None,
        "wait_policy": os.environ.get("OMP_WAIT_POLICY"),
        "stagers": {name: summarize(runs) for name, runs in figures.items() if runs},
        "missing": missing,
    }


def summarize(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians of a stager's rounds, in seconds and MiB, and every time behind them."""
    first = [run["first"]["wall_s"] for run in runs]
    warm = [one["wall_s"] for run in runs for one in run["warm"]]
    cpu = [one["cpu_s"] for run in runs for one in run["warm"]]
    return {
        "load_s": median(run["load_s"] for run in runs),
        "first_s": median(first),
        "warm_s": median(warm),
        "warm_cpu_s": median(cpu),
        "loaded_mib": median(run["loaded_mib"] for run in runs),
        "peak_mib": max(run["peak_mib"] for run in runs),
        "all_first_s": first,
        "all_warm_s": warm,
        "all_warm_cpu_s": cpu,
    }


def rows(results: dict[str, Any]) -> list[list[str]]:
    """The table: one row a stager, the ratio to `head` where there is one."""
    stagers = results["stagers"]
    ours = stagers.get("head", {}).get("warm_s")
    table = []
    for name, one in stagers.items():
        table.append(
            [
                f"`{name}`" if name in OURS else name,
                f"{one['first_s']:.2f}",
                f"{one['warm_s']:.2f}",
                f"{one['warm_cpu_s']:.2f}",
                f"{one['warm_s'] / ours:.1f}x" if ours else "-",
                f"{one['load_s']:.1f}",
                f"{one['peak_mib']:.0f}",
                READS_AHEAD[name] or "nothing: causal",
            ]
        )
    return table


HEAD: Final = (
    "",
    "first night s",
    "next night s",
    "its processor s",
    "of `head`",
    "load s",
    "peak MiB",
    "reads ahead",
)


def markdown(results: dict[str, Any]) -> str:
    """The table for README and the documentation, with the machine it is of."""
    machine = results["environment"]
    lines = [HEAD, ("---", *("---:" for _ in HEAD[1:-1]), "---"), *rows(results)]
    load = machine["load_average"]
    busy = f", load average {load[0]:.1f}" if load else ""
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    missing = "".join(f" {name}: {module} is not installed." for name, module in results["missing"].items())
    return (
        "\n".join("| " + " | ".join(line) + " |" for line in lines)
        + f"\n\nA night of {results['epochs']} epochs, one channel, {machine['threads']} threads each, "
        f"medians of {results['rounds']} rounds; {machine['cpu']}{busy}; {packages}.{missing}\n"
    )


def _print(results: dict[str, Any], console: Console) -> None:
    table = Table(*HEAD)
    for column in table.columns[1:-1]:
        column.justify = "right"
    for row in rows(results):
        table.add_row(*row)
    console.print(table)
    for name, module in results["missing"].items():
        cure = install_command("peers")
        console.print(f"{name}: {module} is not installed; {cure}", markup=False)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status, 2 where the bundle cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.staging", description=__doc__.split("\n")[0])
    parser.add_argument("--bundle", default="nano", help="name or folder of a bundle (default: nano)")
    parser.add_argument("--epochs", type=int, default=960, help="length of the night (default: 960, 8 h)")
    parser.add_argument("--threads", type=int, default=2, help="threads of each stager (default: 2)")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each stager (default: 3)")
    parser.add_argument("--warm", type=int, default=1, help="nights after the first in each (default: 1)")
    parser.add_argument("--batch", type=int, default=0, help="epochs at a time (default: the stager's own)")
    parser.add_argument("--band-power", type=Path, help="folder of the trained stager of band powers")
    parser.add_argument("--only", nargs="+", default=[], choices=[*OURS, *PEERS], help="these stagers alone")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="also write all figures here")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    options = parser.parse_args(arguments)
    for name in ("epochs", "threads", "rounds", "warm"):
        if getattr(options, name) < 1:
            parser.error(f"--{name}: {getattr(options, name)}; give at least 1")
    try:
        results = measure(
            options.bundle,
            epochs=options.epochs,
            threads=options.threads,
            rounds=options.rounds,
            warm=options.warm,
            batch=options.batch,
            band_power=options.band_power,
            only=options.only,
            console=Console(stderr=True),
        )
    except (EegVlmError, RuntimeError) as error:
        Console(stderr=True).print(str(error), markup=False)
        return 2
    if options.markdown:
        print(markdown(results), end="")
    else:
        _print(results, Console())
    if options.json is not None:
        write_json(options.json, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
