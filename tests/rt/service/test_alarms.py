"""Alarms: conditions, latching, acknowledgement, pauses."""

from __future__ import annotations

import pytest

from eegvlm_rt.service.alarms import ADVICE, PRIORITIES, Alarm, AlarmKind, Alarms, AlarmState, Priority
from eegvlm_rt.service.config import AlarmSettings


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("eegvlm_rt.service.alarms.time.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def states(told: list[Alarm]) -> list[AlarmState]:
    return [alarm.state for alarm in told]


def test_every_kind_has_a_priority_and_advice() -> None:
    assert set(PRIORITIES) == set(ADVICE) == set(AlarmKind)
    assert not [kind for kind in AlarmKind if "stage" in kind], "a stage is never an alarm"


def test_a_condition_that_lasts_is_told_once_and_once_when_over(clock: Clock) -> None:
    told: list[Alarm] = []
    alarms = Alarms(told.append)
    for second in range(10):
        alarms.set(AlarmKind.SOURCE_GONE, "one", True, f"{second} s")
    assert states(told) == [AlarmState.ACTIVE]
    assert alarms.current()[0].detail == "9 s"
    alarms.set(AlarmKind.SOURCE_GONE, "one", False)
    clock.now += 1
    alarms.set(AlarmKind.SOURCE_GONE, "one", True)
    alarms.set(AlarmKind.SOURCE_GONE, "one", False)
    clock.now += 4
    alarms.set(AlarmKind.SOURCE_GONE, "one", False)
    assert states(told) == [AlarmState.ACTIVE, AlarmState.OVER]
    assert alarms.current() == []


def test_a_latching_alarm_stays_until_somebody_has_seen_it(clock: Clock) -> None:
    told: list[Alarm] = []
    alarms = Alarms(told.append)
    alarms.tell(AlarmKind.SAFE_MODE, "", "died")
    clock.now += 4
    alarms.settle()
    assert [alarm.state for alarm in alarms.current()] == [AlarmState.LATCHED]
    alarms.set(AlarmKind.SAFE_MODE, "", True, "again")
    assert alarms.current()[0].count == 2
    assert alarms.acknowledge("safe_mode", "")
    assert alarms.current()[0].state is AlarmState.ACKNOWLEDGED
    alarms.set(AlarmKind.SAFE_MODE, "", False)
    clock.now += 4
    alarms.settle()
    assert alarms.current() == []
    assert not alarms.acknowledge("safe_mode", "")
    assert not alarms.acknowledge("no such kind", "")


def test_rules_of_a_bed_change_priority_and_latching_and_switch_off(clock: Clock) -> None:
    alarms = Alarms(lambda _alarm: None)
    rules = AlarmSettings(
        priorities={"lag": "high"}, latching=frozenset({"lag"}), off=frozenset({"source_gone"})
    )
    alarms.set(AlarmKind.SOURCE_GONE, "one", True, rules=rules)
    assert alarms.current() == []
    alarms.set(AlarmKind.LAG, "one", True, rules=rules)
    assert alarms.current()[0].priority is Priority.HIGH
    alarms.set(AlarmKind.LAG, "one", False, rules=rules)
    clock.now += 4
    alarms.settle()
    assert alarms.current()[0].state is AlarmState.LATCHED


def test_a_pause_ends_and_what_is_still_there_is_told_again(clock: Clock) -> None:
    told: list[Alarm] = []
    alarms = Alarms(told.append)
    alarms.set(AlarmKind.SOURCE_GONE, "one", True)
    assert alarms.pause("one", 120) == 120
    assert alarms.pause("one", 1e9) == 1800
    assert alarms.paused_s("one") == 1800
    assert alarms.paused_s("two") == 0
    clock.now += 1801
    alarms.settle()
    assert states(told) == [AlarmState.ACTIVE, AlarmState.ACTIVE]
    assert told[1].number > told[0].number


def test_the_most_urgent_comes_first_and_a_bed_may_go() -> None:
    alarms = Alarms(lambda _alarm: None)
    alarms.set(AlarmKind.LAG, "one", True)
    alarms.set(AlarmKind.NO_DECISION, "one", True)
    alarms.set(AlarmKind.SOURCE_GONE, "two", True)
    assert [alarm.kind for alarm in alarms.current()] == ["source_gone", "no_decision", "lag"]
    alarms.forget("one")
    assert [alarm.bed for alarm in alarms.current()] == ["two"]
