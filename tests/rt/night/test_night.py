"""A night: one policy for its stages, whatever it is made of and whoever asks."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest
from edfio import Edf, EdfAnnotation, EdfSignal
from hypothesis import given, settings
from hypothesis import strategies as st

import eegvlm_rt as rt
from eegvlm_rt.errors import InputError
from eegvlm_rt.hypnogram import Hypnogram, from_csv, read_edf
from eegvlm_rt.hypnogram.model import MAX_EPOCHS
from eegvlm_rt.hypnogram.night_rows import counted_stage, flag_names, row_of, row_of_record
from eegvlm_rt.journal import Journal, read
from eegvlm_rt.night import Night, NightInfo, night_probabilities, night_stage
from eegvlm_rt.night.prediction_json import prediction_from_dict
from eegvlm_rt.prediction import Outcome
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.simulator.edf import write_edf
from eegvlm_rt.stages import STAGES, Stage
from tests.rt.cli.cli_runs import cli, eeg_uv

if TYPE_CHECKING:
    from pathlib import Path

    from eegvlm_rt.prediction import StagePrediction

START = datetime(2024, 1, 1, 23, 0)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated hour, whose smoothed stages differ from the raw ones in many epochs."""
    return write_edf(simulate_night(2, hours=1), tmp_path_factory.mktemp("night") / "night.edf")


@pytest.fixture(scope="module")
def stager() -> rt.Stager:
    return rt.Stager.load("nano", mode="head", threads=1)


@pytest.fixture(scope="module")
def predictions(stager: rt.Stager, recording: Path) -> list[StagePrediction]:
    return list(stager.predict_recording(recording, smooth="causal"))


class TestOnePolicy:
    @pytest.mark.parametrize("smooth", [[], ["--smooth"]])
    def test_a_streamed_night_and_its_exported_journal_are_the_same_night(
        self, capsys, recording, tmp_path, smooth
    ):
        journal, out = tmp_path / "night.journal", tmp_path / "out"
        command = ["stream", "--source", f"edf:{recording}@max", "--mode", "head", "--plain", *smooth]
        assert cli(capsys, *command, "--journal", journal, "--out", out)[0] == 0
        for name in ("hypnogram.csv", "hypnogram.edf"):
            assert cli(capsys, "journal", "export", journal, "-o", tmp_path / name)[0] == 0
            assert (tmp_path / name).read_bytes() == (out / name).read_bytes()
        raw = Night.from_journal(journal).raw_hypnogram.stages
        different = sum(a is not b for a, b in zip(from_csv(out / "hypnogram.csv").stages, raw, strict=True))
        assert (different > 5) == bool(smooth)

    def test_python_the_files_and_the_journals_record_agree(self, predictions, tmp_path):
        night = Night(predictions)
        night.write(tmp_path)
        with Journal.create(tmp_path / "j", {}) as journal:
            journal.append("clock", {"grid_start_device_s": 0.0, "grid_start_wall_s": 1.7e9})
            for prediction in predictions:
                journal.append("prediction", prediction.to_dict())
        again = Night.from_journal(tmp_path / "j")
        assert night.table().tobytes() == again.table().tobytes()
        # The memory's state is no part of what is said about an epoch: a journal keeps it beside that.
        assert list(again) == [replace(p, memory=None) for p in predictions]
        assert read_edf(tmp_path / "hypnogram.edf").stages == night.hypnogram.stages == again.hypnogram.stages
        assert night.hypnogram.stages == tuple(night_stage(p) for p in predictions)

    @pytest.mark.parametrize("outcome", Outcome)
    def test_an_epoch_counts_where_it_was_scored_if_late(self, outcome):
        own, smoothed = {s: float(s is Stage.W) for s in STAGES}, {s: float(s is Stage.R) for s in STAGES}
        counts = outcome in (Outcome.SCORED, Outcome.LATE)
        assert counted_stage(outcome, Stage.W, own, None) == ((Stage.W, own) if counts else (None, None))
        assert counted_stage(outcome, Stage.W, own, smoothed) == (
            (Stage.R, smoothed) if counts else (None, None)
        )
        assert counted_stage(outcome, None, own, smoothed) == (None, None)

    def test_smoothed_probabilities_are_believed_before_the_epochs_own(self, predictions):
        assert any(night_stage(p) is not p.stage for p in predictions)
        assert all(night_probabilities(p) == p.smoothed for p in predictions)
        alone = [replace(p, smoothed=None) for p in predictions]
        assert all(night_stage(p) is p.stage and night_probabilities(p) == p.probabilities for p in alone)

    def test_a_prediction_and_its_json_form_are_the_same_row(self, predictions):
        for p in predictions:
            assert (
                row_of(p).tobytes() == row_of_record(p.index, json.loads(json.dumps(p.to_dict()))).tobytes()
            )


