"""Many nights by `eegvlm-rt score`: nights a minute by workers, here and on Ray, memory, and resuming.

    python -m benchmarks.cohort [--bundle nano] [--nights 24] [--hours 1] [--workers 1 2] [--threads 1]
        [--ray] [--receipts 20000] [--json FILE]

A few nights are simulated; the others are these with another gain, offset, polarity and start, so that no two
files are alike and a thousand of them cost minutes. Each run is the command itself in a process of its own.
"From the first receipt on" leaves out what is paid once, the start of the workers and the loading of the
model; a short run consists mostly of that. Memory is the resident set of each process, sampled; flat means
that the last tenth of a run needs what its first tenth needed. `--receipts N` writes N receipts as a finished
cohort has them and times a run that finds nothing to do: discovery, comparing, table, Parquet and group
report. Processor time is sampled as well: on a machine with other work it says more than the clock.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import psutil

from eegvlm_rt.bundle import Bundle, find_bundle
from eegvlm_rt.cohort import ScoreOptions, find_nights, plan, receipts_in
from eegvlm_rt.cohort.receipt import write_receipt
from eegvlm_rt.signal.units import EPOCH_S
from eegvlm_rt.simulator import SimulatedNight, simulate_night
from eegvlm_rt.simulator.edf import write_edf

from ._common import bundle_facts, environment, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

SIMULATED: Final = 8
SAMPLE_S: Final = 0.5


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bundle", default="nano")
    parser.add_argument("--nights", type=int, default=24)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--ray", action="store_true", help="also on a Ray started here, with each number of workers"
    )
    parser.add_argument("--receipts", type=int, default=20_000, metavar="N")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    results: dict[str, Any] = {
        "environment": environment(args.threads),
        "bundle": bundle_facts(Bundle.open(find_bundle(args.bundle))),
        "nights": args.nights,
        "hours": args.hours,
        "runs": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        simulate(data, args.nights, args.hours)
        for ray in (False, True) if args.ray else (False,):
            for workers in args.workers:
                out = Path(folder) / f"out-{workers}-{ray}"
                results["runs"].append(run(data, out, args, workers, ray))
        if args.receipts:
            results["resume"] = resume(Path(folder), out, args)
    if args.json is not None:
        write_json(args.json, results)
    return 0


def simulate(data: Path, nights: int, hours: float) -> None:
    """Files of a few simulated nights and of variations of them."""
    data.mkdir()
    bases = [simulate_night(i, hours=hours) for i in range(min(nights, SIMULATED))]
    for i in range(nights):
        base = bases[i % SIMULATED]
        write_edf(base if i < SIMULATED else variation(base, i), data / f"night-{i:04d}.edf")


def variation(night: SimulatedNight, number: int) -> SimulatedNight:
    """The night of another amplifier that was switched on at another time: what lay before comes at the
    end.
    """
    rng = np.random.default_rng(number)
    epochs = int(rng.integers(len(night.stages)))
    gain = rng.choice([-1.0, 1.0]) * rng.uniform(0.8, 1.25)
    shifted = np.roll(night.samples_uv, -round(epochs * EPOCH_S * night.sfreq))
    samples_uv = (gain * shifted + rng.uniform(-20.0, 20.0)).astype(np.float32)
    return replace(night, samples_uv=samples_uv, stages=np.roll(night.stages, -epochs), seed=number)


def run(data: Path, out: Path, args: argparse.Namespace, workers: int, ray: bool) -> dict[str, Any]:
    """One cohort from nothing, then the run that finds it done."""
    command = score_command(data, out, args)
    command += ["--workers", str(workers), *(["--ray", "local"] if ray else [])]
    first = watched(command)
    finished = sorted(time_of(receipt.finished) for receipt in receipts_in(out))
    steady = len(finished) - 1 if len(finished) > 1 else 0
    # Receipts have whole seconds: good enough over a run of a minute and more.
    seconds = max(1.0, finished[-1] - finished[0])
    busy = sum(receipt.elapsed_s for receipt in receipts_in(out))
    figures = {
        "workers": workers,
        "ray": ray,
        "wall_s": first["wall_s"],
        "driver_cpu_s": first["driver_cpu_s"],
        "workers_cpu_s": first["workers_cpu_s"],
        "nights_per_min": 60 * args.nights / first["wall_s"],
        "nights_per_min_from_first_receipt": 60 * steady / seconds,
        "scoring_s": busy,
        "driver_peak_mb": first["driver_peak_mb"],
        "worker_peak_mb": first["worker_peak_mb"],
        "worker_mb_first_and_last_tenth": first["worker_mb_first_and_last_tenth"],
        "resume_s": watched(command)["wall_s"],
    }
    lines = (
        f"{'Ray' if ray else 'here'}, {workers} workers: {figures['wall_s']:.1f} s, processor time of the "
        f"workers {figures['workers_cpu_s']:.1f} s, of the driver {figures['driver_cpu_s']:.1f} s;",
        f"{figures['nights_per_min']:.1f} nights a minute, from the first receipt on "
        f"{figures['nights_per_min_from_first_receipt']:.1f};",
        f"peak MB: driver {figures['driver_peak_mb']:.0f},",
        f"worker {figures['worker_peak_mb']:.0f} (first and last tenth "
        f"{figures['worker_mb_first_and_last_tenth']}); resume {figures['resume_s']:.1f} s",
    )
    print("\n  ".join(lines), flush=True)
    return figures


def resume(folder: Path, out: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Time a run that finds `args.receipts` finished nights, whose receipts are copies of a real one."""
    data, cohort = folder / "many", folder / "many-out"
    data.mkdir()
    example = next(receipts_in(out))
    options = ScoreOptions(bundle=args.bundle, threads=args.threads)
    for i in range(args.receipts):
        (data / f"n{i:06d}.edf").write_bytes(b"x")
    (cohort / "nights").mkdir(parents=True)
    tasks = find_nights([str(data)], cohort)
    planned = plan(tasks[:1], cohort, options)
    for task in tasks:
        facts = task.path.stat()
        night_folder = cohort / "nights" / task.name
        night_folder.mkdir()
        (night_folder / "hypnogram.csv").write_bytes(b"")
        receipt = replace(
            example,
            night=task.name,
            path=str(task.path),
            size=facts.st_size,
            mtime_ns=facts.st_mtime_ns,
            bundle=planned.bundle_digest,
            options=options.key_fields(),
            files={f"nights/{task.name}/hypnogram.csv": 0},
        )
        write_receipt(cohort, receipt)
    rerun = watched([*score_command(data, cohort, args), "--overwrite"])
    table = (cohort / "nights.csv").stat().st_size
    facts_of = {"receipts": args.receipts, "table_bytes": table, **rerun}
    print(
        f"{args.receipts} receipts: {rerun['wall_s']:.1f} s, processor time {rerun['driver_cpu_s']:.1f} s, "
        f"driver {rerun['driver_peak_mb']:.0f} MB, "
        f"table {table / 1e6:.1f} MB; {rerun['last_line']}",
        flush=True,
    )
    return facts_of


