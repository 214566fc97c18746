"""Sleep statistics of staged nights against those of the stages that were meant.

    python -m benchmarks.night_statistics [--bundle nano] [--nights 40] [--hours 8] [--hypnograms FILE.npz]
        [--peers yasa gssc] [--fit-shares] [--json FILE]

Two sources of nights. Simulated: the signal is staged by the model's stage head, and each way of deciding a
night is compared with the simulator's own hypnogram: the epoch alone ("alone"), with the night's memory
("memory", the default), and two offline steps after it: the bundle's smoother ("viterbi") and the cycles of a
night ("cycles"). "estimate" has the figures of the night's estimates (`Night.intervals`) with the stages of
the memory; "covered" is the share of nights whose figure lies in the interval, "width" the median width, null
where most have no upper end, and "intervals" has both for every figure with an interval; "estimate_by_epoch"
is the same without errors that last all night (`night_shares=None`). With `--peers` YASA and GSSC stage the
same signals. Real hypnograms (a NumPy archive with one array of stages per night: 0 W, 1 N1, 2 N2, 3 N3, 4 R,
other values unscored) come as probabilities: each epoch gets those that a simulated epoch of the same stage
got with the memory, wake before sleep onset those of such wake, in stretches of at most 10 epochs. So the
model's own confusions are laid over courses that no simulator made, but not as one night has them: an error
that lasts all night is lost. The memory itself reads features and cannot be fed so.
`--fit-shares` fits shares on the simulated nights; `NIGHT_SHARES` says what it gave with `--first-seed 8500
--nights 30`, and why others were chosen.

Times in minutes. Sleep onset is the first epoch of sleep, or of three in a row; R latency counts from the
first epoch of sleep to the first epoch of R, of three in a row, or of a period of R. "Early R": nights whose
R latency is below 15 min where none was meant, by the first epoch and by the first period. Kappa is over all
epochs of all nights.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from eegvlm_train.evaluation.peers import PEERS

from eegvlm_rt import Stager
from eegvlm_rt.calibration import cycle_model
from eegvlm_rt.calibration.parameters import Scoring
from eegvlm_rt.calibration.smoothing import viterbi
from eegvlm_rt.hypnogram import (
    Hypnogram,
    Interval,
    agreement,
    cohen_kappa,
    sleep_statistics,
    statistics_intervals,
)
from eegvlm_rt.hypnogram.intervals import NIGHT_SHARES
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.stages import STAGES, Stage, StageProbabilities

from ._common import bundle_facts, environment, write_json
from ._night_shares import fit_shares

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eegvlm_rt.calibration.smoothing import Smoother

    from ._night_shares import Known

FIGURES: Final = (
    "onset_latency_min",
    "onset_latency_3_epochs_min",
    "rem_latency_min",
    "rem_latency_3_epochs_min",
    "rem_latency_period_min",
    "sleep_min",
    "waso_min",
)
EARLY_MIN: Final = 15.0
STRETCH: Final = 10

Kind = tuple[Stage, bool]
Pool = dict[Kind, list[np.ndarray]]
Stages = list[Stage | None]
Figures = dict[str, float | None]
Pair = tuple[Stages, Stages, Figures | dict[str, Interval]]
"""A night: stages that were meant, stages that were given, and the figures of these, or estimates."""


def main(argv: Sequence[str] | None = None) -> int:
    """Compare, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bundle", default="nano")
    parser.add_argument("--nights", type=int, default=40)
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--first-seed", type=int, default=9000)
    parser.add_argument("--hypnograms", type=Path)
    parser.add_argument("--peers", nargs="*", choices=("yasa", "gssc"), default=())
    parser.add_argument("--fit-shares", action="store_true")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    stager = Stager.load(args.bundle, mode="head")
    smoother = Scoring.from_dict(stager.bundle.manifest.scoring).smoother
    pairs_of: dict[str, list[Pair]] = {}
    pool: Pool = {}
    known: list[Known] = []
    votes = [PEERS[name](None) for name in args.peers]
    for seed in range(args.first_seed, args.first_seed + args.nights):
        simulated = simulate_night(seed, hours=args.hours)
        night = stager.predict_night(simulated.samples_uv, sfreq=simulated.sfreq).run()
        meant: Stages = [Stage(int(s)) for s in simulated.stages[: len(night)]]
        table = np.where((night.table()["stage"] >= 0)[:, None], night.table()["raw_proba"], np.nan)
        known.append((meant, add(pairs_of, meant, table, smoother)))
        # With the memory the head's own opinion of each epoch is there as well.
        alone = [
            None if p.head is None or not certain else p.head.stage
            for p, certain in zip(
                night.predictions, np.atleast_1d(np.isfinite(table).all(axis=1)), strict=True
            )
        ]
        put(pairs_of, "alone", meant, alone)
        for vote in votes:
            for name, rows in vote(simulated.samples_uv, simulated.sfreq).items():
                put(pairs_of, name, meant, most_probable(rows, np.ones(len(rows), dtype=bool)))
        for kind, row in zip(kinds_of(meant), table, strict=True):
            if kind is not None and np.isfinite(row).all():
                pool.setdefault(kind, []).append(row)
    results: dict[str, Any] = {
        "environment": environment(stager.threads),
        "bundle": bundle_facts(stager.bundle),
        "simulated": {name: summary(pairs) for name, pairs in pairs_of.items()},
    }
    report(f"{args.nights} simulated nights of {args.hours:g} h", results["simulated"])
    if args.fit_shares:
        results["night_shares"] = fit_shares(known)
        print(f"night shares: {results['night_shares']}")
    if args.hypnograms is not None:
        real = from_hypnograms(args.hypnograms, pool, smoother)
        results["real"] = {name: summary(pairs) for name, pairs in real.items()}
        report(f"{len(real['memory'])} real hypnograms", results["real"])
    if args.json is not None:
        write_json(args.json, results)
    return 0


