"""Whole nights through a stream: speed, memory, file handles and threads.

    python -m benchmarks.soak [--bundle nano] [--mode head] [--nights 10] [--hours 8] [--json FILE]

The same simulated night at 256 Hz is read from a file and pushed in chunks of 1 s with timestamps, as fast
as possible, once for each night, each in a stream with a journal of its own on one stager. Memory and handles
are read after every night; the simulator runs in another process.
"""

from __future__ import annotations

import argparse
import gc
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import psutil
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from eegvlm_rt.bundle.find import find_bundle
from eegvlm_rt.errors import EegVlmError
from eegvlm_rt.journal import Journal
from eegvlm_rt.stager import Stager

from ._common import bundle_facts, environment, fresh, percentiles, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "measure"]

SFREQ_HZ: Final = 256.0
MIB: Final = 1 << 20
GROWTH_MIB: Final = 2.0
FACTOR: Final = 200.0


def measure(
    bundle: str, mode: str, nights: int, hours: float, threads: int | None, chunk_s: float
) -> dict[str, Any]:
    """Replay `nights` nights; returns a JSON-able dictionary of all figures.

    Raises:
        EegVlmError: the bundle cannot be used.
    """
    find_bundle(bundle)
    with tempfile.TemporaryDirectory(prefix="eegvlm-soak-") as folder:
        signal = Path(folder) / "night.f32"
        fresh("benchmarks._simulated_night", str(signal), "1", str(hours), str(SFREQ_HZ))
        stager = Stager.load(bundle, mode=mode, threads=threads)
        loaded_mib = psutil.Process().memory_info().rss / MIB
        size = round(chunk_s * SFREQ_HZ)
        rows = [_night(stager, signal, Path(folder) / f"{night}.journal", size) for night in range(nights)]
    growth_mib = rows[-1]["rss_mib"] - rows[0]["rss_mib"]
    slowest = min(row["real_time_factor"] for row in rows)
    return {
        "benchmark": "soak",
        "environment": environment(stager.threads),
        "bundle": bundle_facts(stager.bundle),
        "mode": mode,
        "hours": hours,
        "sfreq_hz": SFREQ_HZ,
        "chunk_s": chunk_s,
        "nights": rows,
        "loaded_mib": loaded_mib,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "growth_after_first_mib": growth_mib,
        "goals": {
            f"growth after the first night of at most {GROWTH_MIB:g} MiB": growth_mib <= GROWTH_MIB,
            f"every night at {FACTOR:g} times real time at least": slowest >= FACTOR,
        },
        "real_time_factor": percentiles([row["real_time_factor"] for row in rows]),
    }


def _night(stager: Stager, signal: Path, journal_path: Path, size: int) -> dict[str, Any]:
    lags: list[float] = []
    sent = 0
    started = time.perf_counter()
    with (
        signal.open("rb") as file,
        Journal.create(journal_path, {"channel": "Fpz"}) as journal,
        stager.stream(SFREQ_HZ, channel="Fpz", journal=journal) as stream,
    ):
        while len(x := np.fromfile(file, "<f4", size)):
            predictions = stream.push(x, 1000.0 + np.arange(sent, sent + len(x)) / SFREQ_HZ)
            lags.extend(1e3 * (row.lag_s or 0.0) for row in predictions)
            sent += len(x)
        lags.extend(1e3 * (row.lag_s or 0.0) for row in stream.close())
    elapsed_s = time.perf_counter() - started
    night = stream.night
    del stream
    gc.collect()
    process = psutil.Process()
    return {
        "elapsed_s": elapsed_s,
        "real_time_factor": sent / SFREQ_HZ / elapsed_s,
        "epochs": night.total,
        "journal_bytes": journal_path.stat().st_size,
        "outcomes": {str(outcome): count for outcome, count in night.epochs.items()},
        "answer_ms": percentiles(lags),
        "rss_mib": process.memory_info().rss / MIB,
        "handles": process.num_fds(),
        "threads": process.num_threads(),
        "python_threads": threading.active_count(),
    }


def _print(results: dict[str, Any], console: Console) -> None:
    machine = results["environment"]
    console.print(
        f"[bold]{results['bundle']['model_id']}[/], mode {results['mode']}, nights of {results['hours']:g} h "
        f"at {results['sfreq_hz']:g} Hz in chunks of {results['chunk_s']:g} s"
    )
    console.print(
        f"{machine['cpu']}, {machine['threads']} of {machine['cpus_usable']} processors, "
        f"onnxruntime {machine['packages']['onnxruntime']}, Python {machine['python']}"
    )
    if machine["load_average"]:
        console.print(f"load average {machine['load_average'][0]:.1f} when it began")
    names = ("night", "s", "x real time", "epochs", "p50 ms", "p95 ms", "p99 ms", "MiB", "handles", "threads")
    table = Table(*names, box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for column in table.columns:
        column.justify = "right"
    for number, row in enumerate(results["nights"], 1):
        answer = row["answer_ms"]
        table.add_row(
            str(number),
            f"{row['elapsed_s']:.1f}",
            f"{row['real_time_factor']:.0f}",
            str(row["epochs"]),
            *(f"{answer[key]:.1f}" for key in ("p50", "p95", "p99")),
            f"{row['rss_mib']:.1f}",
            str(row["handles"]),
            str(row["threads"]),
        )
    console.print(table)
    console.print(
        f"{results['loaded_mib']:.0f} MiB with the model loaded, peak {results['peak_mib']:.0f} MiB, "
        f"growth after the first night {results['growth_after_first_mib']:+.2f} MiB"
    )
    for goal, success in results["goals"].items():
        console.print(f"{goal}: {'kept' if success else 'missed'}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status, 2 where the bundle cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.split("\n")[0])
    parser.add_argument("--bundle", default="nano", help="name or folder of a bundle (default: nano)")
    parser.add_argument("--mode", default="head", choices=("head", "direct", "cot"), help="default: head")
    parser.add_argument("--nights", type=int, default=10, help="nights in a row (default: 10)")
    parser.add_argument("--hours", type=float, default=8.0, help="hours of a night (default: 8)")
    parser.add_argument("--chunk", type=float, default=1.0, metavar="S", help="seconds a chunk (default: 1)")
    parser.add_argument("--threads", type=int, default=None, help="processors (default: those at hand)")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="also write all figures here")
    options = parser.parse_args(arguments)
    if options.nights < 1 or not 0.2 <= options.hours <= 24 or not 0.01 <= options.chunk <= 600:
        parser.error("give at least 1 night, 0.2 to 24 hours, chunks of 0.01 to 600 s")
    try:
        results = measure(
            options.bundle, options.mode, options.nights, options.hours, options.threads, options.chunk
        )
    except EegVlmError as error:
        Console(stderr=True).print(str(error), markup=False)
        return 2
    _print(results, Console())
    if options.json is not None:
        write_json(options.json, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
