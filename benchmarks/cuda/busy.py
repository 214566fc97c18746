"""Many nights on one GPU: processes that stage one each, and what `nvidia-smi` says of the GPU meanwhile.

    python -m benchmarks.cuda.busy BUNDLE SUBJECT SEED

is one of those processes, SUBJECT as JSON: it loads, prints a line, and for each line "MODE SECONDS" it
stages epochs until the time is over, and prints how many.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from eegvlm_rt.simulator import simulate_night

from .subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from subprocess import Popen

    from numpy.typing import NDArray

    from eegvlm_rt.stager import Stager

__all__ = ["Fleet", "fleet", "gpu_in_use", "main"]

_EACH_S: Final = 0.2
"""Seconds from one look at the GPU to the next."""


class Fleet:
    """Processes with the bundle loaded, each with a night of its own."""

    def __init__(self, subject: Subject, workers: list[Popen[str]]) -> None:
        self.subject, self._workers = subject, workers

    def stage(self, mode: str, seconds: float) -> dict[str, Any]:
        """Epochs per second of all processes together, and the share of time in which the GPU had work."""
        monitor = _monitor() if self.subject.where == "cuda" else None
        begin = time.perf_counter()
        try:
            for worker in self._workers:
                assert worker.stdin is not None
                worker.stdin.write(f"{mode} {seconds}\n")
                worker.stdin.flush()
            counts = [json.loads(_line(worker)) for worker in self._workers]
        finally:
            samples = [] if monitor is None else _samples(monitor)
        epochs = sum(count["epochs"] for count in counts)
        result: dict[str, Any] = {
            "mode": mode,
            "subject": self.subject.name,
            "processes": len(self._workers),
            "epochs": epochs,
            "seconds": seconds,
            "epochs_per_s": epochs / seconds,
            "nights_per_hour": 3600 * epochs / seconds / 960,
            "elapsed_s": time.perf_counter() - begin,
        }
        if samples:
            # Neither the first looks, before all are at work, nor the last ones.
            busy = np.array(samples[2 : max(3, int(seconds / _EACH_S) - 2)])
            result["gpu_busy"] = float(np.mean(busy)) / 100
            result["gpu_busy_samples"] = len(busy)
        return result


@contextmanager
def fleet(folder: Path, subject: Subject, processes: int) -> Iterator[Fleet]:
    """So many processes, loaded; they end with the block. Raises RuntimeError where one does not load."""
    command = [sys.executable, "-m", "benchmarks.cuda.busy", str(folder), json.dumps(vars(subject))]
    workers = [
        subprocess.Popen([*command, str(i)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for i in range(processes)
    ]
    try:
        for worker in workers:
            if _line(worker).strip() != "ready":
                raise RuntimeError("a process did not load the bundle")
        yield Fleet(subject, workers)
        for worker in workers:
            worker.communicate(timeout=60)
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.kill()
                worker.wait()


def _line(worker: Popen[str]) -> str:
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if not line:
        raise RuntimeError("a process ended early")
    return line


def gpu_in_use() -> str:
    """How `nvidia-smi` names the GPU that CUDA calls the first: it lists all of a machine, whichever a
    process may see.
    """
    return os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip() or "0"


def _monitor() -> Popen[str]:
    query = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    command = ["nvidia-smi", f"--id={gpu_in_use()}", *query]
    return subprocess.Popen([*command, "-lms", str(int(1000 * _EACH_S))], stdout=subprocess.PIPE, text=True)


def _samples(monitor: Popen[str]) -> list[int]:
    monitor.terminate()
    text = monitor.communicate(timeout=10)[0]
    return [int(line) for line in text.split() if line.isdigit()]


def _epochs(stager: Stager, signal: NDArray[np.float32], mode: str, seconds: float) -> int:
    """Epochs that were staged until the time was over."""
    until, epochs = time.perf_counter() + seconds, 0
    while time.perf_counter() < until:
        for _ in stager.predict_recording(signal, sfreq=100, mode=mode, batch=16):
            epochs += 1
            if time.perf_counter() >= until:
                break
    return epochs


def main() -> int:
    """One process of a fleet."""
    folder, subject, seed = sys.argv[1:]
    signal = simulate_night(int(seed), hours=4.0).samples_uv
    stager, _ = Subject(**json.loads(subject)).load(Path(folder), threads=1)
    for mode in ("cot", "head"):
        for _ in stager.predict_recording(signal[:30000], sfreq=100, mode=mode):
            pass
    print("ready", flush=True)
    for line in sys.stdin:
        mode, seconds = line.split()
        print(json.dumps({"epochs": _epochs(stager, signal, mode, float(seconds))}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