def kinds_of(stages: Sequence[Stage | None]) -> list[Kind | None]:
    """Stage of each epoch, and whether sleep had begun by then: a model errs otherwise in drowsy wake."""
    asleep, kinds = False, list[Kind | None]()
    for stage in stages:
        asleep = asleep or stage not in (None, Stage.W)
        kinds.append(None if stage is None else (stage, asleep))
    return kinds


def add(
    pairs_of: dict[str, list[Pair]],
    meant: list[Stage | None],
    table: np.ndarray,
    smoother: Smoother | None,
) -> tuple[Hypnogram, Hypnogram]:
    """Decide one night from its probabilities (n, 5), NaN where unscored, in each way. Returns its most
    probable stages with their own probabilities, and with those that the cycles of a night make of them.
    """
    certain = np.isfinite(table).all(axis=1)
    memory, whole = most_probable(table, certain), cycle_model().probabilities(table)
    put(pairs_of, "memory", meant, memory)
    put(pairs_of, "cycles", meant, most_probable(whole, certain))
    by_epoch, by_cycles = (
        Hypnogram(
            tuple(memory),
            None,
            tuple(tuple(row) if there else None for row, there in zip(rows.tolist(), certain, strict=True)),
        )
        for rows in (table, whole)
    )
    for name, shares in (("estimate", NIGHT_SHARES), ("estimate_by_epoch", None)):
        estimates = statistics_intervals(by_epoch, others=(by_cycles,), night_shares=shares)
        pairs_of.setdefault(name, []).append((meant, memory, estimates))
    if smoother is not None:
        put(pairs_of, "viterbi", meant, offline(smoother, table))
    return by_epoch, by_cycles


def put(pairs_of: dict[str, list[Pair]], name: str, meant: Stages, answer: Stages) -> None:
    """One more night whose figures are those of its stages."""
    pairs_of.setdefault(name, []).append((meant, answer, figures_of(answer)))


def figures_of(stages: Stages) -> Figures:
    statistics = sleep_statistics(Hypnogram(tuple(stages)))
    return {name: getattr(statistics, name) for name in FIGURES}


def most_probable(table: np.ndarray, certain: np.ndarray) -> list[Stage | None]:
    return [Stage(int(row.argmax())) if there else None for row, there in zip(table, certain, strict=True)]


def from_hypnograms(path: Path, pool: Pool, smoother: Smoother | None) -> dict[str, list[Pair]]:
    """Real courses of a night with the model's own mistakes laid over them."""
    pairs_of: dict[str, list[Pair]] = {}
    rng = np.random.default_rng(0)
    drawn = {kind: np.array(rows) for kind, rows in pool.items()}
    with np.load(path, allow_pickle=False) as archive:
        for name in sorted(archive.files):
            codes = archive[name]
            if codes.ndim != 1 or codes.dtype.kind not in "iu":
                continue
            # In bed: half an hour before the first sleep to half an hour after the last.
            asleep = np.flatnonzero((codes > 0) & (codes < 5))
            codes = codes[max(0, asleep[0] - 60) : asleep[-1] + 61]
            meant: Stages = [Stage(int(code)) if 0 <= code < 5 else None for code in codes]
            kinds = kinds_of(meant)
            table = np.full((len(codes), len(STAGES)), np.nan)
            place = 0
            for i, kind in enumerate(kinds):
                if kind is None or kind not in drawn:
                    continue
                # A stretch of the pool, so that a doubt lasts for some epochs as it does in a night.
                rows = drawn[kind]
                goes_on = i % STRETCH and kinds[i - 1] == kind
                place = (place + 1) % len(rows) if goes_on else int(rng.integers(len(rows)))
                table[i] = rows[place]
            add(pairs_of, meant, table, smoother)
    return pairs_of