class TestMade:
    def test_a_recording_is_staged_as_it_is_asked_for(self, stager, recording, predictions):
        night = stager.predict_night(recording, smooth="causal")
        assert (len(night), night.complete) == (0, False)
        first = next(iter(night))
        assert (first.index, len(night)) == (0, 1)
        assert "more to come" in repr(night)
        assert night.hypnogram.stages == tuple(night_stage(p) for p in predictions)
        assert night.complete
        assert [p.index for p in night] == list(range(120))
        assert night.info.channel == predictions[0].channel
        assert night.info.model_digest == stager.bundle.digest
        assert night.start == night.recording.start

    def test_arrays_and_recordings_give_the_same_night(self, stager):
        x = simulate_night(4, hours=0.1).samples_uv
        night = stager.predict_night(x, sfreq=100)
        assert len(night.run()) == 12
        assert list(night.proba.argmax(axis=1)) == [int(p.stage) for p in night]

    @pytest.mark.parametrize("source", [np.zeros((3, 3000)), [1, "a"], object(), np.array([])])
    def test_what_is_no_recording_is_refused(self, stager, source):
        with pytest.raises(InputError):
            stager.predict_night(source, sfreq=100)

    def test_stopping_keeps_what_is_there(self, stager, recording):
        night = stager.predict_night(recording)
        for p in night:
            if p.index == 4:
                night.stop()
        assert (len(night.hypnogram), night.complete) == (5, False)

    def test_an_error_on_the_way_keeps_what_is_there(self, predictions):
        def source():
            yield from predictions[:3]
            raise RuntimeError("the disk is gone")

        night = Night(source())
        with pytest.raises(RuntimeError, match="the disk is gone"):
            night.run()
        assert (len(night.hypnogram), night.complete) == (3, False)

    def test_a_cancelled_night_is_not_complete(self, stager, recording):
        done: list[int] = []
        night = stager.predict_night(recording, cancelled=lambda: len(done) > 3)
        done.extend(p.index for p in night)
        assert len(night.run()) < 120
        assert not night.complete

    def test_provisional_predictions_are_passed_over(self, predictions):
        opinion = replace(predictions[0], provisional=True)
        assert len(Night([opinion, predictions[0], replace(opinion, index=7)]).run()) == 1

    @pytest.mark.parametrize("index", [0, -1])
    def test_two_predictions_for_one_epoch_are_refused(self, predictions, index):
        with pytest.raises(InputError, match="give predict_epoch"):
            Night([predictions[0], replace(predictions[1], index=index)]).run()

    def test_epochs_that_never_came_are_unscored(self, predictions):
        night = Night([predictions[0], predictions[3]])
        assert [s is None for s in night.hypnogram.stages] == [False, True, True, False]
        assert list(night.table()["outcome"]) == ["scored", "", "", "scored"]
        assert np.isnan(night.proba[1:3]).all()

    def test_epochs_after_a_week_are_counted_and_left_out(self, predictions):
        night = Night([predictions[0], replace(predictions[1], index=MAX_EPOCHS)])
        assert (len(night.run()), night.beyond) == (1, 1)

    def test_without_keep_nothing_but_numbers_stays(self, predictions):
        night = Night(keep=False)
        for p in predictions:
            night.add(p)
        assert night.predictions == ()
        assert night.table().tobytes() == Night(predictions).table().tobytes()


