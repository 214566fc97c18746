"""Simulated nights for training, and days awake among them."""

from pathlib import Path

import numpy as np
from eegvlm_train.prepare.simulate import waking_day, write_night

from eegvlm_rt.stages import Stage

HOURS = 0.1


def content(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return dict(file)


def test_a_day_awake_is_w_with_at_most_short_dips_into_n1() -> None:
    days = [waking_day(np.random.default_rng(seed), 900) for seed in range(40)]
    assert {int(stage) for day in days for stage in day} == {Stage.W, Stage.N1}
    assert all((day == Stage.W).mean() > 0.85 for day in days)
    without_dips = sum((day == Stage.W).all() for day in days)
    assert 12 <= without_dips <= 28


def test_with_a_share_of_one_every_night_is_a_day_awake(tmp_path: Path) -> None:
    for seed in range(3):
        intended = content(write_night(seed, tmp_path, HOURS, awake_share=1.0))["intended"]
        assert len(intended) == 12
        assert set(intended.tolist()) <= {Stage.W, Stage.N1}


def test_a_night_among_days_is_that_of_a_run_without_days(tmp_path: Path) -> None:
    for name in ("alone", "among"):
        (tmp_path / name).mkdir()
    same = []
    for seed in range(6):
        alone = content(write_night(seed, tmp_path / "alone", HOURS))
        among = content(write_night(seed, tmp_path / "among", HOURS, awake_share=0.5))
        same.append(all(np.array_equal(alone[name], among[name]) for name in alone))
    assert True in same
    assert False in same