def offline(smoother: Smoother, table: np.ndarray) -> list[Stage | None]:
    """The most probable course of the night; unscored where there are no probabilities."""
    answers = [
        StageProbabilities(zip(STAGES, map(float, row), strict=True)) if np.isfinite(row).all() else None
        for row in table
    ]
    course = viterbi(smoother, answers)
    return [stage if answer is not None else None for stage, answer in zip(course, answers, strict=True)]


def summary(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Kappa, mean, median, 90th percentile and largest of the absolute errors, and early R."""
    errors: dict[str, list[float]] = {name: [] for name in FIGURES}
    absent = dict.fromkeys(FIGURES, 0)
    early = dict.fromkeys(("rem_latency_min", "rem_latency_period_min"), 0)
    confusion = sum(
        np.array(agreement(Hypnogram(tuple(meant)), Hypnogram(tuple(answer))).confusion)
        for meant, answer, _ in pairs
    )
    for meant, _, given in pairs:
        true = figures_of(meant)
        ours = {name: one.estimate if isinstance(one, Interval) else one for name, one in given.items()}
        for name in FIGURES:
            a, b = true[name], ours[name]
            if (a is None) != (b is None):
                absent[name] += 1
            elif a is not None and b is not None:
                errors[name].append(abs(a - b))
        for name in early:
            a, b = true[name], ours[name]
            early[name] += b is not None and b < EARLY_MIN and not (a is not None and a < EARLY_MIN)
    intervals = coverage(pairs)
    return {
        "nights": len(pairs),
        "kappa": cohen_kappa(confusion),
        "early_r": early["rem_latency_min"],
        "early_r_by_period": early["rem_latency_period_min"],
        "errors": {
            name: {
                "mean": float(np.mean(values)) if values else None,
                "median": float(np.median(values)) if values else None,
                "p90": float(np.quantile(values, 0.9)) if values else None,
                "largest": max(values, default=None),
                "one_side_only": absent[name],
                **({"covered": intervals[name]["covered"]} if name in intervals else {}),
            }
            for name, values in errors.items()
        },
        **({"intervals": intervals} if intervals else {}),
    }


def coverage(pairs: Sequence[Pair]) -> dict[str, dict[str, float | None]]:
    """By figure: share of the nights whose interval holds the truth, and median width; empty without them."""
    inside: dict[str, list[bool]] = {}
    widths: dict[str, list[float]] = {}
    for meant, _, given in pairs:
        true = sleep_statistics(Hypnogram(tuple(meant)))
        minutes: Figures = {f"{stage.name}_min": value for stage, value in true.stage_min.items()}
        for name, one in given.items():
            if isinstance(one, Interval):
                value = minutes[name] if name in minutes else getattr(true, name)
                inside.setdefault(name, []).append(within(value, one))
                # An absent end is beyond every other: no width where both are.
                low, high = (np.inf if end is None else end for end in (one.low, one.high))
                widths.setdefault(name, []).append(0.0 if low == high else high - low)
    middles = {name: float(np.median(values)) for name, values in widths.items()}
    return {
        name: {
            "covered": float(np.mean(inside[name])),
            "width": middles[name] if np.isfinite(middles[name]) else None,
        }
        for name in inside
    }


def within(value: float | None, interval: Interval) -> bool:
    """Whether the interval holds a figure; one that is absent is longer than every other."""
    low, high, there = (np.inf if x is None else x for x in (interval.low, interval.high, value))
    return bool(low <= there <= high)


def report(title: str, results: dict[str, Any]) -> None:
    print(title)
    for name, figures in results.items():
        print(
            f"  {name}: kappa {figures['kappa'] or 0.0:.3f}, "
            f"early R in {figures['early_r']} of {figures['nights']}, "
            f"by period in {figures['early_r_by_period']}"
        )
        for figure, e in figures["errors"].items():
            if e["median"] is not None:
                print(
                    f"    {figure:<28} median {e['median']:6.1f}  mean {e['mean']:6.1f}  "
                    f"p90 {e['p90']:6.1f}  largest {e['largest']:6.1f}  "
                    f"on one side only {e['one_side_only']}"
                )
        for figure, e in figures.get("intervals", {}).items():
            width = "no end" if e["width"] is None else f"{e['width']:6.1f}"
            print(f"    {figure:<28} covered {100 * e['covered']:3.0f} %  median width {width}")


if __name__ == "__main__":
    raise SystemExit(main())
