"""Faults against a service that runs, one after the other, and what they cost.

    python -m benchmarks.service.chaos [--faults 112] [--beds 2] [--speed 20] [--seed 1] [--limit-min 75]
    [--folder F] [--json FILE]
    python -m benchmarks.service.chaos --accounts F [--json FILE]

No fault is begun after --limit-min, and none takes longer than six minutes or so. Every fault is one line
of F/faults.jsonl as soon as it is over, and SIGTERM ends a run in order: what was done until then is
accounted for. `--accounts` does so for a run that was killed.

Amplifiers on LSL send at `speed` times real time. A fault is done; then the service must record and
decide for every bed again before the next one. At the end every sample that was sent is looked for in the
signal logs. Samples that were sent while a fault kept the service from taking any (the service was dead,
or the amplifier) do not count as lost. Ends with 1 where a sample beyond that is lost, two nights are
one, a minute was silent, or something did not come back.
"""

from __future__ import annotations

import argparse
import json
import signal
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks._common import environment, write_json
from eegvlm_rt.bundle import Bundle, find_bundle, pack_bundle
from eegvlm_rt.journal import read
from eegvlm_rt.service import BundleSlots, read_frames
from eegvlm_rt.service.rehearsal import Gates

from ._accounts import recorded_places
from ._faults import KINDS
from ._world import SFREQ_HZ, SIGNAL, World, sent_ranges, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from eegvlm_rt.service.signal_log import Frame

__all__ = ["main"]

BACK_S: Final = 300.0
EDGE_S: Final = 1.5
"""Signal that is on its way when an amplifier or the service is killed, in seconds of real time: half a
second in the frame that is being filled, the rest in buffers of the network.
"""
SILENT_S: Final = 60.0
ON: Final = ("active", "acknowledged")


@dataclass(slots=True)
class Fault:
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
    parser.add_argument("--limit-min", type=float, default=75.0, help="begin no fault after so many minutes")
    parser.add_argument("--folder", type=Path, help="where everything lies; kept")
    parser.add_argument("--accounts", type=Path, help="the folder of a run that ended too soon")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    if args.accounts is not None:
        results = _accounts(Run.load(args.accounts))
    else:
        with _folder(args.folder) as folder:
            results = chaos(folder, args)
    for key, value in results.items():
        if key not in ("environment", "faults"):
            print(f"{key}: {value}")
    if args.json is not None:
        write_json(args.json, results)
    return 0 if results["kept"] else 1


