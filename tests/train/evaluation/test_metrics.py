"""Scores against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from eegvlm_train.evaluation.metrics import INVALID, calibration_error, chance_calibration_error, score


def test_perfect_answers() -> None:
    stages = np.array([0, 1, 2, 3, 4, 2])
    result = score(stages, stages)
    assert (result.n, result.invalid) == (6, 0)
    assert result.accuracy == result.kappa == result.macro_f1 == 1.0
    assert result.ece is None


def test_kappa_and_f1_of_a_small_table() -> None:
    reference = np.array([0] * 10 + [2] * 10)
    predicted = np.array([0] * 8 + [2] * 2 + [0] * 4 + [2] * 6)
    result = score(reference, predicted)
    assert result.accuracy == pytest.approx(0.7)
    assert result.kappa == pytest.approx(0.4)
    assert result.f1[0] == pytest.approx(16 / 22)
    assert result.f1[2] == pytest.approx(12 / 18)
    assert result.f1[1] is None
    assert result.macro_f1 == pytest.approx((16 / 22 + 12 / 18) / 2)


def test_invalid_answers_are_wrong() -> None:
    result = score(np.array([0, 0, 2, 2]), np.array([0, INVALID, 2, INVALID]))
    assert result.invalid == 2
    assert result.accuracy == 0.5
    assert result.confusion[0].tolist() == [1, 0, 0, 0, 0, 1]
    assert result.f1[0] == pytest.approx(2 / 3)


def test_one_stage_alone_has_no_kappa() -> None:
    result = score(np.zeros(3, dtype=int), np.zeros(3, dtype=int))
    assert np.isnan(result.kappa)
    assert result.to_dict()["kappa"] is None


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    probabilities = np.tile(np.array([0.8, 0.2, 0.0, 0.0, 0.0]), (10, 1))
    assert calibration_error(np.array([0] * 8 + [1] * 2), probabilities) == pytest.approx(0.0, abs=1e-9)
    assert calibration_error(np.array([0] * 5 + [1] * 5), probabilities) == pytest.approx(0.3)
    certain = np.eye(5)[[0, 1, 2]]
    assert calibration_error(np.array([0, 1, 2]), certain) == 0.0


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(ValueError, match="predicted: 2 for 3 reference stages"):
        score(np.zeros(3, dtype=int), np.zeros(2, dtype=int))
    with pytest.raises(ValueError, match="predicted: 0 for 0"):
        score(np.zeros(0, dtype=int), np.zeros(0, dtype=int))


def test_probabilities_that_are_right_show_an_error_by_chance_that_falls_with_the_epochs() -> None:
    rng = np.random.default_rng(0)
    few, many = rng.dirichlet(np.ones(5), 100), rng.dirichlet(np.ones(5), 10_000)
    (few_mean, few_p95), (many_mean, _) = chance_calibration_error(few), chance_calibration_error(many)
    assert 0.04 < few_mean < few_p95 < 0.2
    assert many_mean < few_mean / 5
    # What they show where the epochs are drawn from them is within.
    stages = np.array([rng.choice(5, p=row) for row in many])
    result = score(stages, many.argmax(axis=1), many)
    assert result.ece is not None
    assert result.ece < 3 * many_mean


def test_certainty_that_is_right_shows_no_error_by_chance() -> None:
    assert chance_calibration_error(np.eye(5)) == (0.0, 0.0)
