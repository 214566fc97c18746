"""Sleep statistics: the AASM manual's numbers, and what unscored epochs do to them."""

from __future__ import annotations

import json
import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegvlm_rt.errors import InputError
from eegvlm_rt.hypnogram import (
    DEFINITIONS,
    NOT_ASSESSED,
    Hypnogram,
    LightsKnown,
    SleepStatistics,
    sleep_statistics,
)
from eegvlm_rt.stages import STAGES, Stage

W, N1, N2, N3, R = STAGES


def of(*runs: tuple[Stage | None, int]) -> Hypnogram:
    return Hypnogram(tuple(stage for stage, epochs in runs for _ in range(epochs)))


NIGHT = of((W, 20), (N1, 4), (N2, 40), (N3, 30), (W, 6), (R, 20), (W, 10))


def test_a_night_has_the_manuals_numbers():
    found = sleep_statistics(NIGHT)
    assert (found.recording_min, found.sleep_min, found.unscored_min) == (65.0, 47.0, 0.0)
    assert found.onset_latency_min == 10.0
    assert found.rem_latency_min == 40.0
    assert found.waso_min == 8.0
    assert found.efficiency_pct == pytest.approx(100 * 47 / 65)
    assert found.stage_min == {W: 18.0, N1: 2.0, N2: 20.0, N3: 15.0, R: 10.0}
    assert sum(found.stage_pct.values()) == pytest.approx(100.0)
    assert found.latencies_certain


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(STAGES), min_size=5, max_size=300))
def test_scored_nights_have_yasas_numbers(stages):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yasa = Hypnogram(tuple(stages)).to_yasa()
        theirs = yasa.sleep_statistics()
    ours = sleep_statistics(Hypnogram(tuple(stages)))
    np.testing.assert_allclose([ours.recording_min, ours.sleep_min], [theirs["TIB"], theirs["TST"]])
    np.testing.assert_allclose(ours.efficiency_pct, theirs["SE"], atol=1e-3)
    for stage, name in zip(STAGES, ("WAKE", "N1", "N2", "N3", "REM"), strict=True):
        np.testing.assert_allclose(ours.stage_min[stage], theirs[name])
    if ours.onset_latency_min is not None:
        np.testing.assert_allclose(ours.onset_latency_min, theirs["SOL"])
        np.testing.assert_allclose(
            [ours.stage_pct[s] for s in (N1, R)], [theirs["%N1"], theirs["%REM"]], atol=1e-3
        )
    if ours.rem_latency_min is not None:
        np.testing.assert_allclose(ours.rem_latency_min, theirs["Lat_REM"] - theirs["SOL"])
        np.testing.assert_allclose(ours.rem_latency_from_lights_off_min, theirs["Lat_REM"])
    same = {
        "SPT": ours.sleep_period_min,
        "WASO": ours.waso_in_sleep_period_min,
        "SME": ours.maintenance_pct,
        "SFI": ours.wake_transitions_per_h,
        "SOL_5min": ours.onset_latency_5min_min,
    }
    for name, value in same.items():
        np.testing.assert_allclose(np.nan if value is None else value, theirs[name], atol=1e-3)
    counts, shares = yasa.transition_matrix()
    names = ["WAKE", "N1", "N2", "N3", "REM"]
    where = [(i, j) for i in range(5) for j in range(5) if ours.transitions[i][j]]
    for i, j in where:
        assert counts.loc[names[i], names[j]] == ours.transitions[i][j]
        np.testing.assert_allclose(shares.loc[names[i], names[j]], ours.transition_shares[i, j], atol=1e-6)
    assert counts.to_numpy().sum() == np.sum(ours.transitions)


@given(st.lists(st.sampled_from(STAGES), min_size=1, max_size=300))
def test_without_unscored_epochs_waso_is_the_manuals_formula(stages):
    found = sleep_statistics(Hypnogram(tuple(stages)))
    if found.waso_min is not None:
        assert found.waso_min == found.recording_min - found.onset_latency_min - found.sleep_min


def test_unscored_epochs_belong_to_the_recording_and_to_nothing_else():
    found = sleep_statistics(of((W, 4), (N2, 4), (None, 2), (W, 2), (R, 4)))
    assert (found.recording_min, found.scored_min, found.unscored_min) == (8.0, 7.0, 1.0)
    assert (found.waso_min, found.sleep_min) == (1.0, 4.0)
    assert (found.efficiency_pct, found.efficiency_scored_pct) == (50.0, pytest.approx(100 * 4 / 7))
    assert not found.latencies_certain


