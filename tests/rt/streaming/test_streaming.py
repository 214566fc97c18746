"""A stream says what the recording says, whatever pieces it comes in."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegvlm_rt.errors import BundleError, InputError, SamplingRateError, SourceStalledError, UnitError
from eegvlm_rt.prediction import AnsweredBy, Outcome
from eegvlm_rt.prompt import Mode
from eegvlm_rt.signal.quality import QualityFlag
from eegvlm_rt.signal.units import EPOCH_S
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.sources.chunk import Chunk, SourceEvent, SourceEventKind
from eegvlm_rt.stager import Stager, StreamOptions
from eegvlm_rt.streaming import StreamEvent, StreamEventKind
from tests.rt.streaming.streams import night_of, said

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from eegvlm_rt.prediction import StagePrediction

RATES = [50.0, 100.0, 128.0, 173.61, 256.0, 512.0]


@pytest.fixture(scope="module")
def stager(tiny_bundle: Path) -> Stager:
    return Stager.load(tiny_bundle, mode="head", threads=2)


@pytest.fixture(scope="module")
def nights() -> dict[float, np.ndarray]:
    return {rate: simulate_night(2, hours=0.2, sfreq=rate).samples_uv for rate in RATES}


def chunks(x: np.ndarray, rate: float, size: int = 1000) -> Iterator[Chunk]:
    for start in range(0, len(x), size):
        part = x[start : start + size].astype(np.float64)
        yield Chunk(part, 5000 + (start + np.arange(len(part))) / rate, time.time())


class TestTheSameAsTheRecording:
    @pytest.mark.parametrize(
        ("left", "outcome"),
        [
            pytest.param(slice(None, None, 2), Outcome.UNSCORABLE, id="every second sample"),
            pytest.param(slice(100, 101), Outcome.UNSCORABLE, id="one sample"),
            pytest.param(slice(0, 0), Outcome.GAP, id="not one sample"),
        ],
    )
    def test_of_samples_without_a_neighbour(self, stager, nights, left, outcome):
        """Conditioned to 100 Hz nothing is left of them, and yet samples came."""
        x = np.full(60 * 128, np.nan, dtype=np.float32)
        x[30 * 128 :] = nights[128.0][30 * 128 : 60 * 128]
        x[: 30 * 128][left] = nights[128.0][: 30 * 128][left]
        with stager.stream(sfreq=128.0) as stream:
            found = stream.push(x) + stream.flush()
        assert [p.outcome for p in found] == [outcome, Outcome.SCORED]
        assert [(p.outcome, p.stage) for p in found] == [
            (p.outcome, p.stage) for p in stager.predict_recording(x, sfreq=128.0)
        ]

    @settings(max_examples=25, deadline=None)
    @given(
        st.sampled_from(RATES),
        st.lists(st.sampled_from([1, 2, 17, 100, 999, 7680, 60_000]), min_size=1, max_size=5),
        st.booleans(),
        st.integers(0, 1000),
    )
    def test_whatever_the_pieces(
        self,
        stager: Stager,
        nights: dict[float, np.ndarray],
        rate: float,
        sizes: list[int],
        stamped: bool,
        seed: int,
    ) -> None:
        rng = np.random.default_rng(seed)
        x = nights[rate][: round(rate * rng.uniform(20, 100))].copy()
        start = int(rng.integers(len(x)))
        x[start : start + round(rng.uniform(0, 3) * rate)] = np.nan
        if min(sizes) < 17:
            sizes = [*sizes, 5000]
        stamps = 1e6 + np.arange(len(x)) / rate if stamped else None
        with stager.stream(rate, channel="Fpz") as stream:
            found = night_of(stream, x, stamps, sizes)
        assert said(found) == said(stager.predict_recording(x, "Fpz", sfreq=rate))

    def test_ten_minutes_at_once_are_ten_minutes_by_the_sample(
        self, stager: Stager, nights: dict[float, np.ndarray]
    ) -> None:
        x = nights[50.0][: 50 * 625]
        rows = []
        for sizes in ([30_000], [1] * 300 + [15_000], [37]):
            with stager.stream(50) as stream:
                rows.append(said(night_of(stream, x, None, sizes)))
        assert len(rows[0]) == 21
        assert rows[0] == rows[1] == rows[2] == said(stager.predict_recording(x, sfreq=50))

    @pytest.mark.parametrize("mode", ["direct", "cot"])
    def test_in_every_mode(self, stager: Stager, nights: dict[float, np.ndarray], mode: str) -> None:
        x = nights[256.0][: 256 * 75]
        with stager.stream(256, mode=mode) as stream:
            found = night_of(stream, x, None, [500])
        assert said(found) == said(stager.predict_recording(x, sfreq=256, mode=mode))

    @pytest.mark.parametrize("extra", [-2, -1, 0, 1, 2])
    def test_at_the_edges_of_the_last_epoch(
        self, stager: Stager, nights: dict[float, np.ndarray], extra: int
    ) -> None:
        for rate in (100.0, 256.0):
            x = nights[rate][: round(60 * rate) + extra]
            with stager.stream(rate) as stream:
                found = night_of(stream, x, None, [round(rate)])
            assert said(found) == said(stager.predict_recording(x, sfreq=rate))

    @pytest.mark.parametrize(("unit", "factor"), [("mV", 1e-3), ("V", 1e-6)])
    def test_in_any_unit(
        self, stager: Stager, nights: dict[float, np.ndarray], unit: str, factor: float
    ) -> None:
        x = nights[100.0][:6000].astype(np.float64) * factor
        with stager.stream(100, unit=unit) as stream:
            found = night_of(stream, x, None, [700])
        assert said(found) == said(stager.predict_recording(x, sfreq=100, unit=unit))

    def test_an_epoch_is_answered_once_the_lookahead_has_come(
        self, stager: Stager, nights: dict[float, np.ndarray]
    ) -> None:
        for rate in (100.0, 256.0, 50.0):
            with stager.stream(rate) as stream:
                n = round(EPOCH_S * rate)
                ahead = round(stream.lookahead_s * rate)
                assert stream.push(nights[rate][: n - 1 + ahead]) == []
                assert len(stream.push(nights[rate][n - 1 + ahead : n + ahead + 1])) == 1

    def test_a_night_without_a_sample_is_empty(self, stager: Stager) -> None:
        with stager.stream(256) as stream:
            assert stream.push([]) == []
        assert stream.night.total == 0


class TestProvisional:
    def test_every_hop_over_the_latest_30_s_by_the_head(
        self, stager: Stager, nights: dict[float, np.ndarray]
    ) -> None:
        x = nights[256.0][: 256 * 91]
        with stager.stream(256, mode="cot", options=StreamOptions(hop_s=10)) as stream:
            found = night_of(stream, x, None, [640])
        opinions = [p for p in found if p.provisional]
        assert [p.start_s for p in opinions] == [10, 20, 40, 50]
        assert {(p.mode, p.source) for p in opinions} == {(Mode.HEAD, AnsweredBy.HEAD)}
        assert [p.index for p in opinions] == [1, 1, 2, 2]
        assert stream.night.provisional == 4
        assert said(p for p in found if not p.provisional) == said(
            stager.predict_recording(x, sfreq=256, mode="cot")
        )

    def test_whatever_the_pieces(self, stager: Stager, nights: dict[float, np.ndarray]) -> None:
        x = nights[128.0][: 128 * 80]
        rows = []
        for sizes in ([13, 500], [10**6], [128]):
            with stager.stream(128, options=StreamOptions(hop_s=2.5)) as stream:
                rows.append(said(night_of(stream, x, None, sizes)))
        assert rows[0] == rows[1] == rows[2]


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "error"),
        [
            ({"sfreq": 20}, SamplingRateError),
            ({"unit": "kV"}, UnitError),
            ({"mode": "fast"}, InputError),
            ({"options": StreamOptions(smooth="causal")}, BundleError),
        ],
    )
    def test_what_cannot_be_is_refused(self, stager: Stager, options: dict, error: type) -> None:
        with pytest.raises(error):
            stager.stream(**{"sfreq": 256, **options})

    @pytest.mark.parametrize(
        "options",
        [
            {"hop_s": 31},
            {"hop_s": 0},
            {"deadline_s": -1},
            {"deadline_s": float("nan")},
            {"lights_off_s": float("inf")},
            {"tolerance_s": 0},
            {"max_gap_s": -1},
            {"lag_warning_s": 0},
            {"smooth": "viterbi"},
        ],
    )
    def test_an_option_that_cannot_be_is_refused_by_its_name(self, options: dict) -> None:
        with pytest.raises(InputError, match=f"^{next(iter(options))}: "):
            StreamOptions(**options)

    def test_keywords_of_version_0_1_warn_and_name_the_new_one(self, stager: Stager) -> None:
        with pytest.warns(DeprecationWarning, match=r"StreamOptions\(hop_s=10\)"):
            old = stager.stream(100, hop=10)
        x = simulate_night(5, hours=0.02).samples_uv[:6000]
        with stager.stream(100, options=StreamOptions(hop_s=10)) as new, old:
            assert said(old.push(x)) == said(new.push(x))
        with pytest.warns(DeprecationWarning, match="smooth='causal'"), pytest.raises(BundleError):
            stager.stream(100, smooth=True)
        with pytest.raises(TypeError, match="hops"):
            stager.stream(100, hops=10)

    @pytest.mark.parametrize(
        ("samples", "stamps"),
        [
            (np.ones((2, 2)), None),
            (["a"], None),
            (np.ones(3), np.ones(2)),
            (np.ones(2), np.array(["a", "b"])),
        ],
    )
    def test_what_is_no_signal_is_refused_and_the_night_goes_on(
        self, stager: Stager, samples: object, stamps: object
    ) -> None:
        with stager.stream(100) as stream:
            with pytest.raises(InputError):
                stream.push(samples, stamps)
            assert len(stream.push(np.ones(3000))) == 1

    def test_nothing_is_taken_after_the_end(self, stager: Stager) -> None:
        stream = stager.stream(100)
        stream.close()
        assert stream.close() == []
        with pytest.raises(InputError, match="closed"):
            stream.push([1.0])

    def test_a_wrong_unit_is_told_and_the_night_goes_on(
        self, stager: Stager, nights: dict[float, np.ndarray]
    ) -> None:
        events: list[StreamEvent] = []
        with stager.stream(100, on_event=events.append) as stream:
            stream.push(nights[100.0][:6000] * 1e-6)
        assert [event.kind for event in events] == [StreamEventKind.UNIT]
        assert stream.night.epochs[Outcome.ARTEFACT] == 2

    def test_the_samples_handed_over_may_be_used_again(
        self, stager: Stager, nights: dict[float, np.ndarray]
    ) -> None:
        buffer = np.empty(500, dtype=np.float32)
        found: list[StagePrediction] = []
        with stager.stream(100) as stream:
            for start in range(0, 6000, 500):
                buffer[:] = nights[100.0][start : start + 500]
                found += stream.push(buffer)
                buffer[:] = 0
        assert said(found) == said(stager.predict_recording(nights[100.0][:6000], sfreq=100))


class StallingSource:
    """A chunk source that falls quiet once, in the middle."""

    name, sfreq, channel = "test", 100.0, "Cz"

    def __init__(self, x: np.ndarray) -> None:
        self._all = list(chunks(x, 100.0))
        self._half = len(self._all) // 2

    def chunks(self) -> Iterator[Chunk]:
        while self._all:
            if len(self._all) == self._half:
                self._half = -1
                raise SourceStalledError("source", "quiet", "check the cable", seconds=5.0)
            yield self._all.pop(0)

    def close(self) -> None:
        self._all = []

    def __enter__(self) -> StallingSource:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class TestSources:
    def test_a_stall_is_told_and_the_night_stays_open(
        self, stager: Stager, nights: dict[float, np.ndarray]
    ) -> None:
        events: list[StreamEvent] = []
        x = nights[100.0][:9000]
        with StallingSource(x) as source, stager.stream(100, on_event=events.append) as stream:
            found = list(stream.run(source))
        assert said(found) == said(stager.predict_recording(x, sfreq=100))
        assert [event.kind for event in events] == [StreamEventKind.STALLED, StreamEventKind.SOURCE]
        assert events[1].detail == "recovered: samples again after 5 s"

    def test_what_befalls_the_source_is_told(self, stager: Stager) -> None:
        events: list[StreamEvent] = []
        nothing = np.zeros(0)
        chunk = Chunk(nothing, nothing, 1.0, (SourceEvent(SourceEventKind.RECONNECTED, 1.0, "after 3 s"),))
        with stager.stream(100, on_event=events.append) as stream:
            assert list(stream.run([chunk])) == []
        assert [(event.kind, event.detail) for event in events] == [
            (StreamEventKind.SOURCE, "reconnected: after 3 s")
        ]

    @pytest.mark.parametrize("kind", ["iterable", "source", "async"])
    def test_predictions_come_in_the_event_loop(
        self, stager: Stager, nights: dict[float, np.ndarray], kind: str
    ) -> None:
        x = nights[100.0][:9000]

        async def hose() -> AsyncIterator[Chunk]:
            for chunk in chunks(x, 100.0):
                await asyncio.sleep(0)
                yield chunk

        async def night() -> list[StagePrediction]:
            source = {"iterable": list(chunks(x, 100.0)), "source": StallingSource(x), "async": hose()}[kind]
            with stager.stream(100) as stream:
                return [p async for p in stream.aiter(source)]

        assert said(asyncio.run(night())) == said(stager.predict_recording(x, sfreq=100))

    def test_chunks_are_in_microvolts(self, stager: Stager) -> None:
        with stager.stream(100, unit="V") as stream, pytest.raises(InputError, match="µV"):
            list(stream.run(chunks(np.ones(10), 100)))

    def test_saturation_and_flat_signal_keep_their_place(
        self, stager: Stager, nights: dict[float, np.ndarray]
    ) -> None:
        x = nights[100.0][:12_000].copy()
        x[3000:6000] = 0
        x[6000:9000] = np.clip(x[6000:9000] * 100, -300, 300)
        with stager.stream(100) as stream:
            found = night_of(stream, x, None, [250])
        assert [p.outcome for p in found][1:3] == [Outcome.ARTEFACT] * 2
        assert QualityFlag.FLAT in found[1].quality.flags
        assert said(found)[0] == said(stager.predict_recording(x, sfreq=100))[0]
