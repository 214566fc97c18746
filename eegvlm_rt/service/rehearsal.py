"""A bundle is tried on stored epochs, in a process of its own, before it decides about anybody's sleep."""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import BundleError, EegVlmError
from ..prediction import Outcome
from .signal_log import read_frames, segments

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Gates", "rehearse", "stored_epochs"]

MOST_EPOCHS: Final = 24
EPOCH_S: Final = 30
SIMULATED_HZ: Final = 128.0


@dataclass(frozen=True, slots=True)
class Gates:
    """What a bundle must reach: the share of stages equal to those of the bundle in force, seconds for one
    answer (95th percentile), seconds for the whole rehearsal.
    """

    mode: str = "cot"
    agreement: float = 0.6
    answer_s: float = 20.0
    limit_s: float = 600.0
    threads: int | None = None


def rehearse(
    bundle: Path, gates: Gates, *, epochs: str | os.PathLike[str] | None = None, current: Path | None = None
) -> dict[str, Any]:
    """Try `bundle`; returns what was measured.

    Raises BundleError where it does not load, fails on an epoch, gives no probabilities, is too slow, or
    agrees too little with the bundle in force (`current`).
    """
    result = _run(bundle, gates, epochs)
    bad = [row for row in result["rows"] if row["outcome"] == Outcome.FAILED]
    if not result["rows"] or bad:
        why = bad[0]["error"] if bad else "no epoch was decided"
        raise BundleError("rehearsal", f"{len(bad)} epochs failed", f"the bundle is refused: {why}")
    if not all(row["sound"] for row in result["rows"]):
        raise BundleError("rehearsal", "probabilities", "they are none; the bundle is refused")
    slow = float(np.quantile([row["seconds"] for row in result["rows"]], 0.95))
    if slow > gates.answer_s:
        cure = f"at most {gates.answer_s:g} s are allowed; the bundle is refused"
        raise BundleError("rehearsal", f"{slow:.1f} s for an answer", cure)
    share = None
    if current is not None:
        before = _run(current, gates, epochs)
        same = [a["stage"] == b["stage"] for a, b in zip(result["rows"], before["rows"], strict=True)]
        share = sum(same) / len(same)
        if share < gates.agreement:
            cure = f"at least {gates.agreement:.0%} are asked for; the bundle is refused"
            raise BundleError("rehearsal", f"{share:.0%} of stages as before", cure)
    return {"epochs": len(result["rows"]), "answer_s": slow, "agreement": share}


def stored_epochs(data: str | os.PathLike[str] | None) -> list[tuple[NDArray[np.float32], float]]:
    """Up to 24 epochs, (samples in µV, rate in Hz), spread over the latest stored nights of every bed; of a
    simulated night where none is stored.
    """
    folders = (
        sorted(
            (folder for folder in Path(data).glob("*/*") if segments(folder)),
            key=lambda f: f.name,
            reverse=True,
        )
        if data is not None
        else []
    )
    epochs: list[tuple[NDArray[np.float32], float]] = []
    for folder in folders[:4]:
        epochs += _of_night(folder, MOST_EPOCHS // 2)
        if len(epochs) >= MOST_EPOCHS:
            break
    return epochs[:MOST_EPOCHS] or _simulated()


def _of_night(folder: Path, most: int) -> list[tuple[NDArray[np.float32], float]]:
    from ..journal.reader import read
    from ..journal.resume import night_state
    from .night import JOURNAL

    try:
        rate = float(night_state(read(folder / JOURNAL).records).header.get("sfreq", 0.0))
    except (EegVlmError, TypeError, ValueError):
        return []
    if rate <= 0:
        return []
    size = round(EPOCH_S * rate)
    x = np.concatenate([frame.samples for frame in read_frames(folder)] or [np.empty(0, np.float32)])
    total = len(x) // size
    places: Any = np.unique(np.linspace(0, total - 1, min(most, total)).astype(int)) if total else []
    return [(x[i * size : (i + 1) * size], rate) for i in places]


def _simulated() -> list[tuple[NDArray[np.float32], float]]:
    from ..simulator.night import simulate_night

    night = simulate_night(seed=7, hours=0.25, sfreq=SIMULATED_HZ)
    size = round(EPOCH_S * SIMULATED_HZ)
    x = np.asarray(night.samples_uv, dtype=np.float32)
    starts = np.linspace(0, len(x) // size - 1, MOST_EPOCHS).astype(int)
    return [(x[i * size : (i + 1) * size], SIMULATED_HZ) for i in starts]


def _run(bundle: Path, gates: Gates, epochs: str | os.PathLike[str] | None) -> dict[str, Any]:
    command = [sys.executable, "-m", "eegvlm_rt.service.rehearsal", str(bundle), "--mode", gates.mode]
    if epochs is not None:
        command += ["--epochs", os.fspath(epochs)]
    if gates.threads is not None:
        command += ["--threads", str(gates.threads)]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=gates.limit_s, stdin=subprocess.DEVNULL, check=False
        )
    except subprocess.TimeoutExpired as error:
        cure = f"it came to no end in {gates.limit_s:g} s; the bundle is refused"
        raise BundleError("rehearsal", str(bundle.name), cure) from error
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no word"]
        raise BundleError("rehearsal", f"status {done.returncode}", f"the bundle is refused: {why[0][:300]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _rows(bundle: str, mode: str, threads: int | None, epochs: str | None) -> list[dict[str, Any]]:
    from ..stager import Stager

    stager = Stager.load(bundle, mode=mode, threads=threads)
    rows: list[dict[str, Any]] = []
    for index, (x, rate) in enumerate(stored_epochs(epochs)):
        began = time.perf_counter()
        try:
            p = stager.predict_epoch(x, rate, index=index)
        except EegVlmError as error:
            rows.append({"outcome": str(Outcome.FAILED), "error": str(error)})
            continue
        values = [float(value) for value in p.probabilities.values()]
        sound = all(math.isfinite(v) and 0 <= v <= 1 for v in values) and abs(sum(values) - 1) < 1e-3
        rows.append(
            {
                "outcome": str(p.outcome),
                "stage": None if p.stage is None else p.stage.name,
                "sound": sound,
                "seconds": time.perf_counter() - began,
                "error": p.error,
            }
        )
    return rows


def main() -> int:
    """The process of a rehearsal: one JSON object on stdout."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle")
    parser.add_argument("--mode", required=True)
    parser.add_argument("--epochs")
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    try:
        rows = _rows(args.bundle, args.mode, args.threads, args.epochs)
    except EegVlmError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps({"rows": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
