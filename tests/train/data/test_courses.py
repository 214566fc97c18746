"""Stretches of nights: whole, in order, and absences that carry no loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from eegvlm_train.data.courses import Courses, MemoryBatches, draw_courses

LENGTHS = (40, 9, 30)
EPOCHS = sum(LENGTHS)


@pytest.fixture(scope="module")
def courses() -> Courses:
    """Three nights; a feature says the number of its epoch."""
    rng = np.random.default_rng(0)
    return Courses(
        features=np.arange(EPOCHS, dtype=np.float16)[:, None],
        stage_logits=rng.normal(size=(EPOCHS, 5)).astype(np.float32),
        teacher=rng.dirichlet(np.ones(5), EPOCHS).astype(np.float32),
        night=np.repeat(np.arange(3, dtype=np.int32), LENGTHS),
    )


def test_a_window_lies_in_one_night(courses: Courses) -> None:
    drawn = draw_courses(courses, 10, 3000, np.random.default_rng(0))
    starts = next(drawn)
    ends = starts + 9
    assert (courses.night[starts] == courses.night[ends]).all()
    # Every place where a whole window begins is drawn, the first and the last of a night too.
    assert set(starts.tolist()) == {*range(31), *range(49, 70)}


def test_a_window_longer_than_every_night_is_refused(courses: Courses) -> None:
    with pytest.raises(ValueError, match="window: 41; no night has so many epochs"):
        next(draw_courses(courses, 41, 2, np.random.default_rng(0)))


def test_batches_hold_the_epochs_in_order(courses: Courses) -> None:
    make = MemoryBatches(courses, window=10, absent_share=0.0, balance=0.0)
    batch = make(np.array([3, 49]), np.random.default_rng(0))
    assert batch.features[:, :, 0].tolist() == [list(range(3, 13)), list(range(49, 59))]
    np.testing.assert_array_equal(batch.teacher[1].numpy(), courses.teacher[49:59])
    np.testing.assert_array_equal(batch.stage_logits[0].numpy(), courses.stage_logits[3:13])
    assert (batch.present == 1.0).all()
    torch.testing.assert_close(batch.weight, torch.ones(2, 10))


def test_a_share_of_the_stretches_loses_epochs(
    courses: Courses,
) -> None:
    make = MemoryBatches(courses, window=40, absent_share=0.5, balance=0.0)
    batch = make(np.zeros(400, dtype=np.int64), np.random.default_rng(0))
    lost = (batch.present == 0.0).any(1)[:, 0]
    assert 0.4 < lost.float().mean() < 0.6
    assert set(batch.present.unique().tolist()) == {0.0, 1.0}


def test_balance_gives_rare_stages_more_weight(courses: Courses) -> None:
    teacher = np.eye(5, dtype=np.float32)[np.array([0] * 70 + [4] * 9)]
    one_sided = Courses(courses.features, courses.stage_logits, teacher, courses.night)
    batch = MemoryBatches(one_sided, 9, 0.0, 1.0)(np.array([0, 70]), np.random.default_rng(0))
    ratio = batch.weight[1].mean() / batch.weight[0].mean()
    assert ratio.item() == pytest.approx(70 / 9, rel=1e-3)
    assert batch.weight.mean().item() == pytest.approx(1.0, abs=1e-6)


def test_nights_are_joined_and_cut_into_stretches(courses: Courses) -> None:
    other = Courses(courses.features, courses.stage_logits, courses.teacher, courses.night + 3)
    joined = Courses.joined([courses, other])
    nights = list(joined.nights())
    assert [len(night) for night in nights] == [*LENGTHS, *LENGTHS]
    stretch = joined.stretch(nights[2], 25, 100)
    assert stretch.features[0, :, 0].tolist() == list(range(74, 79))
    assert stretch.present.shape == (1, 5, 1)
