"""Seconds without a decision: an alarm within two epochs, and none while all is well."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from eegvlm_rt.service.config import NO_DECISION_S
from eegvlm_rt.service.decision_wait import DecisionWait

GONE_S = 15.0


def counts(
    decisions: list[float], until: int, *, silences: tuple[tuple[float, float], ...] = (), night: str = "a"
) -> list[float]:
    """The count at every second from 0 on, where samples come but for some silences (from, to)."""
    wait, found = DecisionWait(), []
    for now in range(until):
        quiet_s = max((now - begin for begin, end in silences if begin <= now < end), default=0.0)
        decided = [at for at in decisions if at <= now]
        found.append(
            wait.look(
                float(now),
                night=night,
                decided_at=decided[-1] if decided else None,
                quiet_s=quiet_s,
                silent=quiet_s > GONE_S,
            )
        )
    return found


@pytest.mark.parametrize("seed", range(20))
def test_no_delay_within_the_deadline_is_an_alarm(seed: int) -> None:
    """Decisions every 30 s, each up to 20 s late, as the default deadline allows."""
    rng = random.Random(seed)
    decisions = sorted(30 * (k + 1) + 1.3 + rng.choice([0.2, 3.0, 20.0]) for k in range(40))
    assert max(b - a for a, b in pairwise(decisions)) > 40
    assert max(counts(decisions, 1200)) < NO_DECISION_S - 5


def test_a_model_that_falls_silent_is_an_alarm_within_60_s_of_its_last_decision() -> None:
    found = counts([31.0, 61.5], 200)
    first = next(i for i, seconds in enumerate(found) if seconds > NO_DECISION_S)
    assert first - 61.5 <= 60


def test_a_model_that_never_decides_is_an_alarm_within_60_s_of_the_first_sample() -> None:
    assert next(i for i, seconds in enumerate(counts([], 100)) if seconds > NO_DECISION_S) <= 60


def test_a_source_that_is_gone_and_comes_back_is_no_such_alarm() -> None:
    """29 s of the epoch were there; it is decided at the latest a deadline after the source is back."""
    for away in (20, 59, 61, 300):
        found = counts([31.0, 60.0 + away + 20.0], 120 + away, silences=((60.0, 60.0 + away),))
        assert max(found) < NO_DECISION_S


def test_pauses_that_come_again_and_again_do_not_hide_a_dead_model() -> None:
    silences = tuple((at, at + 12.0) for at in range(70, 400, 40))
    found = counts([31.0, 61.0], 200, silences=silences)
    assert next(i for i, seconds in enumerate(found) if seconds > NO_DECISION_S) - 61 <= 60


def test_time_in_which_the_source_was_told_to_be_gone_does_not_count() -> None:
    found = counts([31.0], 400, silences=((50.0, 250.0),))
    first = next(i for i, seconds in enumerate(found) if seconds > NO_DECISION_S)
    assert first == pytest.approx(31 + 58 + 200, abs=3)


def test_a_new_night_begins_to_count_anew() -> None:
    wait = DecisionWait()
    for now in range(50):
        wait.look(float(now), night="a", decided_at=None, quiet_s=0.0, silent=False)
    assert wait.seconds == 49
    assert wait.look(50.0, night="b", decided_at=None, quiet_s=0.0, silent=False) == 0
    assert wait.look(51.0, night=None, decided_at=None, quiet_s=0.0, silent=False) == 0
