"""Answers smoothed over the night by the runtime's own smoother, recording by recording."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from eegvlm_rt.calibration import CausalSmoother, Smoother, Smoothing, viterbi
from eegvlm_rt.calibration.cycles import cycle_stages
from eegvlm_rt.stages import STAGES, Stage

from .answers import Answers
from .epoch_sets import EvaluationSet
from .metrics import INVALID

__all__ = ["smooth_answers"]


def _evidence(answers: Answers, row: int) -> Mapping[Stage, float] | None:
    if answers.stages[row] == INVALID:
        return None
    return dict(zip(STAGES, answers.probabilities[row].tolist(), strict=True))


def smooth_answers(
    data: EvaluationSet, answers: Answers, smoother: Smoother, how: Smoothing, unscorable: NDArray[np.bool_]
) -> Answers:
    """Smoothed answers in the same order. Epochs without a reference, invalid ones and those of the mask
    `unscorable` (n,) are steps without evidence; every epoch gets a stage."""
    probabilities = np.zeros((len(data), len(STAGES)))
    for name in np.unique(data.recordings):
        rows = np.flatnonzero(data.recordings == name)
        rows = rows[np.argsort(data.places[rows])]
        evidence = [None if unscorable[row] else _evidence(answers, int(row)) for row in rows]
        steps = np.diff(data.places[rows], prepend=data.places[rows[0]] - 1)
        if how is Smoothing.CAUSAL:
            running = CausalSmoother(smoother)
            for row, one, step in zip(rows, evidence, steps, strict=True):
                shares = running.update(one, epochs=int(step))
                probabilities[row] = [shares[stage] for stage in STAGES]
            continue
        spread: list[Mapping[Stage, float] | None] = []
        for one, step in zip(evidence, steps, strict=True):
            spread.extend([None] * (int(step) - 1) + [one])
        places = np.cumsum(steps) - 1
        if how is Smoothing.CYCLES:
            course = cycle_stages(spread)
            for row, place in zip(rows, places, strict=True):
                probabilities[row] = [course[place][stage] for stage in STAGES]
            continue
        path = viterbi(smoother, spread)
        for row, place in zip(rows, places, strict=True):
            probabilities[row, int(path[place])] = 1.0
    return Answers(probabilities.argmax(axis=1).astype(np.int64), probabilities)
