"""Intervals of a night's statistics: hypnograms drawn from its probabilities."""

from __future__ import annotations

import json

import numpy as np
import pytest

from eegvlm_rt.errors import InputError
from eegvlm_rt.hypnogram import Hypnogram, Interval, sleep_statistics, statistics_intervals
from eegvlm_rt.hypnogram.intervals import NIGHT_SHARES, draw_hypnograms
from eegvlm_rt.stages import STAGES, Stage

W, N1, N2, N3, R = STAGES
SURE = {stage: tuple(float(stage is other) for other in STAGES) for stage in STAGES}
DOUBT = (0.5, 0.2, 0.3, 0.0, 0.0)


def night(*runs: tuple[Stage | None, int, tuple[float, ...] | None]) -> Hypnogram:
    return Hypnogram(
        tuple(stage for stage, epochs, _ in runs for _ in range(epochs)),
        None,
        tuple(row for _, epochs, row in runs for _ in range(epochs)),
    )


def test_each_epoch_has_each_stage_as_often_as_its_probability_says() -> None:
    drawn = draw_hypnograms(night((W, 50, DOUBT)), 4000, rng=np.random.default_rng(0))
    for stage in STAGES:
        shares = (drawn == stage).mean(axis=0)
        np.testing.assert_allclose(shares, DOUBT[stage], atol=0.04)


def test_errors_that_last_all_night_change_no_probability_of_an_epoch() -> None:
    drawn = draw_hypnograms(
        night((W, 50, DOUBT)), 4000, night_shares=NIGHT_SHARES, rng=np.random.default_rng(0)
    )
    for stage in STAGES:
        np.testing.assert_allclose((drawn == stage).mean(axis=0), DOUBT[stage], atol=0.04)


def test_the_larger_their_share_the_wider_a_sum_spreads() -> None:
    doubtful = night((W, 400, DOUBT))
    spreads = [
        (draw_hypnograms(doubtful, 400, night_shares=(share,) * 5, rng=np.random.default_rng(1)) == W)
        .mean(axis=1)
        .std()
        for share in (0.0, 0.3, 0.6, 1.0)
    ]
    assert spreads == sorted(spreads)
    # The whole noise lasts all night: a draw has one stage.
    assert spreads[-1] == pytest.approx(0.5, rel=0.1)


def test_neighbors_err_together_as_far_as_is_said() -> None:
    doubtful = night((W, 200, DOUBT))
    spread = {}
    for epochs in (0.01, 20.0, 1e6):
        drawn = draw_hypnograms(doubtful, 400, correlation_epochs=epochs, rng=np.random.default_rng(1))
        spread[epochs] = (drawn == W).mean(axis=1).std()
    assert spread[0.01] == pytest.approx(np.sqrt(0.25 / 200), rel=0.15)
    assert spread[0.01] < 0.5 * spread[20.0] < 0.5 * spread[1e6]
    assert spread[1e6] == pytest.approx(0.5, rel=0.1)


def test_a_night_that_is_sure_has_no_width() -> None:
    sure = night((W, 20, SURE[W]), (N2, 60, SURE[N2]), (R, 20, SURE[R]))
    found = sleep_statistics(sure)
    intervals = statistics_intervals(sure)
    sleep = intervals["sleep_min"]
    assert (sleep.low, sleep.estimate, sleep.high) == (found.sleep_min,) * 3
    assert intervals["rem_latency_3_epochs_min"].low == found.rem_latency_min == 30.0
    assert intervals["N2_min"].high == 30.0


def test_a_doubtful_night_has_width_around_what_its_probabilities_add_up_to() -> None:
    doubtful = night(
        (W, 40, (0.8, 0.2, 0, 0, 0)), (N2, 200, (0.1, 0.1, 0.7, 0.1, 0)), (R, 40, (0.1, 0, 0.2, 0, 0.7))
    )
    intervals = statistics_intervals(doubtful, draws=400)
    expected = {"W_min": 16 + 10 + 2, "N1_min": 4 + 10, "N2_min": 70 + 4, "N3_min": 10.0, "R_min": 14.0}
    for name, value in {**expected, "sleep_min": 140 - expected["W_min"]}.items():
        low, high = intervals[name].low, intervals[name].high
        assert low is not None
        assert high is not None
        assert low < value < high
        assert low < intervals[name].estimate < high
        assert high - low > 3


