"""Timestamps of packets: spread over their samples, so that the night is that of exact timestamps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegvlm_rt.errors import UnitError
from eegvlm_rt.prediction import Outcome
from eegvlm_rt.signal.quality import QualityFlag
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.stager import Stager
from eegvlm_rt.streaming import StreamEvent, StreamEventKind
from eegvlm_rt.streaming.options import StreamOptions
from eegvlm_rt.streaming.packets import PacketSpreader
from eegvlm_rt.streaming.stamp_rate import RateMeter, rate_ratio
from tests.rt.streaming.streams import night_of, said

if TYPE_CHECKING:
    from pathlib import Path

    from eegvlm_rt.prediction import StagePrediction
    from eegvlm_rt.streaming import StreamStatus as Counts

RATE = 128
N = 30 * RATE
T0 = 41_000.25


@pytest.fixture(scope="module")
def stager(tiny_bundle: Path) -> Stager:
    return Stager.load(tiny_bundle, mode="head", threads=2)


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return simulate_night(4, hours=0.1, sfreq=RATE).samples_uv[: 5 * N]


@pytest.fixture(scope="module")
def clean(stager: Stager, x: np.ndarray) -> list[dict]:
    return said(stager.predict_recording(x, sfreq=RATE))


def packet_stamps(
    n: int, size: int, rate: float = RATE, *, last: bool = True, step_s: float = 0.0, jitter_s: float = 0.0
) -> np.ndarray:
    """One timestamp a packet: of its last sample, or its first, up to `jitter_s` late on its way."""
    place = np.arange(n)
    packet = place // size
    stamped = np.minimum((packet + 1) * size - 1, n - 1) if last else packet * size
    late = np.random.default_rng(size).uniform(0, jitter_s, packet[-1] + 1)[packet]
    return np.maximum.accumulate(T0 + stamped / rate + late) + place % size * step_s


def missing(found: list[StagePrediction]) -> list[float]:
    return [p.quality.missing_share for p in found]


def stages(found: list[StagePrediction]) -> list[str]:
    return [row["stage"] for row in said(found)]


def run(
    stager: Stager, x: np.ndarray, stamps: np.ndarray, piece: int
) -> tuple[list[StagePrediction], Counts]:
    with stager.stream(RATE) as stream:
        found = night_of(stream, x, stamps, [piece])
    return found, stream.night


class TestTheSameNight:
    @pytest.mark.parametrize("size", [2, 3, 5, 12, 25, 64, 128, 256])
    @pytest.mark.parametrize("last", [True, False])
    def test_as_with_exact_timestamps(
        self, stager: Stager, x: np.ndarray, clean: list[dict], size: int, last: bool
    ) -> None:
        # A minute of small packets are thousands of them already.
        x, expected = (
            (x, clean) if size > 5 else (x[: 2 * N], said(stager.predict_recording(x[: 2 * N], sfreq=RATE)))
        )
        with stager.stream(RATE) as stream:
            found = night_of(stream, x, packet_stamps(len(x), size, last=last), [size])
        assert said(found) == expected
        assert stream.night.dropped_samples == stream.night.clock_jumps == 0

    @settings(max_examples=25, deadline=None)
    @given(
        st.integers(2, 256),
        st.booleans(),
        st.sampled_from([0.0, 1e-6, 1e-5]),
        st.lists(st.sampled_from([1, 2, 7, 12, 100, 999, 5000]), min_size=1, max_size=4),
    )
    def test_in_any_pieces(
        self,
        stager: Stager,
        x: np.ndarray,
        size: int,
        last: bool,
        step_s: float,
        pieces: list[int],
    ) -> None:
        n = 2 * N
        stamps = packet_stamps(n, size, last=last, step_s=step_s)
        with stager.stream(RATE) as stream:
            found = night_of(stream, x[:n], stamps, pieces if max(pieces) > 50 else [*pieces, 999])
        assert said(found) == said(stager.predict_recording(x[:n], sfreq=RATE))

    @pytest.mark.parametrize("size", [4, 12, 64])
    @pytest.mark.parametrize("jitter_s", [0.005, 0.03, 0.08])
    def test_with_packets_that_come_early_and_late(
        self, stager: Stager, x: np.ndarray, clean: list[dict], size: int, jitter_s: float
    ) -> None:
        with stager.stream(RATE) as stream:
            found = night_of(stream, x, packet_stamps(len(x), size, jitter_s=jitter_s), [size])
        assert [row["stage"] for row in said(found)] == [row["stage"] for row in clean]
        assert max(missing(found)) < 0.005
        assert stream.night.dropped_samples < 0.001 * len(x)

    def test_after_the_first_packet_was_only_a_part_of_one(self, stager: Stager, x: np.ndarray) -> None:
        stamps = packet_stamps(len(x), 64)[40:]
        with stager.stream(RATE) as stream:
            found = night_of(stream, x[40:], stamps, [64])
        assert said(found) == said(stager.predict_recording(x[40:], sfreq=RATE))

    def test_where_a_device_begins_to_stamp_packets_in_the_night(
        self, stager: Stager, x: np.ndarray, clean: list[dict]
    ) -> None:
        exact = T0 + np.arange(len(x)) / RATE
        stamps = np.where(np.arange(len(x)) < 2 * N, exact, packet_stamps(len(x), 12, last=False))
        with stager.stream(RATE) as stream:
            found = night_of(stream, x, stamps, [48])
        assert said(found) == clean

    def test_it_is_said_once_and_in_words(self, stager: Stager, x: np.ndarray) -> None:
        events: list[StreamEvent] = []
        with stager.stream(RATE, on_event=events.append) as stream:
            night_of(stream, x, packet_stamps(len(x), 12), [12])
        assert [event.kind for event in events] == [StreamEventKind.STAMPS]
        assert events[0].detail == (
            "the device stamps packets of 12 samples: the samples are spread at the nominal 128 Hz"
        )


class TestWhatIsLost:
    @pytest.mark.parametrize("size", [12, 64])
    def test_packets_that_never_come_are_gaps_in_their_place(
        self, stager: Stager, x: np.ndarray, clean: list[dict], size: int
    ) -> None:
        stamps = packet_stamps(len(x), size)
        packet = np.arange(len(x)) // size
        first = 2 * N // size + 3
        keep = (packet < first) | (packet >= first + 5)
        with stager.stream(RATE) as stream:
            found = night_of(stream, x[keep], stamps[keep], [size])
        assert missing(found)[2] == pytest.approx(5 * size / N, abs=1e-9)
        assert QualityFlag.GAP in found[2].quality.flags
        assert [i for i, row in enumerate(said(found)) if row != clean[i]] == [2]

    def test_a_packet_that_comes_twice_is_dropped(
        self, stager: Stager, x: np.ndarray, clean: list[dict]
    ) -> None:
        order = np.r_[0 : 2 * N, 2 * N - 128 : 2 * N - 64, 2 * N : len(x)]
        stamps = packet_stamps(len(x), 64)
        with stager.stream(RATE) as stream:
            found = night_of(stream, x[order], stamps[order], [64])
        assert stream.night.dropped_samples == 64
        assert [row["probabilities"] for row in said(found)] == [row["probabilities"] for row in clean]

    def test_a_silence_whose_packets_come_in_one_burst_loses_nothing(
        self, stager: Stager, x: np.ndarray, clean: list[dict]
    ) -> None:
        arrival = packet_stamps(len(x), 12, jitter_s=0.001)
        place = np.arange(len(x))
        silent = (place >= 2 * N) & (place < 2 * N + 30 * RATE // 4)
        end_s = arrival[silent][-1] + 0.01
        stamps = np.where(silent, end_s + (place - 2 * N) // 12 * 1e-4, arrival)
        with stager.stream(RATE) as stream:
            found = night_of(stream, x, stamps, [12])
        assert said(found) == clean

    def test_a_clock_that_is_set_leaves_the_epochs_in_place(
        self, stager: Stager, x: np.ndarray, clean: list[dict]
    ) -> None:
        stamps = packet_stamps(len(x), 12) - np.where(np.arange(len(x)) >= 2 * N + 36, 1e5, 0)
        with stager.stream(RATE) as stream:
            found = night_of(stream, x, stamps, [12])
        assert [row["probabilities"] for row in said(found)] == [row["probabilities"] for row in clean]
        assert stream.night.clock_jumps == 1


class TestTimestampsThatAreNone:
    @pytest.mark.parametrize("nothing", [0.0, np.nan])
    @pytest.mark.parametrize("size", [2, 12, 100])
    @pytest.mark.parametrize("t0", [0.0, 1.7e9])
    def test_one_timestamp_a_packet_and_nothing_for_the_others(
        self, stager: Stager, x: np.ndarray, clean: list[dict], nothing: float, size: int, t0: float
    ) -> None:
        stamps = t0 + np.arange(len(x)) / RATE
        stamps[np.arange(len(x)) % size != 0] = nothing
        found, night = run(stager, x, stamps, 37)
        assert stages(found) == [row["stage"] for row in clean]
        assert (missing(found), night.dropped_samples) == ([0.0] * 5, 0)

    def test_lost_packets_of_such_a_device_are_gaps(self, stager: Stager, x: np.ndarray) -> None:
        stamps = T0 + np.arange(len(x)) / RATE
        stamps[np.arange(len(x)) % 12 != 0] = 0.0
        keep = np.arange(len(x)) // 12 % 50 != 7
        found, _ = run(stager, x[keep], stamps[keep], 64)
        assert len(found) == 5
        assert missing(found) == pytest.approx([0.02] * 5, abs=0.006)

    def test_unix_time_in_single_precision_says_nothing_and_costs_nothing(
        self, stager: Stager, x: np.ndarray, clean: list[dict]
    ) -> None:
        stamps = (1.7e9 + np.arange(len(x)) / RATE).astype(np.float32)
        found, night = run(stager, x, stamps, 64)
        assert stages(found) == [row["stage"] for row in clean]
        assert (missing(found), night.dropped_samples) == ([0.0] * 5, 0)
        assert all(QualityFlag.CLOCK in p.quality.flags for p in found)


class TestUnitAndRate:
    @pytest.mark.parametrize("nothing", [0.0, np.nan])
    def test_the_unit_of_one_timestamp_a_packet_is_seen_too(
        self, stager: Stager, x: np.ndarray, nothing: float
    ) -> None:
        stamps = 1e3 * (T0 + np.arange(len(x)) / RATE)
        stamps[np.arange(len(x)) % 40 != 0] = nothing
        with pytest.raises(UnitError, match="milliseconds"):
            run(stager, x, stamps, 37)

    @pytest.mark.parametrize(
        ("per_s", "unit"), [(1e3, "milliseconds"), (1e6, "microseconds"), (1e9, "nanoseconds")]
    )
    @pytest.mark.parametrize("size", [1, 12])
    def test_timestamps_that_are_no_seconds_are_refused_by_their_unit(
        self, stager: Stager, x: np.ndarray, per_s: float, unit: str, size: int
    ) -> None:
        stream = stager.stream(RATE)
        with pytest.raises(UnitError, match=unit):
            night_of(stream, x, (packet_stamps(len(x), size)) * per_s, [64])
        with pytest.raises(UnitError, match=unit):
            stream.push(x[:10], np.arange(10) * per_s)
        assert stream.flush() == []

    def test_numbers_of_samples_are_refused(self, stager: Stager, x: np.ndarray) -> None:
        with pytest.raises(UnitError, match="count samples"):
            night_of(stager.stream(RATE), x, np.arange(len(x), dtype=float), [64])

    @pytest.mark.parametrize("true", [64.0, 125.0, 131.0, 256.0, 600.0])
    def test_a_device_off_its_rate_is_told_with_both_rates(
        self, stager: Stager, x: np.ndarray, true: float
    ) -> None:
        events: list[StreamEvent] = []
        with stager.stream(RATE, on_event=events.append) as stream:
            night_of(stream, x, T0 + np.arange(len(x)) / true, [64])
        told = [event.detail for event in events if event.kind is StreamEventKind.RATE]
        assert len(told) == 1
        assert f"the timestamps say {true:.4g} Hz, the nominal rate is 128 Hz" in told[0]

    def test_at_half_its_rate_nothing_is_scored(self, stager: Stager, x: np.ndarray) -> None:
        with stager.stream(RATE) as stream:
            found = night_of(stream, x[: 2 * N], T0 + np.arange(2 * N) / (RATE / 2), [64])
        assert Outcome.SCORED not in {p.outcome for p in found}

    @pytest.mark.parametrize("size", [1, 12, 256])
    def test_nothing_is_said_of_a_device_at_its_rate(self, stager: Stager, x: np.ndarray, size: int) -> None:
        events: list[StreamEvent] = []
        with stager.stream(RATE, on_event=events.append) as stream:
            night_of(stream, x, packet_stamps(len(x), size, jitter_s=0.02), [256])
        assert {event.kind for event in events} <= {StreamEventKind.STAMPS}

    def test_lost_packets_are_no_other_rate(self) -> None:
        meter, rng = RateMeter(RATE), np.random.default_rng(0)
        stamps = packet_stamps(20_000, 12)
        keep = np.repeat(rng.random(len(stamps) // 12 + 1) > 0.2, 12)[: len(stamps)]
        assert meter.add(stamps[keep]) is None
        assert rate_ratio(stamps[keep], RATE)[2] == pytest.approx(1)


class TestGoingOn:
    def test_gaps_that_go_on_are_told_once_and_when_they_are_over(
        self, stager: Stager, x: np.ndarray
    ) -> None:
        night = np.tile(x, 6)[: 24 * N]
        stamps = T0 + np.arange(len(night)) / RATE
        keep = np.ones(len(night), dtype=bool)
        for epoch in range(8):
            keep[epoch * N + 100 : epoch * N + 200] = False
        events: list[StreamEvent] = []
        with stager.stream(RATE, on_event=events.append) as stream:
            night_of(stream, night[keep], stamps[keep], [640])
        told = [event.detail for event in events if event.kind is StreamEventKind.SIGNAL]
        assert told == [
            "gaps go on: in 5 of the last 5 epochs; 3% of the samples are missing",
            "gaps: over",
        ]

    def test_drift_that_goes_on_is_told(self, stager: Stager, x: np.ndarray) -> None:
        events: list[StreamEvent] = []
        stamps = T0 + np.arange(2 * len(x)) / (RATE * 1.005)
        with stager.stream(RATE, on_event=events.append) as stream:
            night_of(stream, np.tile(x, 2), stamps, [640])
        told = [event.detail for event in events if event.kind is StreamEventKind.SIGNAL]
        assert len(told) == 1
        assert told[0].startswith("drift goes on: 0.5")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 64), st.sampled_from([0.0, 0.01, 0.2]))
def test_the_spreader_gives_the_same_times_in_any_pieces(seed: int, size: int, jitter_s: float) -> None:
    rng = np.random.default_rng(seed)
    stamps = packet_stamps(3000, size, jitter_s=jitter_s)
    keep = np.repeat(rng.random(3000 // size + 1) > 0.1, size)[:3000]
    stamps = stamps[keep]
    stamps[rng.random(len(stamps)) < 0.01] = np.nan

    def times(pieces: list[int]) -> np.ndarray:
        spreader = PacketSpreader(RATE, 2.5, T0)
        given_, waiting, start, turn = [], stamps[:0], 0, 0
        while start < len(stamps):
            end = start + pieces[turn % len(pieces)]
            waiting = np.concatenate([waiting, stamps[start:end]])
            some = spreader.times(waiting, np.isfinite(waiting), last=end >= len(stamps))
            given_.append(some)
            waiting, start, turn = waiting[len(some) :], end, turn + 1
        return np.concatenate(given_)

    whole = times([len(stamps)])
    np.testing.assert_array_equal(times([int(p) for p in rng.integers(1, 400, 4)]), whole)


def test_a_large_tolerance_changes_nothing_of_packets(
    stager: Stager, x: np.ndarray, clean: list[dict]
) -> None:
    for size in (5, 12, 25):
        options = StreamOptions(tolerance_s=size / RATE)
        with stager.stream(RATE, options=options) as stream:
            assert said(night_of(stream, x, packet_stamps(len(x), size), [size])) == clean
