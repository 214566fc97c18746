"""`python -m eegvlm_train fit-cycles TABLES`: the cycles of real nights, for the offline step of the runtime.

Transitions by the time since sleep onset, or since the last R, come from the experts' stages of people 20-82
in the tables. How much the probabilities of an epoch count is chosen on simulated signals with stages of the
same people, staged by the bundle's stage head with its memory. Writes `eegvlm_rt/calibration/cycles.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import eegvlm_rt.calibration
from eegvlm_rt import Stager
from eegvlm_rt.calibration.cycles import AGES, DWELLS, GROUP_OF, NREM, REM, CycleModel, age_of
from eegvlm_rt.hypnogram import Hypnogram, SleepStatistics, cohen_kappa, sleep_statistics
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.stages import Stage

from ..outputs import add_overwrite, write_text
from .fit import in_bed
from .tables import SOURCE, TableNight, read_nights

__all__ = ["Pair", "choose", "fit_transitions", "main"]

GRID = {
    "evidence_rem": (0.2, 0.3, 0.45),
    "evidence_wake": (0.6, 0.8, 1.0),
    "odds_rem": (0.0, 0.1, 0.2, 0.3),
    "odds_wake": (-0.2, 0.0, 0.2, 0.4),
}
"""Values that are tried of what an epoch's probabilities count."""

BEGINS = 0.99
"""Probability that a recording begins before sleep onset, a choice of ours: one that begins asleep says so
within minutes."""

FIGURES = ("onset_latency_3_epochs_min", "rem_latency_min", "sleep_min", "waso_min")
EARLY_MIN = 15.0
ABSENT_MIN = 60.0
"""The error of a latency that one side has and the other has not."""

_BEFORE_ONSET = 1e-6
_PSEUDO = 5.0
_DIGITS = 7
_FIRST_SEED = 40_000

Pair = tuple[NDArray[np.int8], NDArray[np.float64]]
"""A night: stages that were meant (n,), -1 unscored, and probabilities that were given (n, 5)."""


def fit_transitions(nights: Sequence[NDArray[np.integer]]) -> dict[str, Any]:
    """The transitions of `CycleModel` from hypnograms that begin awake, -1 where unscored."""
    before, rem = np.zeros(3), np.zeros((DWELLS, 3))
    cycles = np.zeros((2, AGES, 2, 3))
    for stages in nights:
        groups = np.where(stages < 0, -1, GROUP_OF[np.maximum(stages, 0)]).tolist()
        asleep, rem_seen, age, dwell = False, False, 0, 0
        for group, then in pairwise(groups):
            if group == REM:
                asleep = rem_seen = True
                age, dwell = -1, dwell + 1
            else:
                age, dwell = age + 1 if asleep else 0, 0
                asleep = asleep or group == NREM
            if group < 0 or then < 0:
                continue
            if not asleep:
                before[then] += 1
            elif group == REM:
                rem[min(dwell, DWELLS) - 1, then] += 1
            else:
                cycles[int(rem_seen), age_of(age), group, then] += 1
    first, later = (_by_age(counts) for counts in cycles)
    before += _BEFORE_ONSET * before.sum()
    rem += 0.5
    return {
        "before": _rounded(before / before.sum()),
        "first": _rounded(first),
        "later": _rounded(later),
        "rem": _rounded(rem / rem.sum(axis=1, keepdims=True)),
    }


