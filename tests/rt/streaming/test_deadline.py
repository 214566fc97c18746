"""The stage is on time or is called late; reasons never delay it; a failing model ends no night."""

from __future__ import annotations

import time
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
import pytest

from eegvlm_rt.decoding import Finish
from eegvlm_rt.errors import BackendError
from eegvlm_rt.journal import Journal, read
from eegvlm_rt.prediction import AnsweredBy, Outcome
from eegvlm_rt.prompt import Mode
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.stager import Stager, StreamOptions
from eegvlm_rt.streaming import StreamEvent, StreamEventKind
from tests.rt.streaming.streams import night_of, said
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Faulty:
    """A part of the model that does something else first, at some of its calls."""

    def __init__(self, part: Callable, before: Callable[[int], None]) -> None:
        self._part, self._before, self._calls = part, before, 0

    def __call__(self, *arguments: object) -> object:
        self._calls += 1
        self._before(self._calls - 1)
        return self._part(*arguments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("deadline") / "tiny"
    write_tiny_bundle(place)
    return place


@pytest.fixture
def stager(folder: Path) -> Stager:
    return Stager.load(folder, threads=1)


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return simulate_night(6, hours=0.2).samples_uv[:15_000]


def fail_at(*calls: int) -> Callable[[int], None]:
    def before(call: int) -> None:
        if call in calls:
            raise BackendError("tower", "no memory left", "free some")

    return before


class TestOnTime:
    def test_the_stage_comes_at_once_and_the_reasons_follow(self, stager: Stager, x: np.ndarray) -> None:
        with stager.stream(100, options=StreamOptions(deadline_s=60.0)) as stream:
            first = stream.push(x[:3000])
            assert (first[0].provisional, first[0].mode, first[0].source) == (
                True,
                Mode.HEAD,
                AnsweredBy.HEAD,
            )
            rest = first[1:] + stream.push(x[3000:6000]) + stream.flush()
        final = [p for p in rest if not p.provisional]
        expected = list(stager.predict_recording(x[:6000], sfreq=100))
        assert said(final) != []
        for found, alone in zip(final, expected, strict=True):
            assert (found.stage, found.rationale_text) == (alone.stage, alone.rationale_text)
            assert found.finish is Finish.COMPLETE
            assert found.timing.stage_ms > 0
        assert stream.night.epochs[Outcome.SCORED] == 2

    def test_reasons_that_cannot_finish_are_cut_at_a_sentence(self, stager: Stager, x: np.ndarray) -> None:
        pieces: list[str] = []

        def slowly(_: int, text: str) -> None:
            pieces.append(text)
            time.sleep(0.05)

        with stager.stream(100, on_text=slowly, options=StreamOptions(deadline_s=0.4)) as stream:
            found = stream.push(x[:3000]) + stream.flush()
        final = [p for p in found if not p.provisional]
        assert [p.finish for p in final] == [Finish.DEADLINE]
        assert final[0].outcome is Outcome.SCORED
        assert final[0].stage is not None
        assert final[0].rationale_text == "" or final[0].rationale_text.endswith(".")

    def test_a_model_that_hangs_does_not_hold_up_the_stage(self, stager: Stager, x: np.ndarray) -> None:
        decoder = stager._pipeline.load_decoder()
        decoder.prefix = Faulty(decoder.prefix, lambda call: time.sleep(1.0 if call == 0 else 0))
        with stager.stream(100, options=StreamOptions(deadline_s=0.2)) as stream:
            started = time.perf_counter()
            found = stream.push(x[:3000])
            assert [p.provisional for p in found] == [True]
            assert time.perf_counter() - started < 1.0
            while not (done := stream.poll()):
                time.sleep(0.01)
            assert (done[0].source, done[0].finish) == (AnsweredBy.HEAD, Finish.DEADLINE)
            assert time.perf_counter() - started < 1.0

    def test_reasoning_can_be_cancelled(self, stager: Stager, x: np.ndarray) -> None:
        pieces: list[str] = []
        with stager.stream(100, on_text=lambda _, text: take(text)) as stream:

            def take(text: str) -> None:
                pieces.append(text)
                if len(pieces) == 8:
                    stream.cancel_rationale()

            found = stream.push(x[:3000])
            whole = stream.push(x[3000:6000])
        assert found[0].finish is Finish.CANCELLED
        assert found[0].stage is not None
        assert whole[0].finish is Finish.COMPLETE

    def test_text_comes_with_the_number_of_its_epoch(self, stager: Stager, x: np.ndarray) -> None:
        texts: dict[int, str] = {}

        def take(index: int, text: str) -> None:
            texts[index] = texts.get(index, "") + text

        with stager.stream(100, on_text=take) as stream:
            found = stream.push(x[:9000])
        assert {p.index: p.rationale_text for p in found} == texts


class TestLate:
    def test_a_stage_that_is_not_on_time_is_late_and_the_next_epoch_is_not(
        self, stager: Stager, x: np.ndarray
    ) -> None:
        stager._pipeline._tower = Faulty(
            stager._pipeline._tower, lambda call: time.sleep(0.6 if call == 1 else 0)
        )
        with stager.stream(100, mode="head", options=StreamOptions(deadline_s=0.5)) as stream:
            found = [p for start in range(0, 15_000, 3000) for p in stream.push(x[start : start + 3000])]
        outcomes = [p.outcome for p in found]
        assert outcomes == [Outcome.SCORED, Outcome.LATE, *[Outcome.SCORED] * 3]
        assert found[1].lag_s is not None
        assert found[1].lag_s > 0.5
        assert stream.night.epochs[Outcome.LATE] == 1

    def test_an_epoch_that_waited_too_long_on_the_wire_is_not_looked_at(
        self, stager: Stager, x: np.ndarray
    ) -> None:
        events: list[StreamEvent] = []
        with stager.stream(
            100, on_event=events.append, options=StreamOptions(deadline_s=2.0, lag_warning_s=60)
        ) as stream:
            late = stream.push(x[:3000], received_s=time.time() - 100)
            good = stream.push(x[3000:6000]) + stream.flush()
        assert [(p.outcome, p.stage, p.provisional) for p in late] == [(Outcome.LATE, None, False)]
        assert late[0].lag_s > 99
        assert good[-1].outcome is Outcome.SCORED
        assert [event.kind for event in events] == [StreamEventKind.LAG, StreamEventKind.CAUGHT_UP]
        assert stream.night.worst_lag_s > 99


class TestFailure:
    @pytest.mark.parametrize("deadline", [None, 60.0])
    def test_a_model_that_fails_is_a_row_and_the_night_goes_on(
        self, stager: Stager, x: np.ndarray, deadline: float | None
    ) -> None:
        expected = said(stager.predict_recording(x, sfreq=100, mode="head"))
        stager._pipeline._tower = Faulty(stager._pipeline._tower, fail_at(1, 3))
        events: list[StreamEvent] = []
        with stager.stream(
            100, mode="head", on_event=events.append, options=StreamOptions(deadline_s=deadline)
        ) as stream:
            found = night_of(stream, x, None, [3000])
        assert [p.outcome for p in found] == [
            Outcome.SCORED,
            Outcome.FAILED,
            Outcome.SCORED,
            Outcome.FAILED,
            Outcome.SCORED,
        ]
        assert "no memory left" in found[1].error
        assert [said(found)[i] for i in (0, 2, 4)] == [expected[i] for i in (0, 2, 4)]
        assert [event.kind for event in events] == [StreamEventKind.FAILED] * 2
        assert found[1].to_dict()["error"] == found[1].error

    def test_reasoning_that_fails_behind_the_stage_is_a_row_too(self, stager: Stager, x: np.ndarray) -> None:
        decoder = stager._pipeline.load_decoder()
        decoder.prefix = Faulty(decoder.prefix, fail_at(0))
        with stager.stream(100, options=StreamOptions(deadline_s=60.0)) as stream:
            found = stream.push(x[:6000]) + stream.flush()
        assert [p.outcome for p in found if not p.provisional] == [Outcome.FAILED, Outcome.SCORED]


class TestJournal:
    def test_everything_final_is_written_down(self, stager: Stager, x: np.ndarray, tmp_path: Path) -> None:
        with (
            Journal.create(tmp_path / "n.journal", {"who": "test"}) as journal,
            stager.stream(100, mode="head", journal=journal, options=StreamOptions(hop_s=10)) as stream,
        ):
            found = night_of(stream, x, 77 + np.arange(len(x)) / 100, [900])
        report = read(tmp_path / "n.journal")
        assert report.chain_ok
        rows = [record.body for record in report.records if record.kind == "prediction"]
        final = [p for p in found if not p.provisional]
        assert [row["index"] for row in rows] == [p.index for p in final] == list(range(5))
        assert [row["outcome"] for row in rows] == [p.outcome for p in final]
        assert len({row["samples_sha256"] for row in rows}) == 5
        assert rows[-1]["last_timestamp_s"] == pytest.approx(77 + 149.99)
        clock = next(record.body for record in report.records if record.kind == "clock")
        assert clock["grid_start_device_s"] == 77
        assert report.records[-1].kind == "shutdown"
        assert report.records[-1].body["night"]["epochs"]["scored"] == 5

    def test_a_night_that_was_cut_off_goes_on_in_its_journal(
        self, stager: Stager, x: np.ndarray, tmp_path: Path
    ) -> None:
        stamps = 77 + np.arange(len(x)) / 100
        journal = Journal.create(tmp_path / "n.journal", {})
        stream = stager.stream(100, mode="head", journal=journal)
        stream.push(x[:7000], stamps[:7000])
        stream.abandon()
        journal.close()
        journal, state = Journal.resume(tmp_path / "n.journal")
        assert (state.next_epoch_index, state.grid_start_device_s) == (2, 77)
        with journal, stager.stream(100, mode="head", journal=journal, resume=state) as stream:
            found = night_of(stream, x[7000:], stamps[7000:], [400])
        assert [p.index for p in found] == [2, 3, 4]
        assert found[0].quality.missing_share == pytest.approx(1 / 3, abs=1e-3)
        assert stream.night.total == 5

    def test_the_digest_is_that_of_the_raw_samples(
        self, stager: Stager, x: np.ndarray, tmp_path: Path
    ) -> None:
        with (
            Journal.create(tmp_path / "n.journal", {}) as journal,
            stager.stream(100, mode="head", journal=journal) as stream,
        ):
            stream.push(x[:3000])
        row = next(r.body for r in read(tmp_path / "n.journal").records if r.kind == "prediction")
        assert row["samples_sha256"] == sha256(x[:3000].tobytes()).hexdigest()
