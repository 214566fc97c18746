"""eegvlm-rt stage on files as they are: the night is staged, and what is left out or guessed is said."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from eegvlm_rt.hypnogram import Hypnogram, write_edf
from eegvlm_rt.stages import Stage
from tests.rt.cli.cli_runs import cli, save_recording
from tests.rt.sources.edf_bytes import eeg, timekeeping, wave_uv, write
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path

N = 90
UV = wave_uv(N)
STAGES = [Stage.W] * 10 + [Stage.N3] * 10


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_tiny_bundle(folder / "nano")
    return folder


@pytest.fixture(autouse=True)
def _environment(monkeypatch, models):
    monkeypatch.setenv("EEGVLM_RT_MODELS", str(models))


def staged(capsys, *argv: object) -> tuple[dict, str]:
    status, out, err = cli(capsys, "stage", *argv, "--mode", "head", "--json")
    assert status == 0, err
    return json.loads(out.splitlines()[-1]), err


@pytest.mark.parametrize(
    ("options", "kind", "records", "seconds", "words"),
    [
        ({"promised": b"-1"}, "records", 0, 0.0, "did not close the file"),
        ({"promised": b"91"}, "records", 1, 1.0, "1 (1 s) missing"),
        ({"tail": bytes(101)}, "records", 1, 0.505, "0.505 s are left out"),
        ({"date": b"??.??.??", "recording": b""}, "start", 0, 0.0, "the start is unknown"),
    ],
)
def test_what_is_left_out_is_said_and_recorded(capsys, tmp_path, options, kind, records, seconds, words):
    path = write(tmp_path / "n.edf", eeg(UV), n=N, reserved=b"", **options)
    summary, err = staged(capsys, path)
    (remark,) = summary["recording"]["remarks"]
    assert (remark["kind"], remark["records"], remark["seconds"]) == (kind, records, seconds)
    assert words in remark["text"]
    assert err == f"eegvlm-rt: n.edf: {remark['text']}\n"
    assert summary["summary"]["epochs"] == 3


def test_a_sound_file_has_no_remarks(capsys, tmp_path):
    summary, err = staged(capsys, save_recording(tmp_path / "n.edf"))
    assert (summary["recording"]["remarks"], err) == ([], "")


def test_a_stream_says_it_too(capsys, tmp_path):
    path = write(tmp_path / "n.edf", eeg(UV), timekeeping(), n=N, promised=b"92")
    status, out, err = cli(capsys, "stream", "--source", f"edf:{path}@max", "--mode", "head", "--json")
    summary = json.loads(out.splitlines()[-1])
    assert status == 0
    assert summary["warnings"] == [
        "recording: the header promises 92 data records, the file holds 90: 2 (2 s) missing"
    ]
    assert "2 (2 s) missing" in err


def test_a_unit_that_cannot_be_read_can_be_said(capsys, tmp_path):
    path = write(tmp_path / "n.edf", eeg(UV, unit=b"\xff\xfeV"), n=N, reserved=b"")
    status, _, err = cli(capsys, "stage", path, "--mode", "head")
    assert status == 2
    assert "say its unit (unit, --unit)" in err
    assert staged(capsys, path, "--unit", "uV")[0]["summary"]["epochs"] == 3
    assert cli(capsys, "render", path, "--unit", "uV", "-o", tmp_path / "e.png")[0] == 0


# --- truth ----------------------------------------------------------------------------------------


def truth(tmp_path, start: datetime | None) -> Path:
    return write_edf(Hypnogram(tuple(STAGES), start), tmp_path / "truth.edf")


def night(tmp_path, **more) -> Path:
    return write(tmp_path / "n.edf", eeg(wave_uv(600)), n=600, reserved=b"", recording=b"", **more)


@pytest.mark.parametrize(
    ("date", "time", "start", "more", "basis", "offset_s", "n"),
    [
        (b"01.05.20", b"21.55.00", datetime(2020, 5, 1, 22), (), "clock", -300.0, 10),
        (b"1.5.20", b"21.55.00", datetime(2020, 5, 1, 22), (), "clock", -300.0, 10),
        (b"01.01.85", b"22.05.00", datetime(2020, 5, 1, 22), (), "time of day", 300.0, 10),
        (b"01.05.20", b"22.05.00", datetime(1985, 1, 1, 22), (), "time of day", 300.0, 10),
        (b"01.01.85", b"00.00.00", datetime(2020, 5, 1, 22), (), "unknown", None, 20),
        (b"30.02.20", b"22.05.00", datetime(2020, 5, 1, 22), (), "unknown", None, 20),
        (b"01.05.20", b"22.05.00", None, (), "unknown", None, 20),
        (b"30.02.20", b"22.05.00", None, ("--truth-offset", "150"), "given", 150.0, 15),
        (b"01.05.20", b"22.05.00", datetime(2020, 5, 1, 22), ("--truth-offset", "-150"), "given", -150.0, 15),
    ],
)
@pytest.mark.filterwarnings("default::eegvlm_rt.errors.RecordingWarning")
def test_how_far_apart_recording_and_truth_begin_is_known_or_said(
    capsys, tmp_path, date, time, start, more, basis, offset_s, n
):
    path = night(tmp_path, date=date, time=time)
    summary, err = staged(capsys, path, "--truth", truth(tmp_path, start), *more)
    assert summary["truth"]["alignment"] == {"offset_s": offset_s, "basis": basis}
    assert summary["agreement"]["n"] == n
    doubtful = basis in ("unknown", "time of day")
    kinds = [remark["kind"] for remark in summary["truth"]["remarks"]]
    assert kinds == (["alignment"] if doubtful else [])
    assert ("truth.edf: " in err) == doubtful
    _, out, _ = cli(capsys, "stage", path, "--mode", "head", "--truth", tmp_path / "truth.edf", *more)
    assert ("both taken to begin together: a start is unknown" in out) == (basis == "unknown")
    assert ("aligned by the time of day" in out) == (basis == "time of day")


def test_an_offset_needs_a_truth(capsys, tmp_path):
    status, _, err = cli(capsys, "stage", night(tmp_path), "--truth-offset", "30")
    assert (status, "add --truth FILE" in err) == (2, True)


def test_an_offset_between_epochs_is_refused(capsys, tmp_path):
    path = truth(tmp_path, None)
    status, _, err = cli(capsys, "stage", night(tmp_path), "--truth", path, "--truth-offset", "12")
    assert (status, "12 s apart" in err) == (2, True)


def test_a_stage_that_is_left_out_of_the_truth_is_said(capsys, tmp_path):
    path = truth(tmp_path, datetime(2020, 5, 1, 22))
    path.write_bytes(path.read_bytes().replace(b"+60\x15", b"60 \x15", 1))
    summary, err = staged(capsys, night(tmp_path), "--truth", path)
    assert summary["agreement"]["n"] == 19
    assert [remark["kind"] for remark in summary["truth"]["remarks"]] == ["annotations"]
    assert "1 entries are no annotation and are left out" in err


# --- names of options -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "value"),
    [
        ("--deadline", "3"),
        ("--hop", "5"),
        ("--timeout", "2"),
        ("--lag-warning", "9"),
        ("--tolerance", "0.05"),
    ],
)
def test_an_option_under_its_old_name_works_and_names_the_new_one(capsys, tmp_path, old, value):
    path = save_recording(tmp_path / "n.edf")
    command = ("stream", "--source", f"edf:{path}@max", "--mode", "head", "--json")
    status, out, err = cli(capsys, *command, old, value)
    assert status == 0
    assert err == f"eegvlm-rt: {old} goes in the next release: use {old}-s\n"
    _, same, err = cli(capsys, *command, f"{old}-s", value)
    assert err == ""
    assert json.loads(out.splitlines()[0]) == json.loads(same.splitlines()[0])


def test_render_takes_its_file_by_the_name_that_other_commands_use(capsys, tmp_path):
    path = save_recording(tmp_path / "n.edf")
    assert cli(capsys, "render", path, "--out", tmp_path / "a.png")[2] == ""
    status, _, err = cli(capsys, "render", path, "--output", tmp_path / "b.png")
    assert (status, err) == (0, "eegvlm-rt: --output goes in the next release: use --out\n")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert cli(capsys, "render", path)[0] == 2


def test_an_error_stands_alone_though_an_option_has_its_old_name(capsys, tmp_path):
    source = f"edf:{tmp_path / 'none.edf'}@max"
    status, out, err = cli(capsys, "stream", "--source", source, "--deadline", "3")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert "--deadline" not in err
