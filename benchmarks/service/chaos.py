"""Faults against a service that runs, one after the other, and what they cost.

    python -m benchmarks.service.chaos [--faults 112] [--beds 2] [--speed 20] [--seed 1] [--json FILE]

Amplifiers on LSL send at `speed` times real time. A fault is done; then the service must record and
decide for every bed again before the next one. At the end every sample that was sent is looked for in the
signal logs. Samples that were sent while a fault kept the service from taking any (the service was dead,
or the amplifier) do not count as lost. Ends with 1 where a sample beyond that is lost, two nights are
one, a minute was silent, or something did not come back.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks._common import environment, write_json
from eegvlm_rt.bundle import Bundle, find_bundle, pack_bundle
from eegvlm_rt.journal import read
from eegvlm_rt.service import BundleSlots, read_frames
from eegvlm_rt.service.rehearsal import Gates

from ._faults import KINDS
from ._world import SFREQ_HZ, World, log_count, wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

BACK_S: Final = 300.0
EDGE_S: Final = 1.5
"""Signal that is on its way when an amplifier or the service is killed, in seconds of real time: half a
second in the frame that is being filled, the rest in buffers of the network.
"""
SILENT_S: Final = 60.0


@dataclass(slots=True)
class Done:
    """A fault: its kind, host times of begin and end of the harm, seconds until all was well again."""

    kind: str
    began_s: float
    ended_s: float
    back_s: float | None


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; 1 where a promise is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", type=int, default=112)
    parser.add_argument("--beds", type=int, default=2)
    parser.add_argument("--speed", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mode", default="head")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="eegvlm-chaos-", ignore_cleanup_errors=True) as name:
        results = chaos(Path(name), args)
    for key, value in results.items():
        if key not in ("environment", "faults"):
            print(f"{key}: {value}")
    if args.json is not None:
        write_json(args.json, results)
    return 0 if results["kept"] else 1


def chaos(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """All faults; a JSON-able dictionary."""
    bundle = Bundle.open(find_bundle("nano"))
    pack_bundle(bundle, folder / "bundle.tar")
    BundleSlots(folder / "slots").install(folder / "bundle.tar", gates=Gates(mode=args.mode, threads=1))
    world = World(folder, args.beds, args.speed, args.mode)
    rng = np.random.default_rng(args.seed)
    order = [kind for _ in range(-(-args.faults // len(KINDS))) for kind in rng.permutation(list(KINDS))]
    done: list[Done] = []
    began_s = time.time()
    try:
        world.start_service()
        for name in world.names:
            world.start_sender(name)
        if wait_for(world.healthy, 300) is None:
            raise RuntimeError(world.log.read_text(errors="replace")[-3000:])
        well_s = time.time()
        for kind in order[: args.faults]:
            done.append(_fault(world, str(kind), rng))
            print(f"{len(done):4} {kind}: back after {done[-1].back_s}", flush=True)
        time.sleep(5)
        ended_s = time.time()
    finally:
        world.close()
    return _accounts(world, done, (began_s, well_s, ended_s), args)


def _fault(world: World, kind: str, rng: np.random.Generator) -> Done:
    began_s = time.time()
    harm = KINDS[kind](world, rng)
    next(harm)
    ended_s = time.time()
    time.sleep(0.5)
    back = wait_for(world.healthy, BACK_S)
    for _ in harm:
        pass
    return Done(kind, began_s, ended_s, back)


def _accounts(
    world: World, done: list[Done], times: tuple[float, float, float], args: argparse.Namespace
) -> dict[str, Any]:
    lost, sent, excused, doubled, epochs, nights = 0, 0, 0, 0, Counter[str](), 0
    decisions: list[float] = []
    glued = 0
    for name in world.names:
        folders = sorted(path for path in (world.data / name).iterdir() if path.is_dir())
        nights += len(folders)
        places = []
        for folder in folders:
            frames = list(read_frames(folder))
            places += [np.rint(frame.timestamps * SFREQ_HZ).astype(np.int64) for frame in frames]
            report = read(folder / "night.journal")
            glued += bool(report.findings)
            seen: list[int] = []
            for record in report.records:
                if record.kind == "prediction":
                    epochs[record.body["outcome"]] += 1
                    decisions.append(record.body.get("wall_s") or 0.0)
                    seen.append(record.body["index"])
            doubled += len(seen) - len(set(seen))
        got = np.unique(np.concatenate(places))
        a, b, c = _lost(world, name, got, done, times[1])
        sent, lost, excused = sent + a, lost + b, excused + c
    silent = _silent(world, decisions, times)
    back = [fault.back_s for fault in done]
    known = [value for value in back if value is not None]
    kept = lost == 0 and glued == 0 and doubled == 0 and silent == 0 and len(known) == len(done)
    return {
        "benchmark": "service chaos",
        "environment": environment(1),
        "seconds": round(times[2] - times[0], 1),
        "speed": args.speed,
        "faults_done": len(done),
        "kinds": dict(Counter(fault.kind for fault in done)),
        "samples_sent": sent,
        "samples_lost_beyond_the_fault": lost,
        "samples_sent_while_dead": excused,
        "nights": nights,
        "nights_glued": glued,
        "epochs": dict(epochs),
        "epochs_twice": doubled,
        "silent_minutes": silent,
        "resumed": f"{len(known)} of {len(done)}",
        "seconds_until_well": {
            "median": round(float(np.median(known)), 1) if known else None,
            "worst": round(max(known), 1) if known else None,
        },
        "model_restarts": log_count(world, "model: restarting") + log_count(world, "model: safe mode"),
        "faults": [
            [f.kind, round(f.began_s - times[0], 1), round(f.ended_s - times[0], 1), f.back_s] for f in done
        ],
        "kept": kept,
    }


def _lost(world: World, name: str, got: np.ndarray, done: list[Done], well_s: float) -> tuple[int, int, int]:
    """Samples sent, lost, and sent while nobody could take them."""
    rate = SFREQ_HZ * world.speed
    excuses = []
    for fault in done:
        if fault.kind in ("service killed", "source death"):
            # Until it is well again at the latest: the connection is made somewhere in between.
            until_s = fault.ended_s + 0.5 + (fault.back_s or 0.0)
            excuses.append((fault.began_s - EDGE_S, until_s))
    total = missing = excused = 0
    for first, last in world.sent(name):
        first = max(first, int((well_s - world.t0) * rate))
        places = np.arange(first, max(first, last - int(EDGE_S * 4 * rate)))
        total += len(places)
        absent = places[~np.isin(places, got)]
        at_s = world.t0 + absent / rate
        inside = np.zeros(len(absent), bool)
        for low, high in excuses:
            inside |= (at_s >= low) & (at_s <= high)
        excused += int(inside.sum())
        missing += int((~inside).sum())
    return total, missing, excused


def _silent(world: World, decisions: list[float], times: tuple[float, float, float]) -> int:
    """Minutes without a decision and without an alarm that was on."""
    marks = sorted(decisions)
    for name in world.names:
        for folder in (world.data / name).iterdir():
            for record in read(folder / "night.journal").records:
                if record.kind in ("alarm", "resume", "start"):
                    marks.append(record.body.get("changed_s") or record.body.get("resumed_s") or 0.0)
    marks = [mark for mark in sorted(marks) if times[1] <= mark <= times[2]]
    edges = np.array([times[1], *marks, times[2]])
    return int((np.diff(edges) // SILENT_S).sum())


if __name__ == "__main__":
    raise SystemExit(main())
