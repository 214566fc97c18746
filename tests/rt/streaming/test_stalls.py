"""A sender that stalls and sends its samples afterwards: all are kept in their places, and it is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegvlm_rt.journal import Journal, RecordKind, read
from eegvlm_rt.signal.quality import QualityFlag
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.stager import Stager
from eegvlm_rt.streaming import StreamEvent, StreamEventKind
from eegvlm_rt.streaming.delay import Cause, Delay
from tests.rt.streaming.senders import stalled_stamps
from tests.rt.streaming.streams import night_of, said

if TYPE_CHECKING:
    from pathlib import Path

RATE = 128
N = 30 * RATE
T0 = 41_000.25


@pytest.fixture(scope="module")
def stager(tiny_bundle: Path) -> Stager:
    return Stager.load(tiny_bundle, mode="head", threads=2)


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return simulate_night(4, hours=0.1, sfreq=RATE).samples_uv[: 4 * N]


@pytest.fixture(scope="module")
def clean(stager: Stager, x: np.ndarray) -> list[dict]:
    return said(stager.predict_recording(x, sfreq=RATE))


def exact(n: int) -> np.ndarray:
    return T0 + np.arange(n) / RATE


def stalled(stamps: np.ndarray, first: int, seconds: float, step_s: float = 5e-5) -> np.ndarray:
    """The same sender, silent for some seconds from a sample on, which then sends what it holds at once."""
    burst = stamps[first] + seconds + step_s * np.arange(len(stamps) - first)
    late = stamps.copy()
    late[first:] = np.maximum(stamps[first:], burst)
    return late


class TestNothingIsMissing:
    @pytest.mark.parametrize("size", [1, 2, 12, 32])
    @pytest.mark.parametrize("seconds", [0.323, 1.7, 12.0, 45.0])
    def test_after_one_stall(
        self, stager: Stager, x: np.ndarray, clean: list[dict], size: int, seconds: float
    ) -> None:
        place = np.arange(len(x))
        sent = T0 + (place // size + 1) * size / RATE + place % size * 5e-5
        with stager.stream(RATE) as stream:
            found = night_of(stream, x, stalled(sent, 2 * N // size * size, seconds), [size])
        assert said(found) == clean
        assert stream.night.dropped_samples == stream.night.clock_jumps == 0

    @pytest.mark.parametrize("pauses", [3, 12])
    def test_after_a_burst_that_stalls_again_and_again(
        self, stager: Stager, x: np.ndarray, clean: list[dict], pauses: int
    ) -> None:
        place = np.arange(len(x))
        sent = T0 + (place // 12 + 1) * 12 / RATE + place % 12 * 5e-5
        for i in range(pauses):
            sent = stalled(sent, N + 12 * (40 + 2 * i), 0.323)
        with stager.stream(RATE) as stream:
            assert said(night_of(stream, x, sent, [12])) == clean
        assert stream.night.dropped_samples == 0

    @settings(max_examples=25, deadline=None)
    @given(
        st.integers(0, 2**32),
        st.sampled_from([1, 2, 4, 12, 32]),
        st.sampled_from([1.0, 5.0, 20.0]),
        st.sampled_from([0.02, 0.1, 0.3]),
        st.lists(st.sampled_from([7, 100, 999, 5000]), min_size=1, max_size=4),
    )
    def test_whenever_and_for_however_long_it_stalls_in_any_pieces(
        self,
        stager: Stager,
        x: np.ndarray,
        seed: int,
        size: int,
        run_s: float,
        share: float,
        pieces: list[int],
    ) -> None:
        n = 2 * N
        rng = np.random.default_rng(seed)
        stamps = T0 + stalled_stamps(n, size, RATE, rng, run_s=run_s, stall_s=share * run_s, begin_s=3.0)
        with stager.stream(RATE) as stream:
            found = night_of(stream, x[:n], stamps, pieces if max(pieces) > 50 else [*pieces, 999])
        assert said(found) == said(stager.predict_recording(x[:n], sfreq=RATE))
        assert stream.night.dropped_samples == stream.night.clock_jumps == 0

    def test_in_the_journal_too(
        self, stager: Stager, x: np.ndarray, clean: list[dict], tmp_path: Path
    ) -> None:
        stamps = stalled(exact(len(x)), N + 100, 7.0)
        with (
            Journal.create(tmp_path / "night.journal", {}) as journal,
            stager.stream(RATE, journal=journal) as stream,
        ):
            found = night_of(stream, x, stamps, [50])
        records = read(tmp_path / "night.journal").records
        assert said(found) == clean
        told = [record.body.get("detail", "") for record in records if record.kind == RecordKind.SOURCE]
        assert any("the sender stalled for 7.0 s" in detail for detail in told)


class TestItIsSaid:
    def events(self, stager: Stager, x: np.ndarray, stamps: np.ndarray) -> list[str]:
        events: list[StreamEvent] = []
        with stager.stream(RATE, on_event=events.append) as stream:
            night_of(stream, x, stamps, [12])
        assert {event.kind for event in events} <= {StreamEventKind.STAMPS}
        return [event.detail for event in events if "stalled" in event.detail]

    def test_how_long_it_was_and_that_nothing_is_missing(self, stager: Stager, x: np.ndarray) -> None:
        assert self.events(stager, x, stalled(exact(len(x)), 2 * N, 3.0)) == [
            "the sender stalled for 3.0 s, and sent the samples afterwards: none is missing, they are spread "
            "at the nominal 128 Hz"
        ]

    def test_of_many_at_most_once_in_30_s(self, stager: Stager, x: np.ndarray) -> None:
        stamps = exact(len(x))
        for first in range(N, 3 * N, 2 * RATE):
            stamps = stalled(stamps, first, 0.5)
        told = self.events(stager, x, stamps)
        assert len(told) in (2, 3)
        assert "stalled 15 times" in told[1]


class TestWhatIsLostInAStall:
    def test_a_gap_without_a_burst_stays_a_gap_in_its_place(
        self, stager: Stager, x: np.ndarray, clean: list[dict]
    ) -> None:
        keep = np.ones(len(x), dtype=bool)
        keep[2 * N + 500 : 2 * N + 500 + 7 * RATE] = False
        with stager.stream(RATE) as stream:
            found = night_of(stream, x[keep], exact(len(x))[keep], [12])
        assert [i for i, row in enumerate(said(found)) if row != clean[i]] == [2]
        assert found[2].quality.missing_share == pytest.approx(7 * RATE / N)

    @settings(max_examples=12, deadline=None)
    @given(st.integers(1, 20), st.floats(0.1, 0.9), st.sampled_from(["first", "last"]))
    def test_what_a_full_buffer_lost_is_missing_within_the_stall(
        self, stager: Stager, x: np.ndarray, seconds: int, share: float, lost_end: str
    ) -> None:
        """A device whose buffer holds less than the stall lost the first samples of it, or the last."""
        first, n = N + 700, seconds * RATE
        lost = max(RATE, round(share * n))
        begin = first if lost_end == "first" else first + n - lost
        keep = np.ones(3 * N, dtype=bool)
        keep[begin : begin + lost] = False
        stamps = stalled(exact(3 * N), first, float(seconds))
        with stager.stream(RATE) as stream:
            found = night_of(stream, x[: 3 * N][keep], stamps[keep], [12])
        assert stream.night.dropped_samples == stream.night.clock_jumps == 0
        assert len(found) == 3
        assert sum(p.quality.missing_share for p in found) * N == pytest.approx(lost, abs=0.02 * RATE + 2)
        # All samples before the stall and after it are where they were.
        gaps = {i for i, p in enumerate(found) if QualityFlag.GAP in p.quality.flags}
        assert gaps <= set(range(first // N, (first + n) // N + 1))


class TestDelay:
    """Packets of 12 samples at 128 Hz; what is near the line is up to 2.5 samples from it."""

    def cause(self, offs: list[float], stamps_s: list[float], n: int) -> tuple[Cause | None, int]:
        delay = Delay(RATE, 2.5, 10.0, 2, 0.5, 12.0)
        starts = np.arange(len(offs)) * 12
        return delay.look(np.array(offs), np.array(stamps_s), starts, n), delay.count

    def test_a_packet_near_the_line_ends_a_stall(self) -> None:
        assert self.cause([128, 116, 104, 2], [5.0, 5.0, 5.0, 5.9], 48) == (Cause.ON_ITS_WAY, 4)

    def test_packets_that_stay_as_late_as_they_are_follow_a_loss(self) -> None:
        stamps = [5 + 12 / RATE * i for i in range(9)]
        assert self.cause([128.0] * 9, stamps, 9 * 12) == (Cause.MISSING, 7)

    def test_a_burst_that_is_not_over_is_waited_for(self) -> None:
        assert self.cause([640, 628, 660, 648, 690], [5.0, 5.0, 5.3, 5.3, 5.7], 60) == (None, 5)

    def test_ten_seconds_without_coming_closer_are_enough(self) -> None:
        offs = [640.0 + 60 * (i % 2) for i in range(60)]
        cause, seen = self.cause(offs, [5 + 0.4 * i for i in range(60)], 60 * 12)
        assert cause is Cause.MISSING
        assert 20 < seen < 40

    def test_a_clock_that_stands_still_is_not_waited_for(self) -> None:
        assert self.cause([128.0], [5.0], 12 * RATE) == (Cause.MISSING, 1)
