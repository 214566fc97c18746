"""Agreement of predicted stages with a reference; an answer that is no stage counts as wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegvlm_rt.hypnogram import cohen_kappa
from eegvlm_rt.stages import STAGES

__all__ = ["INVALID", "Score", "chance_calibration_error", "score"]

INVALID = len(STAGES)
_ECE_BINS = 10


@dataclass(frozen=True, slots=True)
class Score:
    """`confusion` (5, 6): reference stage by predicted stage, the last column for invalid answers. `kappa`
    is NaN where chance alone agrees fully; `f1` is None where neither side has the stage; `ece` is None
    without probabilities.
    """

    n: int
    invalid: int
    accuracy: float
    kappa: float
    macro_f1: float
    f1: tuple[float | None, ...]
    confusion: NDArray[np.int64]
    ece: float | None

    def to_dict(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "invalid": self.invalid,
            "accuracy": self.accuracy,
            "kappa": None if np.isnan(self.kappa) else self.kappa,
            "macro_f1": self.macro_f1,
            "f1": {stage.name: value for stage, value in zip(STAGES, self.f1, strict=True)},
            "confusion": self.confusion.tolist(),
            "ece": self.ece,
        }


def score(
    reference: NDArray[np.integer],
    predicted: NDArray[np.integer],
    probabilities: NDArray[np.floating] | None = None,
) -> Score:
    """Compare (n,) stages 0..4 with (n,) predictions 0..5, 5 being an invalid answer.

    Cohen's kappa (Cohen 1960) and F1 treat an invalid answer as a sixth class that the reference never has.
    ECE is the expected calibration error in 10 equal bins of the highest of (n, 5) `probabilities` (Guo et
    al. 2017).
    Raises ValueError when there is nothing to compare or lengths differ.
    """
    if len(reference) != len(predicted) or len(reference) == 0:
        raise ValueError(
            f"predicted: {len(predicted)} for {len(reference)} reference stages; give one for each"
        )
    confusion = np.zeros((INVALID, INVALID + 1), dtype=np.int64)
    np.add.at(confusion, (np.asarray(reference), np.asarray(predicted)), 1)
    n = len(reference)
    hits, rows, columns = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)[:INVALID]
    kappa = cohen_kappa(confusion)
    present = rows + columns
    f1 = tuple(float(2 * h / p) if p else None for h, p in zip(hits, present, strict=True))
    return Score(
        n=n,
        invalid=int(confusion[:, INVALID].sum()),
        accuracy=float(hits.sum() / n),
        kappa=float("nan") if kappa is None else kappa,
        macro_f1=float(np.mean([value for value in f1 if value is not None])),
        f1=f1,
        confusion=confusion,
        ece=None if probabilities is None else calibration_error(reference, probabilities),
    )


def calibration_error(reference: NDArray[np.integer], probabilities: NDArray[np.floating]) -> float:
    """Expected calibration error of the most probable stage, 10 equal bins of confidence."""
    correct = probabilities.argmax(axis=1) == np.asarray(reference)
    return _calibration_error(probabilities.max(axis=1).astype(np.float64), correct)


def chance_calibration_error(
    probabilities: NDArray[np.floating], *, draws: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """The calibration error that (n, 5) probabilities show by chance although they are right: mean and 95th
    percentile over `draws` of what happened.

    The error in bins is above 0 for the best model too, the more so the fewer the epochs: one below this mean
    says nothing, and one below this percentile does not say that the probabilities are wrong.
    """
    rng = np.random.default_rng(seed)
    confidence = probabilities.max(axis=1).astype(np.float64)
    errors = [_calibration_error(confidence, rng.random(len(confidence)) < confidence) for _ in range(draws)]
    return float(np.mean(errors)), float(np.quantile(errors, 0.95))


def _calibration_error(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    bins = np.minimum((confidence * _ECE_BINS).astype(int), _ECE_BINS - 1)
    gaps = [
        (bins == b).mean() * abs(correct[bins == b].mean() - confidence[bins == b].mean())
        for b in range(_ECE_BINS)
        if (bins == b).any()
    ]
    return float(sum(gaps))