class TestAsked:
    def test_the_table_has_a_record_per_epoch(self, predictions):
        table = Night(predictions).table()
        assert table.shape == (120,)
        assert list(table["epoch"]) == list(range(120))
        np.testing.assert_array_equal(table["raw_stage"], [int(p.stage) for p in predictions])
        np.testing.assert_array_equal(table["raw_proba"], [p.proba for p in predictions])
        assert [flag_names(int(bits)) for bits in table["flags"]] == [
            sorted(p.quality.flags, key=lambda flag: list(type(flag)).index(flag)) for p in predictions
        ]

    def test_pandas_has_the_same_with_names(self, predictions):
        frame = Night(predictions).to_pandas()
        assert list(frame["stage"]) == [night_stage(p).name for p in predictions]
        np.testing.assert_allclose(frame["p_N2"], [p.smoothed["N2"] for p in predictions])

    def test_yasa_has_the_same_stages_and_probabilities(self, predictions):
        hypnogram = Night(predictions, NightInfo(start=START)).to_yasa()
        assert list(hypnogram.hypno) == [
            {"W": "WAKE", "R": "REM"}.get(night_stage(p).name, night_stage(p).name) for p in predictions
        ]
        np.testing.assert_allclose(hypnogram.proba.to_numpy(), Night(predictions).proba)

    def test_files_are_written_into_a_folder_that_is_made(self, predictions, tmp_path):
        files = Night(predictions, NightInfo(start=START)).write(
            tmp_path / "a" / "b", formats=("json", "csv")
        )
        names = {path.name for path in files}
        assert {"hypnogram.edf", "hypnogram.csv", "hypnogram.json", "predictions.json"} <= names
        kept = json.loads((tmp_path / "a" / "b" / "predictions.json").read_text(encoding="utf-8"))
        assert len(kept["epochs"]) == 120
        assert read_edf(tmp_path / "a" / "b" / "hypnogram.edf").start == START

    def test_its_representation_is_a_few_lines(self, predictions):
        night = Night(predictions, NightInfo("night.edf", "Fpz", 100.0, START, 7200.0, "nano", "", "head"))
        text = repr(night.run())
        assert text.count("\n") == 2
        assert "night.edf Fpz, nano head" in text
        assert "120 epochs, 1.0 h from 2024-01-01 23:00:00" in text


class TestPrediction:
    def test_its_representation_is_one_line(self, predictions):
        text = repr(predictions[4])
        stage = predictions[4].stage
        assert "\n" not in text
        assert text.startswith(f"StagePrediction(4, 00:02:00, {stage.name} ")
        assert len(text) < 110

    def test_a_stage_is_named_by_itself_its_name_or_its_index(self, predictions):
        p = predictions[0]
        for stage in STAGES:
            assert p.probabilities["N2"] == p.probabilities[Stage.N2] == p.probabilities[2]
            assert p.smoothed[stage.name] == p.smoothed[stage]
            assert p.head.probabilities[stage.name] == p.head.probabilities[stage]
            assert p.proba[stage] == p.probabilities[stage.name]
            assert stage.name in p.probabilities
        assert "REM" not in p.probabilities
        with pytest.raises(KeyError, match="REM"):
            p.probabilities["REM"]

    @pytest.mark.parametrize("mode", ["head", "direct", "cot"])
    def test_what_json_holds_is_the_same_prediction(self, mode):
        x = simulate_night(6, hours=0.05).samples_uv.copy()
        x[3000:6000] = np.nan
        stager = rt.Stager.load("nano", mode=mode, threads=1)
        found = list(stager.predict_recording(x, sfreq=100, smooth="causal"))
        for p in found:
            again = prediction_from_dict(json.loads(json.dumps(p.to_dict())))
            assert again.to_dict() == p.to_dict()
            assert again.rationale == p.rationale
            assert again.checks == p.checks
        assert found[1].stage is None

    @settings(max_examples=60, deadline=None)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
            ),
            max_leaves=5,
        ),
        st.data(),
    )
    def test_fields_of_the_wrong_kind_are_refused_and_still_have_a_row(self, wrong, data):
        fields = json.loads(json.dumps(sample_fields()))
        fields[data.draw(st.sampled_from(sorted(fields)))] = wrong
        try:
            prediction_from_dict(fields)
        except InputError as error:
            assert "prediction" in str(error)  # noqa: PT017
        assert row_of_record(0, fields)["epoch"] == 0


def sample_fields() -> dict:
    x = np.sin(np.arange(3000) / 10) * 20
    return rt.predict_epoch(x, 100, mode="head").to_dict()


def test_a_night_that_was_resumed_has_what_both_parts_staged(capsys, recording, tmp_path):
    journal = tmp_path / "night.journal"
    common = ("--mode", "head", "--plain", "--smooth", "--journal", journal)
    assert cli(capsys, "stream", "--source", f"edf:{recording}@max", *common)[0] == 0
    whole = Night.from_journal(journal)
    data, records = journal.read_bytes(), read(journal).records
    cut = next(r.offset for r in records if r.kind == "prediction" and r.body["index"] == 60)
    journal.write_bytes(data[:cut])
    out = tmp_path / "out"
    again = ("--resume", "--out", out)
    assert cli(capsys, "stream", "--source", f"edf:{recording}@max", *common, *again)[0] == 0
    resumed = Night.from_journal(journal)
    assert from_csv(out / "hypnogram.csv").stages == resumed.hypnogram.stages
    # The filters start anew at epoch 60; from a few epochs later on both nights are the same.
    assert resumed.hypnogram.stages[:60] == whole.hypnogram.stages[:60]
    assert len(resumed.hypnogram) == len(whole.hypnogram) == 120


