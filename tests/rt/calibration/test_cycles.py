"""The offline step that knows the cycles of a night: what it mends, what it leaves, what it needs."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from eegvlm_rt.calibration import cycle_model
from eegvlm_rt.calibration.cycles import AGE_EPOCHS, AGES, GROUP_OF, age_of, cycle_stages
from eegvlm_rt.stages import STAGES, Stage

W, N1, N2, N3, R = STAGES


def answers_of(*runs: tuple[Stage, int], sure: float = 0.8) -> np.ndarray:
    """Probabilities of runs of epochs (stage, how many): `sure` of the stage, the rest shared."""
    table = np.full((sum(n for _, n in runs), 5), (1.0 - sure) / 4)
    table[np.arange(len(table)), [int(stage) for stage, n in runs for _ in range(n)]] = sure
    return table


def stages_of(table: np.ndarray) -> list[Stage]:
    return [Stage(int(code)) for code in cycle_model().probabilities(table).argmax(axis=1)]


def test_one_epoch_of_r_soon_after_sleep_onset_is_no_r():
    night = answers_of((W, 30), (N1, 4), (N2, 6), (R, 1), (N2, 120), (R, 40), (N2, 40))
    stages = stages_of(night)
    assert R not in stages[:100]
    assert stages.index(R) == pytest.approx(161, abs=2)


def test_wake_at_the_start_that_was_taken_for_r_is_wake_or_sleep_but_no_r():
    night = answers_of((W, 5), (R, 6), (W, 5), (R, 4), (N2, 140), (R, 30))
    assert R not in stages_of(night)[:100]


def test_r_at_sleep_onset_that_lasts_stays():
    assert stages_of(answers_of((W, 30), (R, 60), (N2, 100), sure=0.9))[40:80] == [R] * 40


def test_a_short_awakening_stays_where_its_epochs_are_sure():
    night = answers_of((W, 20), (N2, 60), sure=0.9)
    night[50:52] = [0.98, 0.01, 0.005, 0.0025, 0.0025]
    assert [i for i, stage in enumerate(stages_of(night)) if stage is W] == [*range(20), 50, 51]


def test_how_deep_nrem_sleep_is_comes_from_the_epochs_alone():
    night = answers_of((W, 20), (N2, 50), (N3, 50), (N1, 10))
    found = cycle_model().probabilities(night)
    np.testing.assert_allclose(
        found[:, 1:4] / found[:, 1:4].sum(axis=1, keepdims=True),
        night[:, 1:4] / night[:, 1:4].sum(axis=1, keepdims=True),
        rtol=1e-9,
    )


def test_every_epoch_has_probabilities_that_sum_to_one_an_unscored_one_those_of_its_neighbors():
    night = answers_of((W, 20), (N2, 60), (R, 30))
    night[[0, 40, 41, 109]] = np.nan
    found = cycle_model().probabilities(night)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    assert found[40, 1:4].sum() > 0.9
    assert cycle_model().probabilities(np.empty((0, 5))).shape == (0, 5)


def test_a_recording_may_begin_asleep_even_in_r():
    assert stages_of(answers_of((R, 40), (N2, 60)))[5:35] == [R] * 30
    assert stages_of(answers_of((N2, 40), (R, 30)))[5:35] == [N2] * 30


def test_the_result_is_the_sum_over_all_courses():
    model = cycle_model()
    night = np.random.default_rng(0).dirichlet(np.ones(5), 5)
    likelihood, groups = model._likelihood(night), model._group_of_state
    weights = np.zeros((5, 3))
    for course in product(range(3), repeat=5):
        state = model._start * (groups == course[0]) * likelihood[0, course[0]]
        for epoch in range(1, 5):
            state = (
                (state @ model._forward[epoch % AGE_EPOCHS == 0])
                * (groups == course[epoch])
                * likelihood[epoch, course[epoch]]
            )
        weights[np.arange(5), course] += state.sum()
    expected = weights / weights.sum(axis=1, keepdims=True)
    found = model.probabilities(night)
    ours = np.stack([found[:, group == GROUP_OF].sum(axis=1) for group in range(3)], axis=1)
    np.testing.assert_allclose(ours, expected, rtol=1e-4)


def test_the_table_of_the_package_holds_probabilities_and_their_source():
    model = cycle_model()
    for rows in (model.before[None], model.first, model.later, model.rem):
        np.testing.assert_allclose(rows.sum(axis=-1), 1.0, atol=1e-5)
        assert (rows >= 0).all()
    # R comes within 10 min of sleep onset in fewer than one of a thousand epochs, after 80 min in one of 100.
    assert model.first[: age_of(20), 1, 2].max() < 1e-3 < 5e-3 < model.first[AGES - 1, 1, 2]


def test_answers_by_stage_become_probabilities_by_stage():
    answer = dict(zip(STAGES, [0.1, 0.1, 0.6, 0.1, 0.1], strict=True))
    rows = cycle_stages([answer] * 20 + [None])
    assert [max(row, key=row.__getitem__) for row in (rows[10], rows[19])] == [N2, N2]
    assert cycle_stages([]) == []
