"""The clock of a stream: gaps, jumps, duplicates and drift are told, and every epoch stays in its place."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegvlm_rt.journal import NightState
from eegvlm_rt.prediction import Outcome
from eegvlm_rt.signal.quality import QualityFlag
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.stager import Stager, StreamOptions
from eegvlm_rt.streaming import StreamEvent, StreamEventKind
from tests.rt.streaming.streams import night_of, said

if TYPE_CHECKING:
    from pathlib import Path

    from eegvlm_rt.prediction import StagePrediction

RATE = 128
N = 30 * RATE
T0 = 41_000.25


@pytest.fixture(scope="module")
def stager(tiny_bundle: Path) -> Stager:
    return Stager.load(tiny_bundle, mode="head", threads=2)


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return simulate_night(4, hours=0.2, sfreq=RATE).samples_uv[: 8 * N]


@pytest.fixture(scope="module")
def stamps(x: np.ndarray) -> np.ndarray:
    return T0 + np.arange(len(x)) / RATE


@pytest.fixture(scope="module")
def clean(stager: Stager, x: np.ndarray) -> list[dict]:
    return said(stager.predict_recording(x, sfreq=RATE))


def flags(found: list[StagePrediction]) -> list[set[QualityFlag]]:
    clock = {
        QualityFlag.GAP,
        QualityFlag.OVERLAP,
        QualityFlag.DUPLICATE,
        QualityFlag.CLOCK,
        QualityFlag.DRIFT,
    }
    return [set(p.quality.flags & clock) for p in found]


def test_dropped_packets_leave_their_time_missing(
    stager: Stager, x: np.ndarray, stamps: np.ndarray, clean: list[dict]
) -> None:
    keep = np.ones(len(x), dtype=bool)
    keep[2 * N + 500 : 2 * N + 900] = False
    with stager.stream(RATE) as stream:
        found = night_of(stream, x[keep], stamps[keep], [50])
    assert flags(found) == [set(), set(), {QualityFlag.GAP}, *[set()] * 5]
    assert found[2].quality.missing_share == pytest.approx(400 / N)
    other = [i for i, row in enumerate(said(found)) if row != clean[i]]
    assert other == [2]


def test_nan_in_place_of_dropped_packets_says_the_same(
    stager: Stager, x: np.ndarray, stamps: np.ndarray
) -> None:
    gapped, keep = x.copy(), np.ones(len(x), dtype=bool)
    keep[2 * N + 500 : 3 * N + 900] = False
    gapped[~keep] = np.nan
    with stager.stream(RATE) as stream:
        dropped = night_of(stream, x[keep], stamps[keep], [64])
    missing = list(stager.predict_recording(gapped, sfreq=RATE))
    assert [p.probabilities for p in dropped] == [p.probabilities for p in missing]
    assert [p.outcome for p in dropped] == [p.outcome for p in missing]


@pytest.mark.parametrize("size", [1, 64, 3000])
def test_packets_sent_twice_are_dropped(
    stager: Stager, x: np.ndarray, stamps: np.ndarray, clean: list[dict], size: int
) -> None:
    start = 3 * N + 1000
    twice = np.r_[0 : start + size, start : len(x)]
    with stager.stream(RATE) as stream:
        found = night_of(stream, x[twice], stamps[twice], [77])
    assert stream.night.dropped_samples == size
    seen = flags(found)
    assert seen[3] | seen[4] == {QualityFlag.DUPLICATE}
    assert [p.probabilities for p in found] == [
        p.probabilities for p in stager.predict_recording(x, sfreq=RATE)
    ]
    assert len(found) == len(clean)


def test_other_samples_for_a_time_that_is_filled_are_dropped(
    stager: Stager, x: np.ndarray, stamps: np.ndarray
) -> None:
    start, size = 3 * N + 1000, 100
    places = np.r_[0 : start + size, start : len(x)]
    values = x[places].copy()
    values[start + size : start + 2 * size] += 5
    with stager.stream(RATE) as stream:
        found = night_of(stream, values, stamps[places], [33])
    assert flags(found)[3] == {QualityFlag.OVERLAP}
    assert found[3].probabilities == list(stager.predict_recording(x, sfreq=RATE))[3].probabilities


@pytest.mark.parametrize("jump_s", [10.0, 95.0])
def test_a_jump_forward_is_a_gap_of_that_length(
    stager: Stager, x: np.ndarray, stamps: np.ndarray, jump_s: float
) -> None:
    later = stamps + np.where(np.arange(len(x)) >= 4 * N, jump_s, 0)
    with stager.stream(RATE) as stream:
        found = night_of(stream, x, later, [100])
    assert len(found) == np.ceil(8 + jump_s / 30)
    assert [p.index for p in found] == list(range(len(found)))
    whole = int(jump_s // 30)
    assert [p.outcome for p in found[4 : 4 + whole]] == [Outcome.GAP] * whole
    assert all(seen == {QualityFlag.GAP} for seen in flags(found)[4 : 4 + whole + 1])
    assert stream.night.total == len(found)


@pytest.mark.parametrize("jump_s", [-10.0, -200_000.0, 200_000.0, 1e12])
def test_a_clock_that_is_set_anew_leaves_the_epochs_in_place(
    stager: Stager, x: np.ndarray, stamps: np.ndarray, clean: list[dict], jump_s: float
) -> None:
    events: list[StreamEvent] = []
    other = stamps + np.where(np.arange(len(x)) >= 4 * N + 77, jump_s, 0)
    with stager.stream(RATE, on_event=events.append) as stream:
        found = night_of(stream, x, other, [91])
    assert [i for i, seen in enumerate(flags(found)) if seen] == [4]
    assert flags(found)[4] == {QualityFlag.CLOCK}
    assert [i for i, row in enumerate(said(found)) if row != clean[i]] == [4]
    assert found[4].probabilities == list(stager.predict_recording(x, sfreq=RATE))[4].probabilities
    assert [event.kind for event in events] == [StreamEventKind.CLOCK]
    assert stream.night.clock_jumps == 1


def test_a_clock_that_comes_back_is_read_as_before(
    stager: Stager, x: np.ndarray, stamps: np.ndarray, clean: list[dict]
) -> None:
    place = np.arange(len(x))
    other = stamps - np.where((place >= 2 * N + 9) & (place < 5 * N + 9), 1000.0, 0)
    with stager.stream(RATE) as stream:
        found = night_of(stream, x, other, [500])
    assert [i for i, row in enumerate(said(found)) if row != clean[i]] == [2, 5]
    assert stream.night.clock_jumps == 2


@pytest.mark.parametrize("size", [1, 64])
def test_packets_sent_twice_are_dropped_after_a_clock_came_back_too(
    stager: Stager, x: np.ndarray, stamps: np.ndarray, clean: list[dict], size: int
) -> None:
    place = np.arange(len(x))
    times = stamps - np.where((place >= N) & (place < 2 * N), 1000.0, 0)
    twice = np.r_[0 : 3 * N + 200, 3 * N + 100 : len(x)]
    with stager.stream(RATE) as stream:
        start = 3 * N + 50
        stream.push(x[:start], times[:start])
        night_of(stream, x[twice[start:]], times[twice[start:]], [size] if size > 1 else [1] * 300 + [5000])
    assert stream.night.dropped_samples == 100
    assert stream.night.clock_jumps == 2
    assert stream.night.total == len(clean)


def test_a_jump_that_is_let_through_costs_rows_and_no_memory(
    stager: Stager, x: np.ndarray, stamps: np.ndarray
) -> None:
    jump_s = 50_000.0
    with stager.stream(RATE, options=StreamOptions(max_gap_s=1e5)) as stream:
        stream.push(x[:N], stamps[:N])
        tracemalloc.start()
        count = 0
        for p in stream.push(x[N : 2 * N], stamps[N : 2 * N] + jump_s):
            count += p.outcome is Outcome.GAP
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert count == int(jump_s // 30)
    assert peak < 12e6 < jump_s * RATE * 4


@pytest.mark.parametrize("ppm", [-300, -50, 50, 300])
def test_drift_moves_single_samples_and_nothing_else(
    stager: Stager, x: np.ndarray, stamps: np.ndarray, ppm: float
) -> None:
    drifting = T0 + (stamps - T0) * (1 - ppm * 1e-6)
    with stager.stream(RATE, options=StreamOptions(tolerance_s=0.012)) as stream:
        found = night_of(stream, x, drifting, [40])
    expected = len(x) * ppm * 1e-6
    slipped = stream.night.dropped_samples
    assert set().union(*flags(found)) <= {QualityFlag.DRIFT}
    assert slipped == pytest.approx(max(0, expected - 1.5), abs=1.01)
    assert len(found) == (8 if ppm > -100 else 9)
    assert all(p.quality.missing_share < 1e-3 for p in found[:-1])


def test_jitter_within_the_tolerance_changes_nothing(
    stager: Stager, x: np.ndarray, stamps: np.ndarray, clean: list[dict]
) -> None:
    jittered = stamps + np.random.default_rng(0).uniform(-0.003, 0.003, len(x))
    with stager.stream(RATE) as stream:
        assert said(night_of(stream, x, jittered, [64])) == clean


def test_packets_with_one_timestamp_each_are_read_with_a_tolerance_of_their_length(
    stager: Stager, x: np.ndarray, stamps: np.ndarray, clean: list[dict]
) -> None:
    packets = stamps[np.arange(len(x)) // 32 * 32]
    with stager.stream(RATE, options=StreamOptions(tolerance_s=0.3)) as stream:
        assert said(night_of(stream, x, packets, [32])) == clean
    keep = np.r_[0 : 3 * N, 3 * N + 320 : len(x)]
    with stager.stream(RATE, options=StreamOptions(tolerance_s=0.3)) as stream:
        found = night_of(stream, x[keep], packets[keep], [32])
    assert [i for i, seen in enumerate(flags(found)) if seen] == [3]
    assert found[3].quality.missing_share == pytest.approx(320 / N, abs=32 / N)


def test_timestamps_that_are_no_numbers_are_read_as_expected(
    stager: Stager, x: np.ndarray, stamps: np.ndarray
) -> None:
    broken = stamps.copy()
    broken[[0, 5, N + 3]] = np.nan
    broken[N + 4] = np.inf
    with stager.stream(RATE) as stream:
        found = night_of(stream, x, broken, [64])
    assert [p.probabilities for p in found] == [
        p.probabilities for p in stager.predict_recording(x, sfreq=RATE)
    ]
    assert [bool(seen) for seen in flags(found)[:3]] == [True, True, False]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 3000), min_size=1, max_size=6))
def test_whatever_the_clock_does_the_pieces_do_not_matter(
    stager: Stager, x: np.ndarray, stamps: np.ndarray, seed: int, sizes: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    values, times = x[: 3 * N], stamps[: 3 * N]
    for _ in range(4):
        place, length = int(rng.integers(len(values))), int(rng.integers(1, 900))
        what = rng.integers(4)
        if what == 0:
            keep = np.r_[0:place, min(len(values), place + length) : len(values)]
        elif what == 1:
            keep = np.r_[0 : min(len(values), place + length), place : len(values)]
        else:
            keep = np.arange(len(values))
            times = times + np.where(keep >= place, rng.choice([-3000, -10, -1, 0.5, 20, 1e6]), 0)
        values, times = values[keep], times[keep]
    rows = []
    for pieces in (sizes, [len(values)]):
        with stager.stream(RATE, options=StreamOptions(hop_s=10)) as stream:
            rows.append(said(night_of(stream, values, times, [max(8, size) for size in pieces])))
    assert rows[0] == rows[1]
    final = [row["index"] for row in rows[0] if not row["provisional"]]
    assert final == list(range(len(final)))


@pytest.mark.parametrize("seed", range(3))
def test_a_clock_that_runs_wild_makes_no_hours_that_never_were(
    stager: Stager, x: np.ndarray, stamps: np.ndarray, seed: int
) -> None:
    wild = stamps.copy()
    wild[N : N + 300] = np.random.default_rng(seed).uniform(-1e4, 1e4, 300)
    with stager.stream(RATE) as stream:
        found = night_of(stream, x, wild, [64])
    assert len(found) < 8 + 10
    assert [p.index for p in found] == list(range(len(found)))


@pytest.mark.parametrize("value", [1e300, -1e300, 0.0, np.nan, -np.inf])
def test_no_clock_at_all_ends_no_night(stager: Stager, x: np.ndarray, value: float) -> None:
    with stager.stream(RATE) as stream:
        found = night_of(stream, x, np.full(len(x), value), [500])
    assert [p.index for p in found] == list(range(len(found)))
    assert stream.night.total == len(found)


def test_a_clock_too_fine_for_its_numbers_is_none(
    stager: Stager, x: np.ndarray, stamps: np.ndarray, clean: list[dict]
) -> None:
    with stager.stream(RATE) as stream:
        found = night_of(stream, x, (1.7e9 + stamps) * 1e12, [500])
    assert [row["probabilities"] for row in said(found)] == [row["probabilities"] for row in clean]
    assert flags(found) == [{QualityFlag.CLOCK}] * 8


@pytest.mark.parametrize("size", [13, 700, 6 * N])
def test_the_flag_of_broken_timestamps_is_in_their_epoch(
    stager: Stager, x: np.ndarray, stamps: np.ndarray, size: int
) -> None:
    broken = stamps.copy()
    broken[[2 * N + 5, 2 * N + 6, 5 * N]] = np.nan
    with stager.stream(RATE) as stream:
        found = night_of(stream, x[: 6 * N], broken[: 6 * N], [size])
    assert [i for i, seen in enumerate(flags(found)) if seen] == [2, 5]


@pytest.mark.parametrize("pieces", [[1], [2], [3]])
def test_samples_at_the_edge_of_the_tolerance_are_judged_one_by_one(
    stager: Stager, x: np.ndarray, pieces: list[int]
) -> None:
    with stager.stream(50) as stream:
        stream.push(x[:11], np.arange(11) / 50)
        night_of(stream, x[11:14], np.array([0.186, 0.206, 0.226]), pieces)
    assert stream.night.dropped_samples == 1


@pytest.mark.parametrize("value", [np.nan, -np.inf])
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_samples_without_a_time_follow_in_any_pieces(
    stager: Stager, x: np.ndarray, stamps: np.ndarray, value: float, size: int
) -> None:
    broken = stamps[:1000].copy()
    broken[:300] = value
    broken[600:700:2] = value
    broken[601:700:2] = broken[599]
    with stager.stream(RATE) as stream:
        night_of(stream, x[:1000], broken, [size])
    assert stream.night.dropped_samples == 0
    assert stream.position_s == 1000 / RATE
    assert stream.night.clock_jumps == 0
    assert stream.night.grid_start_device_s == pytest.approx(T0, abs=1e-9)


@pytest.mark.parametrize("stamped", [True, False])
def test_nothing_pushed_changes_nothing(
    stager: Stager, x: np.ndarray, stamps: np.ndarray, stamped: bool
) -> None:
    state = NightState({}, None, None, 3, None, 10, {"scored": 3})
    nothing = np.zeros(0)
    with stager.stream(RATE, resume=state) as stream:
        stream.push(nothing, nothing if stamped else None)
        found = night_of(stream, x[:N], stamps[:N], [64])
    assert [(p.index, set(p.quality.flags & {QualityFlag.CLOCK})) for p in found] == [(3, set())]


class TestGrid:
    def test_it_may_begin_at_lights_off(self, stager: Stager, x: np.ndarray, stamps: np.ndarray) -> None:
        with stager.stream(RATE, options=StreamOptions(lights_off_s=T0 + 45)) as stream:
            found = night_of(stream, x, stamps, [500])
        assert said(found) == said(stager.predict_recording(x[45 * RATE :], sfreq=RATE))
        assert stream.night.grid_start_device_s == T0 + 45
        assert stream.night.dropped_samples == 45 * RATE

    def test_without_timestamps_lights_off_counts_from_the_first_sample(
        self, stager: Stager, x: np.ndarray
    ) -> None:
        with stager.stream(RATE, options=StreamOptions(lights_off_s=45)) as stream:
            found = night_of(stream, x, None, [500])
        assert said(found) == said(stager.predict_recording(x[45 * RATE :], sfreq=RATE))

    def test_lights_off_before_the_first_sample_are_missed_epochs(
        self, stager: Stager, x: np.ndarray, stamps: np.ndarray
    ) -> None:
        with stager.stream(RATE, options=StreamOptions(lights_off_s=T0 - 60)) as stream:
            found = night_of(stream, x, stamps, [500])
        assert [p.outcome for p in found[:3]] == [Outcome.GAP, Outcome.GAP, Outcome.SCORED]
        assert len(found) == 10

    @pytest.mark.parametrize("away_s", [0.0, 100.0])
    def test_a_night_is_resumed_on_its_grid(
        self, stager: Stager, x: np.ndarray, stamps: np.ndarray, clean: list[dict], away_s: float
    ) -> None:
        state = NightState({}, T0, 1e9, 3, T0 + 90, 10, {"scored": 3})
        start = 3 * N - 200 + round(away_s * RATE)
        with stager.stream(RATE, resume=state) as stream:
            found = night_of(stream, x[start:], stamps[start:], [250])
        assert [p.index for p in found] == list(range(3, 8))
        assert found[0].start_s == 90.0
        assert stream.night.total == 8
        assert stream.night.grid_start_wall_s == 1e9
        whole = 7 if away_s else 4
        assert [p.stage.name for p in found[whole - 3 :]] == [row["stage"] for row in clean[whole:]]
        if away_s:
            assert [p.outcome for p in found[:3]] == [Outcome.GAP] * 3

    def test_a_resumed_night_whose_device_began_anew_goes_on_at_once(
        self, stager: Stager, x: np.ndarray
    ) -> None:
        state = NightState({}, T0, 1e9, 3, T0 + 90, 10)
        with stager.stream(RATE, resume=state) as stream:
            found = night_of(stream, x, np.arange(len(x)) / RATE, [250])
        assert [p.index for p in found] == list(range(3, 11))
        assert flags(found)[0] == {QualityFlag.CLOCK}
