"""How much of the noise of drawn hypnograms lasts all night: fitted on nights whose stages are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from eegvlm_rt.hypnogram import Hypnogram
from eegvlm_rt.hypnogram.intervals import draw_hypnograms
from eegvlm_rt.stages import STAGES, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["fit_shares", "interval_score"]

GRID: Final = (0.0, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8)
LEVEL: Final = 0.9

Known = tuple[list[Stage | None], tuple[Hypnogram, ...]]
"""Stages that were meant, and hypnograms of the same epochs with probabilities."""


def fit_shares(
    nights: Sequence[Known], *, grid: Sequence[float] = GRID, draws: int = 200, rounds: int = 2
) -> tuple[float, ...]:
    """(5,) shares of the grid with the least sum of scores of total sleep, WASO and the minutes of each
    stage, each divided by its score without shares; one stage after the other, `rounds` times. A stage
    without probabilities keeps the middle of the grid.
    """
    alone = _scores(nights, np.zeros(len(STAGES)), draws)

    def cost(shares: NDArray[np.float64]) -> float:
        return float((_scores(nights, shares, draws) / alone).sum())

    best = np.full(len(STAGES), grid[len(grid) // 2])
    least = cost(best)
    for stage in STAGES * rounds:
        for share in grid:
            shares = best.copy()
            shares[stage] = share
            if share != best[stage] and (score := cost(shares)) < least:
                best, least = shares, score
    return tuple(best.tolist())


def interval_score(draws: NDArray[np.float64], true: float, level: float = LEVEL) -> float:
    """Width of the middle `level` of the draws, and 2 / (1 - level) of what the truth is outside of it
    (Gneiting & Raftery 2007, JASA 102:359). The least is that of the right interval.
    """
    low, high = np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2])
    return float(high - low + 2.0 / (1.0 - level) * (max(0.0, low - true) + max(0.0, true - high)))


def _scores(nights: Sequence[Known], shares: NDArray[np.float64], draws: int) -> NDArray[np.float64]:
    """(7,) mean score of each sum; all shares see the same random numbers."""
    scores = []
    for number, (meant, sources) in enumerate(nights):
        rng = np.random.default_rng([0, number])
        drawn = np.concatenate(
            [
                draw_hypnograms(source, draws // len(sources), night_shares=shares.tolist(), rng=rng)
                for source in sources
            ]
        )
        true = np.array([[-1 if stage is None else int(stage) for stage in meant]])
        scores.append(
            [
                interval_score(column, float(value))
                for column, value in zip(_sums(drawn).T, _sums(true)[0], strict=True)
            ]
        )
    # A minute at least: it is what others are divided by.
    return np.asarray(np.maximum(np.mean(scores, axis=0), 1.0))


def _sums(codes: NDArray[np.integer]) -> NDArray[np.float64]:
    """(draws, 7) minutes of total sleep, WASO and each stage, of (draws, n) stages."""
    asleep, awake = codes > 0, codes == int(Stage.W)
    after = np.logical_or.accumulate(asleep, axis=1)
    counts = [asleep.sum(axis=1), (awake & after).sum(axis=1)]
    counts += [(codes == int(stage)).sum(axis=1) for stage in STAGES]
    return np.stack(counts, axis=1) / 2.0
