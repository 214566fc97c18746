"""The host's clock may be set while a night is streamed: no epoch is late for it, and no drift is told."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from eegvlm_rt.prediction import Outcome
from eegvlm_rt.stager import Stager, StreamOptions
from eegvlm_rt.streaming import StreamEvent, StreamEventKind, worker
from eegvlm_rt.streaming import stager as streaming_stager
from eegvlm_rt.streaming.clocks import HostClock, age_s
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path


class Host:
    """Both clocks of a host, in the hands of the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall_s, self.monotonic_s = 1.8e9, 500.0
        monkeypatch.setattr(time, "time", lambda: self.wall_s)
        for module in (streaming_stager, worker):
            monkeypatch.setattr(module, "perf_counter", lambda: self.monotonic_s)

    def wait(self, seconds: float) -> None:
        self.wall_s += seconds
        self.monotonic_s += seconds


@pytest.fixture(scope="module")
def stager(tmp_path_factory: pytest.TempPathFactory) -> Stager:
    folder: Path = tmp_path_factory.mktemp("host") / "tiny"
    write_tiny_bundle(folder)
    return Stager.load(folder, mode="head", threads=1)


@pytest.mark.parametrize("step_s", [3600.0, -3600.0, 86_400.0])
def test_samples_on_their_way_while_it_is_set_are_not_late(
    stager: Stager, monkeypatch: pytest.MonkeyPatch, step_s: float
) -> None:
    host, events = Host(monkeypatch), list[StreamEvent]()
    rng = np.random.default_rng(0)
    found = []
    with stager.stream(100, on_event=events.append) as night:
        for second in range(90):
            host.wait(1.0)
            received_s = host.wall_s
            host.wall_s += step_s if second == 29 else 0.0
            host.wait(0.25)
            found += night.push(rng.normal(0, 20, 100), second + np.arange(100) / 100, received_s=received_s)
            host.wait(-0.25)
    assert [p.lag_s for p in found] == [pytest.approx(0.25)] * 3
    assert [event.kind for event in events] == [StreamEventKind.CLOCK]
    assert f"{step_s:+.1f} s" in events[0].detail
    assert night.night.drift_ppm == pytest.approx(0, abs=1)


def test_samples_that_waited_before_it_was_set_have_waited(
    stager: Stager, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(monkeypatch)
    with stager.stream(100, options=StreamOptions(deadline_s=5.0)) as night:
        night.push(np.ones(100), received_s=host.wall_s)
        received_s = host.wall_s
        host.wait(60.0)
        host.wall_s += 3600.0
        found = night.push(np.ones(2900), received_s=received_s)
    assert [p.outcome for p in found] == [Outcome.LATE]
    assert found[0].lag_s == pytest.approx(60.0)


@pytest.mark.parametrize("received_s", [float("inf"), -float("inf"), float("nan"), "soon"])
def test_a_moment_that_is_no_time_is_now(stager: Stager, received_s: object) -> None:
    with stager.stream(100) as night:
        found = night.push(np.ones(3000), received_s=received_s)
    assert 0 <= found[0].lag_s < 60
    assert night.night.grid_start_wall_s == pytest.approx(time.time(), abs=120)


def test_slow_corrections_are_no_steps() -> None:
    clock = HostClock()
    assert [clock.read(1e9 + t * 1.0005, 7 + t) for t in range(0, 6000, 600)] == [0.0] * 10
    assert clock.read(1e9 + 6000 * 1.0005 + 2, 6007) == pytest.approx(2.3)


@pytest.mark.parametrize(
    ("seems_s", "step_s", "age"),
    [(2.0, 0.0, 2.0), (-2.0, 0.0, 0.0), (3602.0, 3600.0, 2.0), (2.0, 3600.0, 2.0), (-3598.0, -3600.0, 2.0)],
)
def test_the_age_of_what_came(seems_s: float, step_s: float, age: float) -> None:
    assert age_s(1e9 - seems_s, 1e9, step_s) == pytest.approx(age)
