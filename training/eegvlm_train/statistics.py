"""`python -m eegvlm_train statistics HYPNOGRAMS.npz OUT.json`: counts of real stage transitions."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["count_transitions", "main"]

_TRIM_EPOCHS = 60
_SOURCE = (
    "Sleep-EDF Database Expanded 1.0.0, sleep cassette, 39 nights of 20 people, ODC-By 1.0 "
    "(Kemp et al. 2000, Goldberger et al. 2000)"
)
_METHOD = (
    "30 s stages W N1 N2 N3 R (R&K 3 and 4 as N3), wake trimmed to 30 min around sleep, transitions counted "
    "per third of the trimmed night"
)


def _trim(stages: NDArray[np.int64]) -> NDArray[np.int64]:
    asleep = np.flatnonzero((stages > 0) & (stages < 5))
    if not len(asleep):
        return stages[:0]
    return stages[max(0, asleep[0] - _TRIM_EPOCHS) : asleep[-1] + 1 + _TRIM_EPOCHS]


def count_transitions(nights: Iterable[NDArray[np.integer]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Transitions per third of the night (3, 5, 5), and epochs (5,); values beyond 0-4 are unscored."""
    counts, prior = np.zeros((3, 5, 5), dtype=np.int64), np.zeros(5, dtype=np.int64)
    for night in nights:
        stages = _trim(np.asarray(night, dtype=np.int64))
        scored = (stages >= 0) & (stages < 5)
        pair = np.flatnonzero(scored[:-1] & scored[1:])
        third = np.minimum(2, 3 * pair // max(1, len(stages)))
        np.add.at(counts, (third, stages[pair], stages[pair + 1]), 1)
        prior += np.bincount(stages[pair], minlength=5)
    return counts, prior


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="eegvlm_train statistics", description=__doc__)
    parser.add_argument("hypnograms", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args(argv)
    with np.load(args.hypnograms) as file:
        counts, prior = count_transitions(file[name] for name in sorted(file.files))
    table = {"source": _SOURCE, "method": _METHOD, "prior": prior.tolist(), "counts": counts.tolist()}
    args.out.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    return 0