@contextmanager
def _folder(own_folder: Path | None) -> Iterator[Path]:
    if own_folder is not None:
        own_folder.mkdir(parents=True)
        yield own_folder
        return
    with tempfile.TemporaryDirectory(prefix="eegvlm-chaos-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@dataclass(slots=True)
class Run:
    """What is known of a run: its folder, its beds and faults, host times of its begin, of when all was well
    first, and of its end.
    """

    folder: Path
    names: list[str]
    speed: float
    t0: float
    began_s: float
    well_s: float
    ended_s: float
    faults: list[Fault]

    def save(self, fault: Fault | None = None) -> None:
        """Write the head of the record, or one more fault, at once."""
        path = self.folder / "faults.jsonl"
        head = {k: v for k, v in asdict(self).items() if k not in ("folder", "faults", "ended_s")}
        with path.open("a") as handle:
            handle.write(json.dumps(head if fault is None else asdict(fault)) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Run:
        """A run that ended too soon, as far as it came."""
        head, *rows = map(json.loads, (folder / "faults.jsonl").read_text().splitlines())
        faults = [Fault(**row) for row in rows]
        ended_s = faults[-1].ended_s + (faults[-1].back_s or 0.0)
        return cls(folder=folder, ended_s=ended_s, faults=faults, **head)


def chaos(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """All faults; a JSON-able dictionary."""
    bundle = Bundle.open(find_bundle("nano"))
    pack_bundle(bundle, folder / "bundle.tar")
    BundleSlots(folder / "slots").install(folder / "bundle.tar", gates=Gates(mode=args.mode, threads=1))
    world = World(folder, args.beds, args.speed, args.mode)
    rng = np.random.default_rng(args.seed)
    order = [kind for _ in range(-(-args.faults // len(KINDS))) for kind in rng.permutation(list(KINDS))]
    run = Run(folder, world.names, args.speed, world.t0, time.time(), 0.0, 0.0, [])
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stop.append(number))
    try:
        world.start_service()
        for name in world.names:
            world.start_sender(name)
        if wait_for(world.healthy, 300) is None:
            raise RuntimeError(world.log.read_text(errors="replace")[-3000:])
        run.well_s = time.time()
        run.save()
        for kind in order[: args.faults]:
            fault = _fault(world, str(kind), rng)
            run.faults.append(fault)
            run.save(fault)
            passed_min = (time.time() - run.well_s) / 60
            left_min = passed_min / len(run.faults) * (args.faults - len(run.faults))
            times = f"{passed_min:.0f} min, about {left_min:.0f} more"
            print(
                f"{len(run.faults):4} of {args.faults} {kind}: back after {fault.back_s} s; {times}",
                flush=True,
            )
            if stop or passed_min > args.limit_min:
                break
        time.sleep(5)
        run.ended_s = time.time()
    finally:
        world.close()
    return _accounts(run)


def _fault(world: World, kind: str, rng: np.random.Generator) -> Fault:
    began_s = time.time()
    harm = KINDS[kind](world, rng)
    next(harm)
    ended_s = time.time()
    time.sleep(0.5)
    back = wait_for(world.healthy, BACK_S)
    for _ in harm:
        pass
    return Fault(kind, began_s, ended_s, back)


def _accounts(run: Run) -> dict[str, Any]:
    lost, sent, excused, doubled, epochs, nights = 0, 0, 0, 0, Counter[str](), 0
    glued, silent, moved = 0, 0, 0
    wave = np.fromfile(run.folder / SIGNAL, "<f4")
    for name in run.names:
        folders = sorted(path for path in (run.folder / "data" / name).iterdir() if path.is_dir())
        nights += len(folders)
        frames: list[Frame] = []
        marks: list[float] = []
        alarms: list[tuple[float, bool, str]] = []
        for folder in folders:
            frames += read_frames(folder)
            report = read(folder / "night.journal")
            glued += bool(report.findings)
            indices: list[int] = []
            for record in report.records:
                body = record.body
                if record.kind == "prediction":
                    epochs[body["outcome"]] += 1
                    indices.append(body["index"])
                    marks.append(body.get("wall_s") or 0.0)
                elif record.kind == "alarm":
                    alarms.append((body["changed_s"], body["state"] in ON, body["kind"]))
                    marks.append(body["changed_s"])
                elif record.kind in ("resume", "start"):
                    marks.append(body.get("resumed_s") or 0.0)
            doubled += len(indices) - len(set(indices))
        places, strays = recorded_places(frames, wave)
        moved += strays
        a, b, c = _lost(run, name, places)
        sent, lost, excused = sent + a, lost + b, excused + c
        silent += silent_minutes(marks, alarms, run.well_s, run.ended_s)
    back = [fault.back_s for fault in run.faults]
    delays = [value for value in back if value is not None]
    whole = lost == 0 and glued == 0 and doubled == 0 and silent == 0 and len(delays) == len(back)
    log = (run.folder / "service.log").read_text(errors="replace")
    return {
        "benchmark": "service chaos",
        "environment": environment(1),
        "seconds": round(run.ended_s - run.began_s, 1),
        "speed": run.speed,
        "beds": len(run.names),
        "faults_done": len(back),
        "kinds": dict(Counter(fault.kind for fault in run.faults)),
        "samples_sent": sent,
        "samples_lost_beyond_the_fault": lost,
        "samples_sent_while_dead": excused,
        "samples_with_another_timestamp": moved,
        "nights": nights,
        "nights_glued": glued,
        "epochs": dict(epochs),
        "epochs_twice": doubled,
        "silent_minutes": silent,
        "resumed": f"{len(delays)} of {len(back)}",
        "seconds_until_well": {
            "median": round(float(np.median(delays)), 1) if delays else None,
            "worst": round(max(delays), 1) if delays else None,
        },
        "model_restarts": log.count("model: restarting") + log.count("model: safe mode"),
        "faults": [
            [f.kind, round(f.began_s - run.began_s, 1), round(f.ended_s - run.began_s, 1), f.back_s]
            for f in run.faults
        ],
        "kept": whole,
    }


def _lost(run: Run, name: str, got: np.ndarray) -> tuple[int, int, int]:
    """Samples sent, lost, and sent while nobody could take them."""
    rate = SFREQ_HZ * run.speed
    excuses = []
    for fault in run.faults:
        if fault.kind in ("service killed", "source death"):
            # Until it is well again at the latest: the connection is made somewhere in between.
            until_s = fault.ended_s + 0.5 + (fault.back_s or 0.0)
            excuses.append((fault.began_s - EDGE_S, until_s))
    total = missing = excused = 0
    for first, last in sent_ranges(run.folder, name):
        first = max(first, int((run.well_s - run.t0) * rate))
        places = np.arange(first, max(first, last - int(EDGE_S * 4 * rate)))
        total += len(places)
        absent = places[~np.isin(places, got)]
        at_s = run.t0 + absent / rate
        inside = np.zeros(len(absent), bool)
        for low, high in excuses:
            inside |= (at_s >= low) & (at_s <= high)
        excused += int(inside.sum())
        missing += int((~inside).sum())
    return total, missing, excused


def silent_minutes(
    marks: list[float], alarms: list[tuple[float, bool, str]], first_s: float, last_s: float
) -> int:
    """Whole minutes of a bed without a decision, while no alarm was on: `marks` are the times of decisions,
    `alarms` are (time, on, kind).
    """
    marks = [first_s, *sorted(mark for mark in marks if first_s <= mark <= last_s), last_s]
    silent = 0
    for low, high in pairwise(marks):
        state = {kind: is_on for at_s, is_on, kind in sorted(alarms) if at_s <= low}
        if not any(state.values()):
            silent += int((high - low) // SILENT_S)
    return silent


if __name__ == "__main__":
    raise SystemExit(main())