def test_unscored_epochs_after_the_first_rem_leave_the_latencies_certain():
    assert sleep_statistics(of((N2, 2), (R, 2), (None, 3))).latencies_certain


def test_a_night_without_sleep_has_no_latencies_and_no_shares():
    found = sleep_statistics(of((W, 10)))
    assert (found.onset_latency_min, found.rem_latency_min, found.waso_min, found.stage_pct) == (None,) * 4
    assert found.efficiency_pct == 0.0


def test_a_night_nobody_could_score_has_no_efficiency_of_its_scored_part():
    found = sleep_statistics(of((None, 4)))
    assert (found.scored_min, found.efficiency_scored_pct) == (0.0, None)


def test_lights_off_and_on_bound_what_counts():
    found = sleep_statistics(NIGHT, lights_off=16, lights_on=120)
    assert (found.recording_min, found.onset_latency_min, found.waso_min) == (52.0, 2.0, 3.0)


@pytest.mark.parametrize(
    "bounds", [{"lights_off": 130}, {"lights_on": 0}, {"lights_on": 131}, {"lights_off": -1}]
)
def test_lights_outside_the_night_are_refused(bounds):
    with pytest.raises(InputError, match="within 0 to 130"):
        sleep_statistics(NIGHT, **bounds)


def test_statistics_are_json():
    assert json.loads(json.dumps(sleep_statistics(NIGHT).to_dict()))["stage_pct"]["N1"] == pytest.approx(
        200 / 47
    )


class TestLatencies:
    STRAY = of((W, 20), (N1, 1), (W, 9), (N1, 3), (W, 2), (N2, 10), (W, 1), (N2, 40), (R, 1), (N2, 9), (R, 6))

    def test_one_stray_epoch_moves_the_first_sleep_and_no_other_onset(self):
        found = sleep_statistics(self.STRAY)
        assert found.onset_latency_min == 10.0
        assert found.onset_latency_3_epochs_min == 15.0
        assert found.onset_latency_5min_min == 17.5
        assert found.persistent_sleep_latency_min == 23.0

    def test_rem_latency_counts_from_the_first_sleep_or_from_lights_off(self):
        found = sleep_statistics(self.STRAY)
        assert found.rem_latency_min == (86 - 20) / 2
        assert found.rem_latency_from_lights_off_min == 43.0
        assert found.rem_latency_3_epochs_min == (96 - 20) / 2
        assert found.rem_latency_period_min is None
        assert found.stage_latency_min == {N1: 0.0, N2: 7.5, N3: None, R: 33.0}

    def test_a_period_of_r_needs_seven_of_ten_epochs_and_begins_with_r(self):
        # Epochs 20, 25 and 26 are stray; of 60 to 69 seven are R.
        night = of((N1, 20), (R, 1), (N2, 4), (R, 2), (N2, 33), (R, 3), (N2, 3), (R, 4), (N2, 20))
        found = sleep_statistics(night)
        assert (found.rem_latency_min, found.rem_latency_3_epochs_min) == (10.0, 30.0)
        assert found.rem_latency_period_min == 30.0
        fewer = of((N1, 60), (R, 3), (N2, 4), (R, 3), (N2, 20))
        assert sleep_statistics(fewer).rem_latency_period_min is None
        assert sleep_statistics(of((N1, 2), (R, 7))).rem_latency_period_min is None
        assert sleep_statistics(of((N1, 3), (R, 7))).rem_latency_period_min == 1.5

    def test_an_unscored_epoch_is_no_sleep_and_breaks_a_run(self):
        found = sleep_statistics(of((N2, 2), (None, 1), (N2, 3), (W, 1), (N2, 19), (None, 1), (N2, 20)))
        assert found.onset_latency_3_epochs_min == 1.5
        assert found.persistent_sleep_latency_min == 13.5


