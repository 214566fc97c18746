"""Every form a hypnogram is written in is read back: by ourselves, and by software that is not ours."""

from __future__ import annotations

import csv
import json
import warnings
from datetime import datetime

import edfio
import mne
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eegvlm_rt.errors import InputError, RecordingError
from eegvlm_rt.hypnogram import (
    FORMATS,
    Hypnogram,
    from_csv,
    from_json,
    from_yasa,
    read_bids_events,
    read_bids_hypnogram,
    read_edf,
    read_edfbrowser,
    read_profusion,
    write_format,
)
from eegvlm_rt.stages import STAGES, Stage

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import yasa

START = datetime(2024, 2, 28, 23, 59, 30)
NIGHT = Hypnogram.of([0, 1, 2, 3, 4, -1, 2, 0], START)
READERS = {
    "edf": read_edf,
    "edf-rk": read_edf,
    "csv": from_csv,
    "json": from_json,
    "bids": read_bids_events,
    "bids-hypnogram": read_bids_hypnogram,
    "profusion": read_profusion,
    "edfbrowser": read_edfbrowser,
}
stages = st.lists(st.sampled_from([*STAGES, None]), min_size=1, max_size=40)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(stages=stages.filter(lambda some: any(stage is not None for stage in some)))
@pytest.mark.parametrize("name", READERS)
def test_stages_come_back_from_every_form(tmp_path, name, stages):
    night = Hypnogram(tuple(stages), START)
    assert READERS[name](write_format(night, tmp_path, name)).stages == night.stages


@pytest.mark.parametrize("name", ["edf", "edf-rk", "csv", "json"])
def test_forms_that_know_the_clock_keep_it(tmp_path, name):
    assert READERS[name](write_format(NIGHT, tmp_path, name)).start == START


@pytest.mark.parametrize(("name", "third"), [("edf", "Sleep stage N2"), ("edf-rk", "Sleep stage 2")])
def test_edfio_and_mne_read_the_annotations(tmp_path, name, third):
    path = write_format(NIGHT, tmp_path, name)
    texts = [mark.text for mark in edfio.read_edf(path).annotations]
    assert (texts[2], texts[5]) == (third, "Sleep stage ?")
    marks = mne.read_annotations(path)
    assert list(marks.description) == texts
    assert list(marks.onset) == [30.0 * i for i in range(8)]


def test_yasa_takes_the_object_and_gives_it_back():
    theirs = NIGHT.to_yasa()
    assert isinstance(theirs, yasa.Hypnogram)
    assert list(theirs.hypno) == ["WAKE", "N1", "N2", "N3", "REM", "UNS", "N2", "WAKE"]
    assert from_yasa(theirs).stages == NIGHT.stages


def test_yasa_takes_the_probabilities():
    rows = [{stage: 0.6 if stage is Stage.N2 else 0.1 for stage in STAGES}] * 2
    theirs = Hypnogram.of([2, 2], START, rows).to_yasa()
    assert theirs.proba["N2"].tolist() == [0.6, 0.6]


def test_yasas_words_and_integers_are_stages():
    assert from_yasa(["WAKE", "REM", "ART"]).stages == (Stage.W, Stage.R, None)
    assert from_yasa([0, 4, -2]).stages == (Stage.W, Stage.R, None)


def test_a_yasa_hypnogram_of_other_epochs_is_refused():
    with pytest.raises(RecordingError, match="five stages per 30 s"):
        from_yasa(yasa.Hypnogram(["W", "S", "W", "S"], n_stages=2, freq="30s"))


def test_yasa_reads_the_profusion_file(tmp_path):
    scored = Hypnogram.of([0, 1, 2, 3, 4, 2], START)
    theirs = yasa.Hypnogram.from_profusion(str(write_format(scored, tmp_path, "profusion")))
    assert from_yasa(theirs).stages == scored.stages


def test_profusion_files_of_rechtschaffen_and_kales_are_read(tmp_path):
    path = write_format(NIGHT, tmp_path, "profusion")
    path.write_text(path.read_text().replace(">3<", ">4<").replace(">9<", ">6<"))
    assert read_profusion(path).stages == NIGHT.stages


def test_bids_files_are_tables_with_a_sidecar(tmp_path):
    path = write_format(NIGHT, tmp_path, "bids")
    with path.open() as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    assert rows[4] == {"onset": "120", "duration": "30", "trial_type": "Sleep stage R"}
    levels = json.loads(path.with_suffix(".json").read_text())["trial_type"]["Levels"]
    assert {row["trial_type"] for row in rows} <= set(levels)


def test_the_proposed_bids_hypnogram_says_that_it_is_provisional(tmp_path):
    path = write_format(NIGHT, tmp_path, "bids-hypnogram")
    lines = path.read_text().splitlines()
    assert lines[0].split("\t")[:3] == ["onset", "duration", "stage"]
    assert lines[6].split("\t")[2:] == ["n/a"] * 6
    assert "provisional" in json.loads(path.with_suffix(".json").read_text())["Status"]


def test_the_proposed_bids_hypnogram_keeps_probabilities_to_six_decimals(tmp_path):
    rows = [{stage: 0.6 if stage is Stage.N2 else 0.1 for stage in STAGES}, None]
    night = Hypnogram.of([2, -1], None, rows)
    assert read_bids_hypnogram(write_format(night, tmp_path, "bids-hypnogram")) == night


def test_an_unknown_form_lists_the_known_ones(tmp_path):
    with pytest.raises(InputError, match=", ".join(FORMATS)):
        write_format(NIGHT, tmp_path, "docx")


@pytest.mark.parametrize("code", [5, 9, 2.5, "N2"])
def test_a_code_that_is_no_stage_is_a_typed_error(code):
    with pytest.raises(InputError, match=r"stages\[1\].*0 W, 1 N1"):
        Hypnogram.of([0, code])


def test_probabilities_without_a_stage_are_a_typed_error():
    with pytest.raises(InputError, match=r"probabilities\[0\]"):
        Hypnogram.of([0], probabilities=[{Stage.W: 1.0}])


@pytest.mark.parametrize("read", [read_bids_events, read_bids_hypnogram, read_edfbrowser, read_profusion])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe\x00",
        b"onset\tduration\ttrial_type\nnan\t30\tSleep stage W\n",
        b"onset\tduration\ttrial_type\n0\n",
        b"onset\tduration\tstage\tp_W\tp_N1\tp_N2\tp_N3\tp_R\n0\t30\tN2\t1\t1\t0\t0\t0\n",
        b"onset\tduration\tstage\tp_W\tp_N1\tp_N2\tp_N3\tp_R\n30\t30\tN2\t1\t0\t0\t0\t0\n",
        b"Onset,Duration,Annotation\n1e400,30,Sleep stage W\n",
        b"Onset,Duration,Annotation\n0,30,Sleep stage 7\n",
        b"<EpochLength>20</EpochLength><SleepStages></SleepStages>",
        b"<EpochLength>30</EpochLength><SleepStages><SleepStage>8</SleepStage></SleepStages>",
        b"<EpochLength>30</EpochLength><SleepStages><SleepStage>1</SleepStage>x</SleepStages>",
    ],
)
def test_damaged_files_are_typed_errors(tmp_path, read, data):
    path = tmp_path / "night"
    path.write_bytes(data)
    with pytest.raises(RecordingError):
        read(path)
