"""What the probabilities are worth: calibration, temperature, coverage against accuracy, intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from eegvlm_rt.calibration.temperature import temper

from .metrics import INVALID, Score, calibration_error, score

__all__ = [
    "bootstrap_by_subject",
    "coverage_curve",
    "fit_temperature",
    "reliability",
    "soft_calibration_error",
]

_BINS = 10
_LEAST = 1e-12
_COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)
_RESAMPLES = 1000


def fit_temperature(probabilities: NDArray[np.floating], reference: NDArray[np.integer]) -> float:
    """The temperature with the least negative log likelihood of (n,) reference stages (Guo et al. 2017)."""
    rows = np.arange(len(reference))

    def loss(log_t: float) -> float:
        scaled = temper(probabilities, float(np.exp(log_t)))
        return -float(np.mean(np.log(np.maximum(scaled[rows, reference], _LEAST))))

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.1), np.log(10.0)), method="bounded").x))


def reliability(reference: NDArray[np.integer], probabilities: NDArray[np.floating]) -> list[list[float]]:
    """[mean confidence, share correct, n] of each of 10 equal bins of confidence that is not empty."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == reference
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    return [
        [float(confidence[bins == b].mean()), float(correct[bins == b].mean()), int((bins == b).sum())]
        for b in range(_BINS)
        if (bins == b).any()
    ]


def soft_calibration_error(soft: NDArray[np.floating], probabilities: NDArray[np.floating]) -> float:
    """Calibration error in which an answer is right by the probability that the reference gives it."""
    confidence = probabilities.max(axis=1)
    right = np.take_along_axis(soft, probabilities.argmax(axis=1)[:, None], axis=1)[:, 0]
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    return float(
        sum(
            (bins == b).mean() * abs(right[bins == b].mean() - confidence[bins == b].mean())
            for b in range(_BINS)
            if (bins == b).any()
        )
    )


def calibration(
    reference: NDArray[np.integer], soft: NDArray[np.floating], probabilities: NDArray[np.floating]
) -> dict[str, Any]:
    """ECE against the reference's stage and against its probabilities, Brier score, reliability bins."""
    squared = (probabilities - np.eye(INVALID)[np.asarray(reference)]) ** 2
    return {
        "ece": calibration_error(reference, probabilities),
        "soft_ece": soft_calibration_error(soft, probabilities),
        "brier": float(squared.sum(axis=1).mean()),
        "reliability": reliability(reference, probabilities),
    }


def coverage_curve(
    reference: NDArray[np.integer], stages: NDArray[np.integer], probabilities: NDArray[np.floating]
) -> list[dict[str, float]]:
    """Accuracy and kappa of the most confident epochs; invalid answers are the least confident ones."""
    confidence = np.where(stages == INVALID, -1.0, probabilities.max(axis=1))
    order = np.argsort(-confidence, kind="stable")
    rows = []
    for coverage in _COVERAGES:
        part = order[: max(1, round(coverage * len(order)))]
        figures = score(reference[part], stages[part])
        kappa = 0.0 if np.isnan(figures.kappa) else figures.kappa
        rows.append({"coverage": coverage, "n": figures.n, "accuracy": figures.accuracy, "kappa": kappa})
    return rows


def bootstrap_by_subject(
    reference: NDArray[np.integer], stages: NDArray[np.integer], subjects: NDArray[np.str_], seed: int = 0
) -> dict[str, Any]:
    """95 % percentile intervals of accuracy, kappa and macro F1 from 1,000 draws of whole subjects."""
    rng = np.random.default_rng(seed)
    names = np.unique(subjects)
    places = [np.flatnonzero(subjects == name) for name in names]
    draws: list[Score] = []
    for _ in range(_RESAMPLES if len(names) > 1 else 0):
        rows = np.concatenate([places[i] for i in rng.integers(0, len(names), len(names))])
        draws.append(score(reference[rows], stages[rows]))

    def interval(values: list[float]) -> list[float] | None:
        finite = [value for value in values if np.isfinite(value)]
        return [float(q) for q in np.quantile(finite, (0.025, 0.975))] if finite else None

    return {
        "subjects": len(names),
        "accuracy": interval([draw.accuracy for draw in draws]),
        "kappa": interval([draw.kappa for draw in draws]),
        "macro_f1": interval([draw.macro_f1 for draw in draws]),
    }
