"""What the service costs: some beds in real time, and a week of nights in minutes.

    python -m benchmarks.service [--minutes 10] [--beds 4] [--mode cot] [--nights 7] [--speed 300]
    [--limit-min 60] [--no-tab] [--json FILE]

In real time each bed plays a file at 256 Hz; processor time, memory, files and threads of the three
processes are read every 5 s. Latency is the lag of each decision in the journal: from the arrival of an
epoch's last sample to its final answer. Ends with 1 where a sample is lost or memory grows by more than 2
MiB after the first night. How long it will take is printed first; where the machine is too busy for the
week, its nights end with the one that --limit-min falls into.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

from benchmarks._common import environment, fresh, percentiles, write_json
from eegvlm_rt.journal import read
from eegvlm_rt.service import read_frames
from eegvlm_rt.simulator import simulate_night, write_edf

if TYPE_CHECKING:
    from collections.abc import Sequence

GROWTH_MIB: Final = 2.0
CONFIG: Final = """
data = "{data}"
[model]
mode = "{mode}"
[page]
port = 0
[storage]
floor_mb = 0
"""
BED: Final = '[[beds]]\nid = "bed{n}"\nsource = "edf:{file}"\n'


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--beds", type=int, default=4)
    parser.add_argument("--mode", default="cot")
    parser.add_argument("--nights", type=int, default=7)
    parser.add_argument("--speed", type=float, default=300.0)
    parser.add_argument("--limit-min", type=float, default=60.0, help="of the week")
    parser.add_argument("--no-tab", action="store_true", help="no browser shows the page meanwhile")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    week_min = args.nights * (expected_night_s(args.speed) + 10) / 60 + 1
    print(f"about {args.minutes + 2:.0f} min in real time, then {week_min:.0f} min for the week", flush=True)
    results: dict[str, Any] = {"benchmark": "service", "environment": environment()}
    with tempfile.TemporaryDirectory(prefix="eegvlm-service-") as name:
        folder = Path(name)
        if args.minutes:
            (folder / "real").mkdir()
            results["real_time"] = real_time(folder / "real", args.beds, args.minutes, args.mode)
        if args.nights:
            (folder / "week").mkdir()
            arguments = [
                str(folder / "week"),
                "2",
                str(args.speed),
                str(args.nights),
                str(60 * args.limit_min),
            ]
            arguments += ["no-tab"] if args.no_tab else []
            results["week"] = week = fresh("benchmarks.service._week", *arguments, progress=True)
            results["growth_mib"] = {
                name: round(week["nights"][-1][name]["rss_mib"] - week["nights"][0][name]["rss_mib"], 2)
                for name in ("recorder", "model", "page")
            }
    lost = [results[part]["samples_lost"] for part in ("real_time", "week") if part in results]
    results["goals"] = {"samples lost: 0": not any(lost)}
    if args.nights:
        results["goals"][f"{args.nights} nights within the limit"] = len(week["nights"]) == args.nights
        small = max(results["growth_mib"].values()) <= GROWTH_MIB
        results["goals"][f"growth after the first night of at most {GROWTH_MIB:g} MiB"] = small
    print(json.dumps({k: v for k, v in results.items() if k != "environment"}, indent=1))
    if args.json is not None:
        write_json(args.json, results)
    return 0 if all(results["goals"].values()) else 1


def expected_night_s(speed: float) -> float:
    """Of a night of 8 h, and of the day after it, which goes by 20 times as fast."""
    return (8 + 16 / 20) * 3600 / speed


def real_time(folder: Path, beds: int, minutes: float, mode: str) -> dict[str, Any]:
    """Some beds for some minutes, each with a file of its own."""
    text = CONFIG.format(data=folder / "data", mode=mode)
    for n in range(beds):
        night = simulate_night(seed=20 + n, hours=minutes / 60, sfreq=256.0)
        text += BED.format(n=n + 1, file=write_edf(night, folder / f"night-{n}.edf"))
    (folder / "beds.toml").write_text(text)
    log = (folder / "log").open("wb")
    command = [sys.executable, "-m", "eegvlm_rt.cli", "serve", "--config", str(folder / "beds.toml")]
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    samples: list[dict[str, Any]] = []
    try:
        end = time.monotonic() + 60 * minutes + 120
        while (folder / "log").read_text().count("results are complete") < beds:
            if time.monotonic() > end or process.poll() is not None:
                raise RuntimeError((folder / "log").read_text()[-3000:])
            time.sleep(5)
            samples.append(_look(process.pid))
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    finally:
        process.kill()
        log.close()
    lags, lost = [], 0
    for path in sorted((folder / "data").glob("*/*/night.journal")):
        lags += [r.body["lag_s"] for r in read(path).records if r.kind == "prediction"]
        frames = sum(len(frame.samples) for frame in read_frames(path.parent))
        lost += round(minutes * 60 * 256) - frames
    names = sorted({name for row in samples for name in row} - {"at_s"})
    middle = samples[len(samples) // 4 : -2] or samples
    seconds = (middle[-1]["at_s"] - middle[0]["at_s"]) or 5.0
    return {
        "beds": beds,
        "minutes": minutes,
        "mode": mode,
        "decisions": len(lags),
        "lag_s": percentiles(lags),
        "samples_lost": lost,
        "processes": {
            name: {
                "cpu_share": round((middle[-1][name]["cpu_s"] - middle[0][name]["cpu_s"]) / seconds, 3),
                "rss_mib_peak": max(row[name]["rss_mib"] for row in samples if name in row),
                "files": max(row[name]["files"] for row in samples if name in row),
                "threads": max(row[name]["threads"] for row in samples if name in row),
            }
            for name in names
            if all(name in row for row in middle)
        },
    }


def _look(pid: int) -> dict[str, Any]:
    row: dict[str, Any] = {"at_s": time.monotonic()}
    parent = psutil.Process(pid)
    for process in [parent, *parent.children()]:
        try:
            words = " ".join(process.cmdline())
            match = re.search(r"eegvlm_rt\.service\.(worker|page)", words)
            name = {"worker": "model", "page": "page"}[match[1]] if match else "recorder"
            row[name] = {
                "cpu_s": sum(process.cpu_times()[:2]),
                "rss_mib": round(process.memory_info().rss / (1 << 20), 1),
                "files": process.num_fds(),
                "threads": process.num_threads(),
            }
        except psutil.Error:
            continue
    return row


if __name__ == "__main__":
    raise SystemExit(main())