DOUBTFUL_NIGHT = night(
    (W, 40, (0.8, 0.2, 0, 0, 0)),
    (N2, 300, (0.1, 0.2, 0.6, 0.1, 0)),
    (R, 60, (0.1, 0.1, 0.2, 0, 0.6)),
    (None, 20, None),
    (N3, 20, None),
)
SUMS = ("sleep_min", "efficiency_pct", "waso_min", *(f"{stage.name}_min" for stage in STAGES))


def width(interval: Interval) -> float:
    assert interval.low is not None
    assert interval.high is not None
    return interval.high - interval.low


def test_errors_that_last_all_night_widen_sums_and_leave_estimates_and_latencies() -> None:
    by_night = statistics_intervals(DOUBTFUL_NIGHT)
    by_epoch = statistics_intervals(DOUBTFUL_NIGHT, night_shares=None)
    for name, interval in by_night.items():
        assert interval.estimate == by_epoch[name].estimate
        if name not in SUMS:
            assert interval == by_epoch[name]
        elif name != "N3_min":
            assert width(interval) > width(by_epoch[name])
    assert width(by_night["sleep_min"]) > 1.3 * width(by_epoch["sleep_min"])
    # What has no probabilities has no doubt: 20 epochs stay N3, and 20 count in nothing.
    assert by_night["N3_min"].low >= 10.0
    assert by_night["sleep_min"].high <= 210.0


@pytest.mark.parametrize("level", [0.01, 0.5, 0.9])
def test_an_interval_holds_its_estimate(level: float) -> None:
    for interval in statistics_intervals(DOUBTFUL_NIGHT, level=level, draws=20).values():
        low, middle, high = (
            np.inf if end is None else end for end in (interval.low, interval.estimate, interval.high)
        )
        assert low <= middle <= high


def test_other_probabilities_of_the_same_epochs_get_half_of_the_draws() -> None:
    wake, sleep = night((W, 40, SURE[W])), night((W, 40, SURE[N2]))
    minutes = statistics_intervals(wake, others=(sleep,))["N2_min"]
    assert (minutes.low, minutes.high) == (0.0, 20.0)
    assert statistics_intervals(wake, others=(sleep,))["onset_latency_min"].absent_share == 0.5


def test_an_unscored_epoch_stays_unscored_and_a_stage_without_probabilities_stays() -> None:
    mixed = night((W, 5, DOUBT), (None, 5, None), (N3, 5, None))
    drawn = draw_hypnograms(mixed, 50, rng=np.random.default_rng(2))
    lasting = draw_hypnograms(mixed, 50, night_shares=NIGHT_SHARES, rng=np.random.default_rng(2))
    assert (lasting[:, 5:] == drawn[:, 5:]).all()
    assert (drawn[:, 5:10] == -1).all()
    assert (drawn[:, 10:] == N3).all()
    assert len(np.unique(drawn[:, :5])) > 1
    bare = Hypnogram((W, N2, None))
    assert (draw_hypnograms(bare, 20, rng=np.random.default_rng(3)) == [0, 2, -1]).all()


def test_rem_that_most_draws_lack_has_no_upper_end() -> None:
    rare = night((N2, 100, (0, 0, 0.99, 0, 0.01)))
    interval = statistics_intervals(rare)["rem_latency_3_epochs_min"]
    assert interval.estimate is None
    assert interval.high is None
    assert interval.absent_share > 0.5


def test_the_same_seed_gives_the_same_intervals_as_json() -> None:
    doubtful = night((W, 40, DOUBT))
    one, two = ({n: i.to_dict() for n, i in statistics_intervals(doubtful).items()} for _ in range(2))
    assert json.loads(json.dumps(one)) == two


@pytest.mark.parametrize("wrong", [{"level": 0.0}, {"level": 1.0}, {"draws": 5}, {"lights_on": 99}])
def test_what_cannot_be_asked_is_refused(wrong: dict) -> None:
    with pytest.raises(InputError):
        statistics_intervals(night((W, 10, DOUBT)), **wrong)
