"""What is measured of one subject, or of two."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .._common import percentiles
from .busy import fleet, gpu_in_use
from .equality import agreement, same
from .subjects import Subject

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from eegvlm_rt.prediction import StagePrediction
    from eegvlm_rt.stager import Stager

    from .._record import Record

__all__ = [
    "EPOCH_SAMPLES",
    "MODES",
    "compared",
    "gpu_facts",
    "latency",
    "many_nights",
    "night",
    "timed_into",
    "together",
]

MODES: Final = ("head", "direct", "cot")
EPOCH_SAMPLES: Final = 3000
WARM_UP: Final = 10
REPEATED: Final = 100


def gpu_facts() -> dict[str, str]:
    """Name, driver and memory, as `nvidia-smi` says."""
    fields = "name,driver_version,memory.total,compute_cap"
    command = ["nvidia-smi", f"--id={gpu_in_use()}", f"--query-gpu={fields}", "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return dict(zip(fields.split(","), map(str.strip, answer.split(",")), strict=True))


def staged(stager: Stager, signal: NDArray[np.float32], mode: str, batch: int) -> list[StagePrediction]:
    """Every epoch of a signal, each alone: what one answers does not depend on the one before."""
    return list(stager.predict_recording(signal, sfreq=100, mode=mode, batch=batch, memory=False))


def latency(stager: Stager, signal: NDArray[np.float32], mode: str, epochs: int) -> dict[str, Any]:
    """Milliseconds from the samples of an epoch to its answer, one epoch at a time."""
    times, steps, tokens = [], [], []
    for i in range(WARM_UP + epochs):
        start = (i * EPOCH_SAMPLES) % (len(signal) - EPOCH_SAMPLES)
        begin = time.perf_counter()
        prediction = stager.predict_epoch(signal[start : start + EPOCH_SAMPLES], 100.0, mode=mode)
        times.append(1e3 * (time.perf_counter() - begin))
        steps.append(prediction.timing.steps)
        tokens.append(prediction.timing.tokens)
    return {
        "ms": percentiles(times[WARM_UP:]),
        "steps": float(np.mean(steps[WARM_UP:])),
        "tokens": float(np.mean(tokens[WARM_UP:])),
    }


def night(stager: Stager, signal: NDArray[np.float32], mode: str, batch: int) -> dict[str, Any]:
    """Seconds of a whole night, with its memory and, for `cot`, its reasons."""
    begin = time.perf_counter()
    predictions = list(stager.predict_recording(signal, sfreq=100, mode=mode, batch=batch))
    seconds = time.perf_counter() - begin
    return {"epochs": len(predictions), "s": seconds, "epochs_per_s": len(predictions) / seconds}


def together(options: argparse.Namespace) -> Subject:
    """The graph of standard operators that decodes many texts in the same runs."""
    name = f"gpu int4, {options.texts} texts"
    return Subject(name, options.on, "int4", options.tower, texts=options.texts)


def many_nights(
    record: Record, folder: Path, subjects: Sequence[Subject], counts: Sequence[int], seconds: float
) -> None:
    """Nights side by side, by every number of processes."""
    place = record.results.setdefault("many_nights", {"name": "many nights"})
    for processes in counts:
        for subject in subjects:
            rows: list[dict[str, Any]] = []

            def both(
                subject: Subject = subject, processes: int = processes, rows: list[dict[str, Any]] = rows
            ) -> float:
                begin = time.perf_counter()
                with fleet(folder, subject, processes) as nights:
                    start_s = time.perf_counter() - begin
                    rows.extend(nights.stage(mode, seconds) for mode in ("cot", "head"))
                return start_s

            starts = record.results.setdefault("start_of_many_s", {"name": "many nights start"})
            record.part(starts, f"{processes}, {subject.name}", both)
            for row in rows:
                place[f"{row['mode']}, {processes}, {subject.name}"] = row
            record.keep()


def timed_into(
    answers: dict[str, list[StagePrediction]],
    mode: str,
    stager: Stager,
    signal: NDArray[np.float32],
    batch: int,
) -> float:
    begin = time.perf_counter()
    answers[mode] = staged(stager, signal, mode, batch)
    return time.perf_counter() - begin


def compared(
    stager: Stager,
    signal: NDArray[np.float32],
    mode: str,
    options: argparse.Namespace,
    expected: list[StagePrediction],
) -> dict[str, Any]:
    batch, together = options.batch, max(options.batch, stager._pipeline.text_batch)
    begin = time.perf_counter()
    answers = staged(stager, signal, mode, batch)
    seconds = time.perf_counter() - begin
    # Whole batches, as before: one of another size is rounded otherwise.
    count = min(len(answers), max(1, REPEATED // together) * together)
    again = same(staged(stager, signal[: count * EPOCH_SAMPLES], mode, batch), answers[:count])
    return agreement(answers, expected) | {"s": seconds, "same_again": again}
