"""Hypnograms with the course of real nights: cycles, bouts and awakenings depend on the night so far."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..stages import STAGES, Stage
from .history import FEATURES, History

__all__ = ["HABITS", "habits_of", "sample_hypnogram", "transition_counts"]

HABITS = ("W", "N1", "N3", "R", "changes")
"""A night's habits: log-odds of four stages' shares between sleep onset and the last sleep, and of the share
of epochs that begin another stage."""
_LEAST_SHARE = 0.004
# Most of the model's nights are of people past 50. How much more N3 and how much less wake and N1 a person of
# 25 has: sizes of ours, signs and order after Ohayon et al. 2004 (Sleep 27:1255).
_YOUTH = np.array([-0.9, -0.5, 1.4, 0.0, 0.0])


def transition_counts() -> NDArray[np.float64]:
    """Stage transitions of whole nights, (5, 5) counts: from stage, to stage."""
    counts = np.asarray(_table("transitions.json")["counts"], dtype=np.float64)
    return np.asarray(counts.sum(axis=0))


@cache
def _table(name: str) -> dict[str, Any]:
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text)
    return table


@cache
def _course() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Weights (5, 5, features + habits), the habits' mean (5,) and spread (5, 5), and shares of the first
    stage of sleep (5,)."""
    table = _table("course.json")
    if table["features"] != [*FEATURES, *HABITS]:
        raise ValueError("course.json: other features than the model's; run `eegvlm_train fit-simulator`")
    names = ("weights", "habits_mean", "habits_spread", "onset")
    weights, mean, spread, onset = (np.asarray(table[name], dtype=np.float64) for name in names)
    return weights, mean, spread, onset


def habits_of(stages: NDArray[np.integer]) -> NDArray[np.float64]:
    """The habits (5,) of a night from sleep onset to its last sleep; `stages` (n_epochs,), -1 unscored."""
    scored = stages[stages >= 0]
    shares = [float((scored == int(Stage[name])).mean()) for name in HABITS[:-1]]
    shares.append(float((scored[1:] != scored[:-1]).mean()))
    bounded = np.clip(shares, _LEAST_SHARE, 1.0 - _LEAST_SHARE)
    return np.asarray(np.log(bounded / (1.0 - bounded)))


def sample_hypnogram(
    rng: np.random.Generator, n_epochs: int, *, wake_epochs: int = 20, youth: float = 0.0
) -> NDArray[np.int8]:
    """One night of 30 s stages, shape (n_epochs,), values of `Stage`; begins and ends awake.

    `wake_epochs` is the wake before sleep; `youth` is 1 at 25 years and 0 from 75 on. From sleep onset
    each stage is drawn given the night so far and the person's habits (`docs/simulator.md`): a model of 114
    nights of 58 people of the Sleep-EDF Database Expanded 1.0.0 (Kemp et al. 2000; Goldberger et al. 2000,
    ODC-By 1.0), of which only the coefficients are shipped.
    """
    if n_epochs < 1:
        raise ValueError(f"n_epochs: {n_epochs}; a night has at least one epoch")
    weights, mean, spread, onset = _course()
    stages = np.full(n_epochs, int(Stage.W), dtype=np.int8)
    habits = mean + youth * _YOUTH + spread @ rng.standard_normal(len(mean))
    # The habits stay all night: their part of the log-odds is worked out once.
    fixed, moving = weights[:, :, len(FEATURES) :] @ habits, weights[:, :, : len(FEATURES)]
    lead = min(wake_epochs, n_epochs)
    draws = rng.random(n_epochs)
    if lead < n_epochs:
        stages[lead] = _pick(onset, draws[lead])
        history = History(Stage(int(stages[lead])))
        for i in range(lead + 1, n_epochs):
            odds = moving[history.stage] @ history.features() + fixed[history.stage]
            stages[i] = _pick(np.exp(odds - odds.max()), draws[i])
            history.advance(int(stages[i]))
    stages[max(0, n_epochs - wake_epochs // 4) :] = int(Stage.W)
    return stages


def _pick(shares: NDArray[np.float64], draw: float) -> int:
    cumulative = np.cumsum(shares)
    return min(len(STAGES) - 1, int(np.searchsorted(cumulative, draw * cumulative[-1], side="right")))