class TestLights:
    @pytest.fixture
    def marked(self, tmp_path: Path) -> Path:
        """A recording of 40 epochs whose annotations say lights off at 5 min and on at 18 min."""
        marks = [EdfAnnotation(s, None, text) for s, text in ((300.0, "Lights off"), (1085.0, "LIGHTS ON"))]
        signal = EdfSignal(eeg_uv(1200), 100, label="EEG Fpz-Cz", physical_dimension="uV")
        path = tmp_path / "marked.edf"
        Edf([signal], annotations=marks).write(path)
        return path

    def test_they_are_taken_from_the_recordings_annotations(self, stager, marked):
        found = stager.predict_night(marked).statistics()
        assert (found.lights_off, found.lights_on, found.recording_min) == (10, 36, 13.0)
        assert (found.lights_off_known, found.lights_on_known) == ("taken", "taken")

    def test_a_part_of_the_recording_has_them_at_their_place_in_it(self, stager, marked):
        mne = pytest.importorskip("mne")
        part = mne.io.read_raw_edf(marked, verbose="error").crop(tmin=240.0)
        found = stager.predict_night(part).statistics()
        assert (found.lights_off, found.lights_on, found.recording_min) == (2, 28, 13.0)

    def test_what_is_given_counts_before_what_is_taken(self, stager, marked):
        night = stager.predict_night(marked)
        found = night.statistics(lights_off=2)
        assert (found.lights_off, found.lights_on) == (2, 36)
        assert (found.lights_off_known, found.lights_on_known) == ("given", "taken")
        with pytest.raises(InputError, match="within 0 to 40"):
            night.statistics(lights_off=39, lights_on=3)

    def test_without_them_they_are_unknown(self, stager, recording):
        found = stager.predict_night(recording).statistics()
        assert (found.lights_off_known, found.lights_on_known) == ("unknown", "unknown")
        assert found.recording_min == 60

    @pytest.mark.parametrize(("off_s", "on_s"), [(5e5, None), (-60.0, None), (None, 9e9), (900.0, 300.0)])
    def test_lights_outside_the_night_are_no_lights(self, predictions, off_s, on_s):
        night = Night(predictions, NightInfo(lights_off_s=off_s, lights_on_s=on_s))
        assert "unknown" in {night.statistics().lights_off_known, night.statistics().lights_on_known}

    def test_a_stream_that_is_told_of_lights_off_begins_there(self, capsys, recording, tmp_path):
        journal = tmp_path / "j"
        command = ["stream", "--source", f"edf:{recording}@max", "--mode", "head", "--plain"]
        assert cli(capsys, *command, "--lights-off", "+60", "--journal", journal)[0] == 0
        found = Night.from_journal(journal).statistics()
        assert (found.lights_off, found.lights_off_known) == (0, "taken")

    def test_estimates_come_from_the_whole_night_whatever_smoothing_was_asked_for(self, stager, recording):
        plain, smoothed = (stager.predict_night(recording, smooth=how) for how in (None, "cycles"))
        assert plain.intervals(draws=40) == smoothed.intervals(draws=40)
        assert plain.hypnogram.stages != smoothed.hypnogram.stages

    def test_stages_without_probabilities_are_kept_by_every_draw(self, stager, recording):
        night = stager.predict_night(recording)
        reviewed = Hypnogram(tuple([Stage.N2] * len(night.run())))
        estimates = night.intervals(hypnogram=reviewed, draws=40)
        assert (estimates["sleep_min"].low, estimates["N2_min"].high) == (len(night) / 2, len(night) / 2)

    def test_intervals_count_between_the_same_lights(self, stager, marked):
        night = stager.predict_night(marked)
        minutes = sum(night.statistics().stage_min.values())
        intervals = night.intervals(draws=40)
        highs = [intervals[f"{s.name}_min"].high for s in STAGES]
        assert all(high <= minutes for high in highs)
