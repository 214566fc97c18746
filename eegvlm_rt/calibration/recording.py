"""Predictions of a recording with the course of the night taken into account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import BundleError, InputError
from ..prediction import Outcome
from ..stages import STAGES
from .cycles import cycle_stages
from .smoothing import CausalSmoother, Smoothing, viterbi

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..prediction import StagePrediction
    from ..stages import Stage
    from .parameters import Scoring
    from .smoothing import Smoother

__all__ = ["scored_probabilities", "smoothed"]


def scored_probabilities(prediction: StagePrediction) -> Mapping[Stage, float] | None:
    """What an epoch says to the smoother: its probabilities if it was scored, else nothing."""
    return prediction.probabilities if prediction.outcome is Outcome.SCORED else None


def smoothed(predictions: Iterable[StagePrediction], scoring: Scoring, how: str) -> Iterator[StagePrediction]:
    """The same predictions with `smoothed` filled, in order.

    "viterbi" gives the stage of the most probable course the probability 1. "cycles" needs no smoother in the
    bundle.

    Raises:
        InputError: another way of smoothing. BundleError: the bundle has no smoother.
    """
    if how not in tuple(Smoothing):
        raise InputError("smooth", how, f"use one of {', '.join(Smoothing)}, or None")
    if how == Smoothing.CYCLES:
        return _cycles(predictions)
    if scoring.smoother is None:
        raise BundleError(
            "scoring.smoother", "none", "this bundle has no smoother; export one that was fitted"
        )
    return (_causal if how == Smoothing.CAUSAL else _viterbi)(predictions, scoring.smoother)


def _causal(predictions: Iterable[StagePrediction], smoother: Smoother) -> Iterator[StagePrediction]:
    running = CausalSmoother(smoother)
    for prediction in predictions:
        yield prediction.with_fields(smoothed=running.update(scored_probabilities(prediction)))


def _cycles(predictions: Iterable[StagePrediction]) -> Iterator[StagePrediction]:
    rows = list(predictions)
    for prediction, probabilities in zip(
        rows, cycle_stages([scored_probabilities(row) for row in rows]), strict=True
    ):
        yield prediction.with_fields(smoothed=probabilities)


def _viterbi(predictions: Iterable[StagePrediction], smoother: Smoother) -> Iterator[StagePrediction]:
    rows = list(predictions)
    for prediction, best in zip(
        rows, viterbi(smoother, [scored_probabilities(row) for row in rows]), strict=True
    ):
        yield prediction.with_fields(smoothed={stage: float(stage is best) for stage in STAGES})
