"""Nights by the clock: dates, midnight, summer time."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegvlm_rt.service import Schedule

ZURICH = ZoneInfo("Europe/Zurich")


def at(text: str, zone: ZoneInfo = ZURICH) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


@pytest.mark.parametrize(
    ("now", "night"),
    [
        ("2026-11-28T21:59:59", None),
        ("2026-11-28T22:00:00", date(2026, 11, 28)),
        ("2026-11-28T23:59:59", date(2026, 11, 28)),
        ("2026-11-29T00:00:00", date(2026, 11, 28)),
        ("2026-11-29T06:59:59", date(2026, 11, 28)),
        ("2026-11-29T07:00:00", None),
        ("2026-11-29T12:00:00", None),
    ],
)
def test_a_night_has_the_date_of_its_evening(now: str, night: date | None) -> None:
    window = Schedule(time(22), time(7), ZURICH).window(at(now))
    assert (None if window is None else window.date) == night


def test_a_nap_lies_within_one_day() -> None:
    schedule = Schedule(time(13), time(15), ZURICH)
    assert schedule.window(at("2026-11-28T14:00:00")) is not None
    assert schedule.window(at("2026-11-28T15:00:00")) is None
    assert schedule.next_begin_s(at("2026-11-28T15:00:00")) == at("2026-11-29T13:00:00")


@pytest.mark.parametrize(
    ("evening", "hours"),
    [("2026-03-28T22:00:00", 8), ("2026-10-24T22:00:00", 10), ("2026-11-28T22:00:00", 9)],
)
def test_the_change_of_summer_time_makes_a_night_shorter_or_longer(evening: str, hours: int) -> None:
    window = Schedule(time(22), time(7), ZURICH).window(at(evening))
    assert window is not None
    assert window.end_s - window.begin_s == hours * 3600


@given(st.integers(0, 4_000_000_000), st.times(), st.times())
def test_windows_never_overlap_and_hold_the_time_that_asked(now: int, off: time, on: time) -> None:
    off, on = off.replace(second=0, microsecond=0), on.replace(second=0, microsecond=0)
    if off == on:
        return
    schedule = Schedule(off, on, ZURICH)
    window = schedule.window(now)
    if window is None:
        following = schedule.window(schedule.next_begin_s(now))
        assert following is not None
        assert following.begin_s > now
        return
    assert window.begin_s <= now < window.end_s
    assert schedule.window(window.begin_s) == window
    after = schedule.window(window.end_s)
    assert after is None or after.date > window.date


@given(st.integers(0, 4_000_000_000))
def test_without_times_one_night_follows_the_other_at_noon(now: int) -> None:
    schedule = Schedule(None, None, ZURICH)
    window = schedule.window(now)
    assert window is not None
    following = schedule.window(window.end_s)
    assert following is not None
    assert following.begin_s == window.end_s
    assert following.date == window.date + timedelta(days=1)