def _by_age(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """(ages, 2, 3) shares: each age with its neighbors, the more of them the older, and a few of all ages."""
    ages = np.arange(AGES)
    width = 0.5 + ages / 8.0
    kernel = np.exp(-0.5 * ((ages[:, None] - ages) / width[:, None]) ** 2)
    near = np.einsum("ab,bst->ast", kernel, counts)
    pooled = counts.sum(axis=0) + 0.5
    total = near + _PSEUDO * pooled / pooled.sum(axis=1, keepdims=True)
    return np.asarray(total / total.sum(axis=2, keepdims=True))


def _rounded(values: NDArray[np.float64]) -> Any:
    return np.round(values, _DIGITS).tolist()


def choose(
    transitions: dict[str, Any], pairs: Sequence[Pair], grid: Mapping[str, Sequence[float]] = GRID
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """The values of `grid` with the least loss, and the figures of the nights without the step and with it.

    The loss is the mean ratio of the errors of `FIGURES` with the step to those without, plus the share of
    nights with an R within 15 min of sleep onset that was not meant. Settings that lower kappa are left out
    unless all do.
    """
    without = _figures([(meant, _most_probable(table)) for meant, table in pairs])
    best: tuple[float, dict[str, float], dict[str, float]] | None = None
    for values in product(*grid.values()):
        setting = {"begins": BEGINS, **dict(zip(grid, values, strict=True))}
        model = CycleModel.from_dict(transitions | setting)
        figures = _figures([(meant, _most_probable(model.probabilities(table))) for meant, table in pairs])
        ratios = [figures[name] / max(without[name], 0.5) for name in FIGURES]
        loss = float(np.mean(ratios)) + figures["early_share"] + 10.0 * (figures["kappa"] < without["kappa"])
        if best is None or loss < best[0]:
            best = loss, setting, figures
    assert best is not None
    return best[1], {"without": without, "with": best[2]}


def _most_probable(table: NDArray[np.float64]) -> NDArray[np.int8]:
    finite = ~np.isnan(table).any(axis=1)
    return np.where(finite, np.nan_to_num(table).argmax(axis=1), -1).astype(np.int8)


def _figures(pairs: Sequence[tuple[NDArray[np.int8], NDArray[np.int8]]]) -> dict[str, float]:
    """Kappa over all epochs, mean errors of `FIGURES` in minutes, and the share of nights with early R."""
    errors: dict[str, list[float]] = {name: [] for name in FIGURES}
    early = 0
    for meant, answer in pairs:
        true, ours = _statistics(meant), _statistics(answer)
        for name in FIGURES:
            a, b = getattr(true, name), getattr(ours, name)
            if a is not None or b is not None:
                errors[name].append(ABSENT_MIN if a is None or b is None else min(abs(a - b), ABSENT_MIN))
        early += _is_early(ours) and not _is_early(true)
    confusion = np.zeros((len(Stage), len(Stage)))
    for meant, answer in pairs:
        both = (meant >= 0) & (answer >= 0)
        np.add.at(confusion, (meant[both], answer[both]), 1)
    figures = {name: float(np.mean(values)) if values else 0.0 for name, values in errors.items()}
    return figures | {"kappa": cohen_kappa(confusion) or 0.0, "early_share": early / len(pairs)}


def _statistics(codes: NDArray[np.int8]) -> SleepStatistics:
    return sleep_statistics(Hypnogram(tuple(None if code < 0 else Stage(code) for code in codes.tolist())))


def _is_early(statistics: SleepStatistics) -> bool:
    return statistics.rem_latency_min is not None and statistics.rem_latency_min < EARLY_MIN


def _staged(nights: Sequence[TableNight], bundle: str, count: int) -> Iterator[Pair]:
    """Signals with the stages of `count` nights, spread over all, and what the bundle says of them."""
    stager = Stager.load(bundle, mode="head")
    for place in np.linspace(0, len(nights), count, endpoint=False).astype(int).tolist():
        meant = in_bed(nights[place].stages)
        # An unscored epoch sounds like the one before it, and does not count.
        latest = np.maximum.accumulate(np.where(meant >= 0, np.arange(len(meant)), 0))
        signal = simulate_night(_FIRST_SEED + place, stages=np.maximum(meant[latest], 0))
        rows = stager.predict_night(signal.samples_uv, sfreq=signal.sfreq).table()
        # What cannot be scored says nothing, as in the runtime.
        table = np.where((rows["stage"] >= 0)[:, None], rows["raw_proba"], np.nan)
        yield meant[: len(table)], table


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="eegvlm_train fit-cycles", description=__doc__)
    parser.add_argument("tables", type=Path, help="folder of bandpower.npz")
    own = Path(eegvlm_rt.calibration.__file__).with_name("cycles.json")
    parser.add_argument("out", type=Path, nargs="?", default=own, help="file of the result")
    parser.add_argument("--bundle", default="nano", help="name or folder of the bundle")
    parser.add_argument("--nights", type=int, default=57, help="nights that are simulated (default: 57)")
    add_overwrite(parser)
    args = parser.parse_args(argv)
    nights = read_nights(args.tables, "fit")
    transitions = fit_transitions([in_bed(night.stages) for night in nights])
    pairs = []
    for pair in _staged(nights, args.bundle, min(args.nights, len(nights))):
        pairs.append(pair)
        print(f"{len(pairs)} of {args.nights} nights staged", file=sys.stderr, flush=True)
    setting, figures = choose(transitions, pairs)
    people = len({night.person for night in nights})
    table = {
        "source": f"{SOURCE}: {len(nights)} nights of {people} people",
        "method": "experts' stages in bed, 30 min of wake around sleep; what follows wake, NREM and R by the "
        f"time since sleep onset or the last R; the numbers chosen on {len(pairs)} simulated signals with "
        f"stages of these nights, staged by {args.bundle}, head and memory",
        "figures": {which: {k: round(v, 3) for k, v in one.items()} for which, one in figures.items()},
        **setting,
        **transitions,
    }
    write_text(args.out, json.dumps(table) + "\n", overwrite=args.overwrite)
    print(f"{args.out}: {setting}\n{table['figures']}")
    return 0