def score_command(data: Path, out: Path, args: argparse.Namespace) -> list[str]:
    command = [sys.executable, "-m", "eegvlm_rt.cli", "score", str(data), "-o", str(out)]
    return [*command, "--bundle", args.bundle, "--threads", str(args.threads)]


def watched(command: list[str]) -> dict[str, Any]:
    """Run a command; its time, and the memory of it and of the processes below it.

    Raises RuntimeError where it does not end with status 0.
    """
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    driver_mb, driver_s = 0.0, 0.0
    workers_mb: dict[int, list[float]] = defaultdict(list)
    workers_s: dict[int, float] = {}
    watch = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            driver_mb, driver_s = max(driver_mb, watch.memory_info().rss / 1e6), sum(watch.cpu_times()[:2])
            for child in watch.children(recursive=True):
                resident = child.memory_info().rss / 1e6
                # A process that has ended and was not yet waited for holds nothing.
                if resident:
                    workers_mb[child.pid].append(resident)
                workers_s[child.pid] = sum(child.cpu_times()[:2])
        except psutil.Error:
            pass
        time.sleep(SAMPLE_S)
    wall_s = time.perf_counter() - began
    printed, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(errors or printed)
    # The process that used most is a worker; Ray's own servers are smaller.
    largest = max(workers_mb.values(), key=max, default=[0.0])
    tenth = max(1, len(largest) // 10)
    settled = largest[tenth:] or largest
    ends = [float(np.median(settled[:tenth])), float(np.median(settled[-tenth:]))]
    return {
        "wall_s": wall_s,
        "driver_cpu_s": driver_s,
        "workers_cpu_s": sum(workers_s.values()),
        "driver_peak_mb": driver_mb,
        "worker_peak_mb": max(largest),
        "worker_mb_first_and_last_tenth": [round(end, 1) for end in ends],
        "last_line": next((line for line in printed.splitlines() if "scored" in line), ""),
    }


def time_of(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    raise SystemExit(main())
