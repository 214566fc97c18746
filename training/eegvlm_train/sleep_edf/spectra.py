"""Fits how band powers differ between stages, and between people, in real nights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegvlm_rt.simulator.spectra import stage_medians
from eegvlm_rt.stages import STAGES

from .tables import BANDS, CHANNELS, SOURCE, TableNight

__all__ = ["fit_spectra", "night_medians", "normal_with_gaps", "slow_drift"]

_FACTORS = 8
_ROUNDS = 30
_RIDGE = 1e-3
_FEWEST_EPOCHS = 8
_METHOD = (
    "natural log of Welch band powers per 30 s, median by stage and night, counted from their mean over W, "
    "N1, N2, R and all bands: each night and channel has one unknown scale; normal distribution over nights, "
    "stages that a night lacks by expectation maximisation; its main components; drift: main "
    "component of the covariance of neighbouring epochs of one stage"
)

Float64 = NDArray[np.float64]


def night_medians(nights: Sequence[TableNight], channel: int) -> Float64:
    """`stage_medians` of each night, (n_nights, 5, 5)."""
    return np.stack([stage_medians(night.log_power[:, channel], night.stages) for night in nights])


def normal_with_gaps(rows: Float64) -> tuple[Float64, Float64]:
    """Mean (d,) and covariance (d, d) of rows (n, d) some of whose entries are nan."""
    finite = np.isfinite(rows)
    mean = np.nanmean(rows, axis=0)
    filled = np.where(finite, rows, mean)
    covariance = np.cov(filled.T) + _RIDGE * np.eye(rows.shape[1])
    for _ in range(_ROUNDS):
        added = np.zeros_like(covariance)
        for row, present in zip(filled, finite, strict=True):
            gap = ~present
            if not gap.any():
                continue
            # What a night lacks is expected from what it has; the doubt that stays is part of the spread.
            slope = np.linalg.solve(covariance[np.ix_(present, present)], covariance[np.ix_(present, gap)]).T
            row[gap] = mean[gap] + slope @ (row[present] - mean[present])
            added[np.ix_(gap, gap)] += covariance[np.ix_(gap, gap)] - slope @ covariance[np.ix_(present, gap)]
        mean = filled.mean(axis=0)
        centred = filled - mean
        covariance = (centred.T @ centred + added) / len(rows) + _RIDGE * np.eye(rows.shape[1])
    return mean, covariance


def slow_drift(nights: Sequence[TableNight], channel: int) -> Float64:
    """Main component of the slow change of log powers within each stage of a night, (5 stages, 5 bands).

    What two epochs in a row share, when both are of one stage, is slow: the covariance of neighbours has the
    drift's spread and not that of each epoch alone.
    """
    drift = np.zeros((len(STAGES), len(BANDS)))
    for stage in STAGES:
        shared = np.zeros((len(BANDS), len(BANDS)))
        pairs = 0
        for night in nights:
            rows = night.stages == int(stage)
            if rows.sum() < _FEWEST_EPOCHS:
                continue
            power = night.log_power[:, channel].astype(np.float64)
            apart = power - power[rows].mean(axis=0)
            both = np.flatnonzero(rows[:-1] & rows[1:])
            shared += apart[both].T @ apart[both + 1]
            pairs += len(both)
        values, vectors = np.linalg.eigh(0.5 * (shared + shared.T) / max(pairs, 1))
        main = vectors[:, -1] * np.sign(vectors[:, -1].sum())
        drift[int(stage)] = main * np.sqrt(max(values[-1], 0.0))
    return drift


def fit_spectra(nights: Sequence[TableNight]) -> dict[str, Any]:
    """The table of `eegvlm_rt/simulator/spectra.json`."""
    channels = {}
    for number, name in enumerate(CHANNELS):
        medians = night_medians(nights, number)
        mean, covariance = normal_with_gaps(medians.reshape(len(medians), -1))
        values, vectors = np.linalg.eigh(covariance)
        main = np.argsort(values)[::-1][:_FACTORS]
        factors = vectors[:, main] * np.sqrt(values[main])
        rest = np.sqrt(np.maximum(np.diag(covariance) - (factors**2).sum(axis=1), 0.0))
        channels[name] = {
            "mean": np.round(mean, 3).tolist(),
            "factors": np.round(factors, 3).tolist(),
            "rest": np.round(rest, 3).tolist(),
            "drift": np.round(slow_drift(nights, number), 3).tolist(),
        }
    return {
        "source": f"{SOURCE}: {len(nights)} nights of {len({night.person for night in nights})} people",
        "method": _METHOD,
        "bands": list(BANDS),
        "channels": channels,
    }
