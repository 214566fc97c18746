"""Many nights on one GPU: processes that stage one each, and what `nvidia-smi` says of the GPU meanwhile.

    python -m benchmarks.cuda.busy BUNDLE WHERE LLM TEXTS MODE SECONDS SEED

is one of those processes: it loads, prints a line, waits for a line, and stages epochs until the time is
over.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eegvlm_rt.simulator import simulate_night

from .subjects import Subject

if TYPE_CHECKING:
    from subprocess import Popen

__all__ = ["main", "many_nights"]


def many_nights(folder: Path, subject: Subject, mode: str, processes: int, seconds: float) -> dict[str, Any]:
    """Epochs per second of all processes together, and the share of time in which the GPU had work."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.cuda.busy",
        str(folder),
        subject.where,
        subject.llm,
        str(subject.texts),
        mode,
        str(seconds),
    ]
    workers = [
        subprocess.Popen([*command, str(i)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for i in range(processes)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            if worker.stdout.readline().strip() != "ready":
                raise RuntimeError("a process did not load the bundle")
        monitor = _monitor() if subject.where == "cuda" else None
        begin = time.perf_counter()
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        counts = [
            json.loads(worker.communicate(timeout=seconds + 60)[0].splitlines()[-1]) for worker in workers
        ]
        elapsed_s = time.perf_counter() - begin
        samples = [] if monitor is None else _samples(monitor)
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.kill()
    epochs = sum(count["epochs"] for count in counts)
    result: dict[str, Any] = {
        "mode": mode,
        "subject": subject.name,
        "processes": processes,
        "epochs": epochs,
        "seconds": seconds,
        "epochs_per_s": epochs / seconds,
        "nights_per_hour": 3600 * epochs / seconds / 960,
        "elapsed_s": elapsed_s,
    }
    if samples:
        busy = np.array(samples[2 : max(3, int(seconds * 5) - 2)])
        result["gpu_busy"] = float(np.mean(busy)) / 100
        result["gpu_busy_samples"] = len(busy)
    return result


def _monitor() -> Popen[str]:
    return subprocess.Popen(
        ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200"],
        stdout=subprocess.PIPE,
        text=True,
    )


def _samples(monitor: Popen[str]) -> list[int]:
    monitor.terminate()
    text = monitor.communicate(timeout=10)[0]
    return [int(line) for line in text.split() if line.isdigit()]


def main() -> int:
    """One process of `many_nights`."""
    folder, where, llm, texts, mode, seconds, seed = sys.argv[1:]
    signal = simulate_night(int(seed), hours=4.0).samples_uv
    subject = Subject("one of many", where, llm, graphs=llm.endswith("_half_fused"), texts=int(texts))
    stager, _ = subject.load(Path(folder), threads=1)
    for _ in stager.predict_recording(signal[:30000], sfreq=100, mode=mode):
        pass
    print("ready", flush=True)
    sys.stdin.readline()
    until, epochs = time.perf_counter() + float(seconds), 0
    while time.perf_counter() < until:
        for _ in stager.predict_recording(signal, sfreq=100, mode=mode, batch=16):
            epochs += 1
            if time.perf_counter() >= until:
                break
    print(json.dumps({"epochs": epochs}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