class TestWake:
    def test_wake_is_counted_to_lights_on_and_to_the_last_sleep(self):
        found = sleep_statistics(of((W, 4), (N2, 10), (W, 3), (N2, 10), (W, 1), (N1, 1), (W, 20)))
        assert (found.waso_min, found.waso_in_sleep_period_min, found.final_wake_min) == (12.0, 2.0, 10.0)
        assert found.awakenings == 2
        assert found.sleep_period_min == 12.5
        assert found.maintenance_pct == pytest.approx(100 * 10.5 / 12.5)

    def test_fragmentation_counts_what_becomes_lighter_per_hour_of_sleep(self):
        found = sleep_statistics(of((N1, 2), (N2, 60), (N1, 2), (W, 2), (N1, 2), (N3, 52), (R, 2), (N1, 2)))
        hours = 122 / 120
        assert found.wake_transitions_per_h == pytest.approx(1 / hours)
        assert found.fragmentation_per_h == pytest.approx(3 / hours)
        assert found.stage_shifts == 7


class TestCourse:
    def test_transitions_are_counted_between_scored_epochs_that_follow_each_other(self):
        found = sleep_statistics(of((W, 2), (N1, 1), (None, 1), (N1, 1), (N2, 3)))
        assert found.transitions[W] == (1, 1, 0, 0, 0)
        assert found.transitions[N1] == (0, 0, 1, 0, 0)
        assert found.transitions[N2] == (0, 0, 2, 0, 0)
        assert found.transition_shares[W].tolist() == [0.5, 0.5, 0, 0, 0]
        assert np.isnan(found.transition_shares[R]).all()

    def test_cycles_end_with_their_rem_period(self):
        night = of((W, 10), (N2, 60), (R, 4), (N2, 20), (R, 6), (N2, 40), (W, 4), (R, 20), (N2, 40), (W, 5))
        cycles = sleep_statistics(night, lights_off=4).cycles
        assert [(c.start, c.rem_start, c.end, c.complete) for c in cycles] == [
            (10, 70, 100, True),
            (100, 144, 164, True),
            (164, None, 204, False),
        ]
        assert (cycles[0].nrem_min, cycles[0].rem_min, cycles[0].duration_min) == (40.0, 5.0, 45.0)

    def test_a_stray_rem_epoch_makes_no_cycle_after_the_first(self):
        cycles = sleep_statistics(of((N2, 60), (R, 20), (N2, 60), (R, 1), (N2, 60), (R, 20))).cycles
        assert [(c.rem_start, c.end) for c in cycles] == [(60, 80), (201, 221)]

    def test_thirds_share_the_sleep_period(self):
        found = sleep_statistics(of((W, 30), (N3, 30), (N2, 30), (R, 30), (W, 30)))
        assert [max(third, key=third.get) for third in found.third_min] == [N3, N2, R]
        assert sum(sum(third.values()) for third in found.third_min) == found.sleep_period_min

    @given(st.lists(st.sampled_from([*STAGES, None]), min_size=1, max_size=400))
    def test_cycles_follow_each_other_and_hold_what_the_night_holds(self, stages):
        found = sleep_statistics(Hypnogram(tuple(stages)))
        ends = [0, *(c.end for c in found.cycles)]
        assert all(before <= c.start < c.end for before, c in zip(ends, found.cycles, strict=False))
        assert sum(c.rem_min for c in found.cycles) <= found.stage_min[R]
        assert all(c.complete for c in found.cycles[:-1])
        pairs = sum(a is not None and b is not None for a, b in pairwise(stages))
        assert sum(sum(row) for row in found.transitions) == pairs


class TestStated:
    def test_every_figure_has_its_definition(self):
        fields = set(SleepStatistics.__slots__) - {
            "lights_off",
            "lights_on",
            "lights_off_known",
            "lights_on_known",
            "latencies_certain",
        }
        assert fields == set(DEFINITIONS)

    def test_lights_that_nobody_gave_are_unknown(self):
        found = sleep_statistics(NIGHT, lights_off=16)
        assert (found.lights_off_known, found.lights_on_known) == ("given", "unknown")
        taken = sleep_statistics(NIGHT, lights_off=16, lights_off_known=LightsKnown.TAKEN)
        assert taken.lights_off_known == "taken"

    def test_what_one_channel_cannot_give_is_not_assessed_and_never_0(self):
        plain = sleep_statistics(NIGHT).to_dict()
        assert set(plain["not_assessed"]) == set(NOT_ASSESSED)
        assert not any("arousal" in name or "apnea" in name for name in set(plain) - {"not_assessed"})
