"""Fits the course of real nights: each stage given the night so far, and the spread of people's habits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegvlm_rt.simulator.history import FEATURES, History
from eegvlm_rt.simulator.hypnogram import HABITS, habits_of
from eegvlm_rt.stages import STAGES, Stage

from .tables import SOURCE, TableNight, main_sleep

__all__ = ["fit_course", "transitions_of"]

_RIDGE = 1.0
_SMALLEST_SPREAD = 0.1
_METHOD = (
    "30 s stages W N1 N2 N3 R (R&K 3 and 4 as N3) from sleep onset to the last sleep of the longest sleep "
    "without an hour of wake; one multinomial logistic regression a stage, ridge 1; habits normal"
)


def _examples(stages: NDArray[np.int8]) -> tuple[list[list[float]], list[int], list[int]]:
    """Features of the night so far, the stage they were seen in, and the stage that followed."""
    features, now, following = [], [], []
    history = History(Stage(int(stages[0])))
    for stage in stages[1:]:
        # An unscored epoch resumes the stage before it and teaches nothing.
        stage_now = int(stage) if stage >= 0 else history.stage
        if stage >= 0:
            features.append(history.features())
            now.append(history.stage)
            following.append(stage_now)
        history.advance(stage_now)
    return features, now, following


def transitions_of(nights: Sequence[NDArray[np.integer]]) -> NDArray[np.int64]:
    """Counts (3, 5, 5) of stage transitions by third of the night."""
    counts = np.zeros((3, len(STAGES), len(STAGES)), dtype=np.int64)
    for stages in nights:
        pair = np.flatnonzero((stages[:-1] >= 0) & (stages[1:] >= 0))
        third = np.minimum(2, 3 * pair // max(1, len(stages)))
        np.add.at(counts, (third, stages[pair], stages[pair + 1]), 1)
    return counts


def fit_course(nights: Sequence[TableNight]) -> dict[str, Any]:
    """The table of `eegvlm_rt/simulator/course.json`."""
    from sklearn.linear_model import LogisticRegression

    sleeps = [night.stages[main_sleep(night.stages)] for night in nights]
    habits = np.stack([habits_of(stages) for stages in sleeps])
    rows, examples, following = [], [], []
    for stages, habit in zip(sleeps, habits, strict=True):
        features, now, then = _examples(stages)
        rows.append(np.hstack([np.asarray(features), np.broadcast_to(habit, (len(now), len(habit)))]))
        examples.append(now)
        following.append(then)
    x = np.concatenate(rows)
    stage, target = np.concatenate(examples), np.concatenate(following)
    scale = np.maximum(x.std(axis=0), _SMALLEST_SPREAD)
    weights = np.zeros((len(STAGES), len(STAGES), x.shape[1]))
    # Where no night ever went from one stage to another, the simulator does not either.
    weights[:, :, 0] = -30.0
    for one in range(len(STAGES)):
        chosen = stage == one
        kinds = np.unique(target[chosen])
        weights[one, kinds, 0] = 0.0
        if len(kinds) < 2:
            continue
        model = LogisticRegression(
            C=1.0 / _RIDGE, max_iter=200, fit_intercept=False, solver="newton-cholesky"
        )
        model.fit(x[chosen] / scale, target[chosen])
        # Two kinds have one row of coefficients, the odds of the second.
        weights[one, model.classes_[-len(model.coef_) :]] = model.coef_ / scale
    onset = np.bincount([int(stages[0]) for stages in sleeps], minlength=len(STAGES)) / len(sleeps)
    spread = np.linalg.cholesky(np.cov(habits.T) + 1e-9 * np.eye(habits.shape[1]))
    return {
        "source": f"{SOURCE}: {len(nights)} nights of {len({night.person for night in nights})} people",
        "method": _METHOD,
        "features": [*FEATURES, *HABITS],
        "weights": np.round(weights, 3).tolist(),
        "habits_mean": np.round(habits.mean(axis=0), 4).tolist(),
        "habits_spread": np.round(spread, 4).tolist(),
        "onset": np.round(onset, 4).tolist(),
    }
