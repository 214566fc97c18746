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
    read_edfbrowser,
    read_profusion,
    write_format,
)
from eegvlm_rt.stages import STAGES, Stage
from tests.rt.hypnogram.readers import READERS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import yasa

START = datetime(2024, 2, 28, 23, 59, 30)
NIGHT = Hypnogram.of([0, 1, 2, 3, 4, -1, 2, 0], START)
CSV = "epoch,start_s,clock,stage,p_W,p_N1,p_N2,p_N3,p_R\n"
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
        b"onset\tduration\tstage\tp_W\tp_N1\tp_N2\tp_N3\tp_R\n0\t30\t2\t1\t1\t0\t0\t0\n",
        b"onset\tduration\tstage\n-30\t30\tN2\n",
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


@pytest.mark.parametrize(
    ("text", "stages"),
    [
        ("onset\tduration\tstage\n0\t60\tWake\n60\t30\tN2\n", (Stage.W, Stage.W, Stage.N2)),
        ("onset\tduration\ttrial_type\n0\t30\tW\n30\t30\tN2\n", (Stage.W, Stage.N2)),
        ("\ufeffonset\tduration\ttrial_type\n0\t30\tSleep stage W\n", (Stage.W,)),
        ("onset\tduration\tsleep_stage\r\n0\tn/a\tREM\r\n90\t30\tn/a\r\n", (Stage.R,) * 3 + (None,)),
        ("duration\tvalue\tonset\n30\tSleep stage 4\t30\n", (None, Stage.N3)),
        (
            "onset\tduration\ttrial_type\tnote\n0\t30\tN1\n9\t2\tArousal\tspontaneous\n30\t60\tN2\tx\n12\t1\t3\n",
            (Stage.N1, Stage.N2, Stage.N2),
        ),
    ],
)
def test_bids_events_are_read_however_their_stages_are_named(tmp_path, text, stages):
    path = tmp_path / "e_events.tsv"
    path.write_text(text, encoding="utf-8", newline="")
    assert read_bids_events(path).stages == stages


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("onset\tduration\ttrial_type\n0\t30\n", "row 2: 2 cells; has no trial_type"),
        ("onset\tduration\n0\t30\n", "no column stage or sleep_stage or trial_type or value; its columns"),
        (
            "onset,duration,stage\n0,30,W\n",
            "no column onset; its columns (tabs between) are: onset,duration,stage",
        ),
        (
            "onset\tduration\tstage\n0\t30\tW\n30\t30\tdoze\n",
            "row 3, stage: doze; give W, N1, N2, N3, R or an EDF+",
        ),
        ("onset\tduration\tstage\n0\t30\t4\n", "row 2, stage: 4; give W, N1"),
        ("onset\tduration\tstage\n0\tlong\tW\n", "row 2, duration: long; give a number of seconds"),
        ("onset\tduration\ttrial_type\n0\t30\tSleep stage X\n", "row 2, trial_type: Sleep stage X; give W"),
        (
            "onset\tduration\ttrial_type\n0\t30\tArousal\n",
            "its column trial_type names no sleep stage; write W, N1",
        ),
        ("", "no column onset; its columns (tabs between) are: none"),
    ],
)
def test_bids_events_that_cannot_be_read_say_which_row_and_which_words_are(tmp_path, text, words):
    path = tmp_path / "e_events.tsv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecordingError) as caught:
        read_bids_events(path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("read", "text", "words"),
    [
        (from_csv, "epoch,stage\n1,W\n", "columns: epoch,stage; must be epoch,start_s"),
        (from_csv, CSV + "1,0,,W,,,,\n", "row 2, epoch: 1; give epoch 1, in 9 cells"),
        (from_csv, CSV + "1,0,yesterday,W,,,,,\n", "row 2, clock: yesterday; give an ISO 8601 time"),
        (from_csv, CSV + "1,0,,W,a,0,0,0,0\n", "row 2, p_W: a; give 0 to 1"),
        (from_csv, CSV + "1,0,,S2,,,,,\n", "row 2, stage: S2; give W, N1, N2, N3, R or ?"),
        (from_json, "{", "no JSON, see line 1"),
        (from_json, "[" * 100_000, "no JSON, see its depth"),
        (from_json, "[]", "format: None; no hypnogram of ours"),
        (
            from_json,
            '{"format": "eegvlm-rt hypnogram", "version": 2}',
            "version: 2; no hypnogram of ours, which has 1",
        ),
        (
            read_edfbrowser,
            "Onset,Duration,Annotation\nx,30,Sleep stage W\n",
            "row 2, Onset: x; give a number",
        ),
        (read_edfbrowser, "Onset,Duration,Annotation\n0,30\n", "row 2: 2 cells; has no Annotation"),
    ],
)
def test_no_error_speaks_python(tmp_path, read, text, words):
    path = tmp_path / "h"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecordingError) as caught:
        read(path)
    assert words in str(caught.value)
