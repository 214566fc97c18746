"""Predictions held against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from eegvlm_rt.stages import STAGES

if TYPE_CHECKING:
    from eegvlm_rt.prediction import StagePrediction


def said(prediction: StagePrediction) -> tuple[object, ...]:
    """What a prediction says, apart from the time it took and the last digits of its probabilities."""
    plain = prediction.to_dict()
    for name in ("timing", "probabilities", "head"):
        del plain[name]
    return tuple(plain.items())


def assert_same(found: list[StagePrediction], expected: list[StagePrediction], tolerance: float) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert said(one) == said(other)
        for stage in STAGES:
            assert one.probabilities[stage] == pytest.approx(other.probabilities[stage], abs=tolerance)
