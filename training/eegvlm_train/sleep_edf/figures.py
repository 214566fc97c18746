"""Figures of a night's course in which simulated and real hypnograms can be compared."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from eegvlm_rt.stages import STAGES, Stage

__all__ = ["COURSE_FIGURES", "course_figures", "course_of"]

_PER_HOUR = 120.0
_PERIOD_GAP_EPOCHS = 30
_LEAST_PERIOD_EPOCHS = 4

COURSE_FIGURES = (
    *(f"{stage.name} share" for stage in STAGES),
    "REM latency, min",
    "REM periods",
    "REM period, min",
    "cycle, min",
    "N3 in the first half, share",
    "R in the first half, share",
    *(f"{stage.name} bouts per hour" for stage in STAGES),
    *(f"{stage.name} bout, mean min" for stage in STAGES),
    *(f"{stage.name} bout, longest min" for stage in STAGES),
    "changes per hour",
)
"""Names of the figures of one night between sleep onset and the last sleep."""


def _bouts(stages: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Stage and length in epochs of each run of one stage."""
    borders = np.flatnonzero(np.diff(stages)) + 1
    starts = np.concatenate([[0], borders])
    lengths = np.diff(np.concatenate([starts, [len(stages)]]))
    return np.asarray(stages)[starts].astype(np.int64), lengths


def _rem_periods(stages: NDArray[np.integer]) -> list[tuple[int, int]]:
    """First and last epoch of each REM period: R with breaks of at most 15 min, at least 2 min of it."""
    rem = np.flatnonzero(stages == int(Stage.R))
    if not len(rem):
        return []
    parts = np.split(rem, np.flatnonzero(np.diff(rem) > _PERIOD_GAP_EPOCHS) + 1)
    return [(int(part[0]), int(part[-1])) for part in parts if len(part) >= _LEAST_PERIOD_EPOCHS]


def course_of(stages: NDArray[np.integer]) -> dict[str, float]:
    """`COURSE_FIGURES` of one night's sleep (n_epochs,), from sleep onset to the last sleep; nan where a
    night has none."""
    scored = stages[stages >= 0]
    kinds, lengths = _bouts(scored)
    hours = len(scored) / _PER_HOUR
    half = len(scored) // 2
    periods = _rem_periods(stages)
    ends = [last for _, last in periods]
    figures = {f"{stage.name} share": float((scored == int(stage)).mean()) for stage in STAGES}
    figures["REM latency, min"] = periods[0][0] / 2.0 if periods else float("nan")
    figures["REM periods"] = float(len(periods))
    figures["REM period, min"] = _mean([(last - first + 1) / 2.0 for first, last in periods])
    figures["cycle, min"] = _mean(list(np.diff(ends) / 2.0))
    for stage in (Stage.N3, Stage.R):
        all_of_it = scored == int(stage)
        share = all_of_it[:half].sum() / all_of_it.sum() if all_of_it.any() else float("nan")
        figures[f"{stage.name} in the first half, share"] = float(share)
    for stage in STAGES:
        own = lengths[kinds == int(stage)] / 2.0
        figures[f"{stage.name} bouts per hour"] = len(own) / hours
        figures[f"{stage.name} bout, mean min"] = _mean(list(own))
        figures[f"{stage.name} bout, longest min"] = float(own.max()) if len(own) else float("nan")
    figures["changes per hour"] = (len(kinds) - 1) / hours
    return {name: figures[name] for name in COURSE_FIGURES}


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def course_figures(nights: Iterable[NDArray[np.integer]]) -> dict[str, NDArray[np.float64]]:
    """Each figure of many nights, (n_nights,) without those that have none."""
    rows = [course_of(stages) for stages in nights]
    columns = {name: np.array([row[name] for row in rows]) for name in COURSE_FIGURES}
    return {name: column[np.isfinite(column)] for name, column in columns.items()}
