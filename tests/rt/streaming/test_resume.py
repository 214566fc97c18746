"""A stream that goes on after a kill or a power cut: its grid, its clock, its smoother, its losses."""

from __future__ import annotations

import json
import shutil
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from eegvlm_rt.calibration import CausalSmoother
from eegvlm_rt.calibration.recording import scored_probabilities
from eegvlm_rt.journal import Journal, night_state, read
from eegvlm_rt.night import Night
from eegvlm_rt.prediction import Outcome
from eegvlm_rt.signal.quality import QualityFlag
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.stager import Stager, StreamOptions
from eegvlm_rt.streaming import StreamEvent, StreamEventKind
from tests.rt.calibration.test_calibration import SCORING
from tests.rt.streaming.streams import said
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from eegvlm_rt.prediction import StagePrediction


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("resume") / "tiny"
    write_tiny_bundle(place)
    return place


@pytest.fixture(scope="module")
def stager(folder: Path) -> Stager:
    return Stager.load(folder, threads=1, mode="head")


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return simulate_night(8, hours=0.3).samples_uv[:36_000]


def first_part(stager: Stager, path: Path, x: np.ndarray, at_s: float, began: float) -> None:
    """75 s of a night whose device's clock stood at `at_s`, then a power cut."""
    with Journal.create(path, {}) as journal:
        stream = stager.stream(100, journal=journal)
        stream.push(x[:7500], at_s + np.arange(7500) / 100, received_s=began + 75)
        stream.abandon()


class TestClock:
    def test_a_device_that_counts_from_power_on_is_placed_by_the_hosts_clock(
        self, stager: Stager, x: np.ndarray, tmp_path: Path
    ) -> None:
        began = time.time() - 300
        first_part(stager, tmp_path / "j", x, 40_000.0, began)
        journal, state = Journal.resume(tmp_path / "j")
        with journal, stager.stream(100, journal=journal, resume=state) as stream:
            found = stream.push(x[:9000], 12 + np.arange(9000) / 100, received_s=began + 200 + 90)
        assert [(p.index, p.outcome) for p in found] == [
            (2, Outcome.GAP),
            (3, Outcome.GAP),
            (4, Outcome.GAP),
            (5, Outcome.GAP),
            (6, Outcome.UNSCORABLE),
            (7, Outcome.SCORED),
            (8, Outcome.SCORED),
        ]
        assert found[4].quality.missing_share == pytest.approx(2 / 3, abs=0.01)
        assert QualityFlag.CLOCK in found[0].quality.flags
        assert stream.night.clock_jumps == 1

    def test_a_clock_that_went_on_is_believed_whatever_the_hosts_says(
        self, stager: Stager, x: np.ndarray, tmp_path: Path
    ) -> None:
        began = time.time() - 10_000
        first_part(stager, tmp_path / "j", x, 40_000.0, began)
        journal, state = Journal.resume(tmp_path / "j")
        with journal, stager.stream(100, journal=journal, resume=state) as stream:
            found = stream.push(x[9000:18_000], 40_090 + np.arange(9000) / 100, received_s=began + 9000)
        assert [p.index for p in found] == [2, 3, 4, 5]
        assert [p.outcome for p in found] == [Outcome.GAP, *[Outcome.SCORED] * 3]

    def test_a_host_whose_clock_is_days_off_adds_no_days(
        self, stager: Stager, x: np.ndarray, tmp_path: Path
    ) -> None:
        first_part(stager, tmp_path / "j", x, 40_000.0, time.time() - 9e6)
        journal, state = Journal.resume(tmp_path / "j")
        with journal, stager.stream(100, journal=journal, resume=state) as stream:
            found = stream.push(x[:6000], 12 + np.arange(6000) / 100)
        assert [(p.index, p.outcome) for p in found] == [(2, Outcome.SCORED), (3, Outcome.SCORED)]


def test_the_smoother_goes_on_where_it_was(folder: Path, x: np.ndarray, tmp_path: Path) -> None:
    scored = tmp_path / "scored"
    shutil.copytree(folder, scored)
    manifest = json.loads((scored / "manifest.json").read_text(encoding="utf-8"))
    manifest["scoring"] = SCORING.to_dict()
    (scored / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    stager = Stager.load(scored, threads=1, mode="head")
    stamps = 5.0 + np.arange(len(x)) / 100
    journal = Journal.create(tmp_path / "j", {})
    stream = stager.stream(100, journal=journal, options=StreamOptions(smooth="causal"))
    found = stream.push(x[:9000], stamps[:9000])
    stream.abandon()
    journal.close()
    journal, state = Journal.resume(tmp_path / "j")
    with (
        journal,
        stager.stream(100, journal=journal, resume=state, options=StreamOptions(smooth="causal")) as stream,
    ):
        found += stream.push(x[9000:18_000], stamps[9000:18_000])
    assert [p.index for p in found] == list(range(6))
    assert SCORING.smoother is not None
    running = CausalSmoother(SCORING.smoother)
    for prediction in found:
        assert prediction.smoothed == running.update(scored_probabilities(prediction))


class TestStageFirst:
    def test_the_stage_is_on_the_disk_before_the_reasons_are_there(
        self, folder: Path, x: np.ndarray, tmp_path: Path
    ) -> None:
        stager = Stager.load(folder, threads=1)
        journal = Journal.create(tmp_path / "j", {})
        stream = stager.stream(
            100, journal=journal, on_text=lambda *_: time.sleep(0.05), options=StreamOptions(deadline_s=60.0)
        )
        early: list[StagePrediction] = stream.push(x[:3000])
        assert early[0].provisional
        records = read(tmp_path / "j").records
        assert [r.kind for r in records if r.kind in ("stage", "prediction")] == ["stage"]
        state = night_state(records)
        assert (state.next_epoch_index, state.outcomes) == (1, {"scored": 1})
        assert Night.from_journal(records).hypnogram.stages == (early[0].stage,)
        final = stream.flush()
        journal.close()
        records = read(tmp_path / "j").records
        assert night_state(records).outcomes == {"scored": 1}
        assert Night.from_journal(records).hypnogram.stages == (final[-1].stage,)


class TestLosses:
    def test_a_journal_in_a_folder_that_comes_later_is_told_and_counted(
        self, stager: Stager, x: np.ndarray, tmp_path: Path
    ) -> None:
        events: list[StreamEvent] = []
        path = tmp_path / "usb-stick" / "j"
        with (
            Journal.create(path, {}) as journal,
            stager.stream(100, journal=journal, on_event=events.append) as stream,
        ):
            found = stream.push(x[:3000])
            assert stream.night.journal_losses > 0
            path.parent.mkdir()
            found += stream.push(x[3000:6000])
            lost = stream.night.journal_losses
            found += stream.push(x[6000:9000])
            assert stream.night.journal_losses == lost
        assert said(found) == said(stager.predict_recording(x[:9000], sfreq=100))
        assert [(event.kind, event.detail.split(":")[0]) for event in events] == [
            (StreamEventKind.JOURNAL, "cannot be written"),
            (StreamEventKind.JOURNAL, f"is written again; {lost} records were lost"),
        ]
        report = read(path)
        assert report.ok
        state = night_state(report.records)
        assert (state.lost_records, state.missing) == (lost, (0,))
        journal, resumed = Journal.resume(path)
        with journal, stager.stream(100, journal=journal, resume=resumed) as stream:
            assert (stream.night.journal_losses, stream.night.unrecorded) == (lost, 1)
            assert stream.night.total == 2
