"""Sleep statistics: the AASM manual's numbers, and what unscored epochs do to them."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegvlm_rt.errors import InputError
from eegvlm_rt.hypnogram import Hypnogram, sleep_statistics
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
        theirs = Hypnogram(tuple(stages)).to_yasa().sleep_statistics()
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
