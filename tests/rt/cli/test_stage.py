"""eegvlm-rt stage: every epoch gets a stage, probabilities and a reason, or there is one clear error."""

from __future__ import annotations

import json
import os
import re
import signal
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from eegvlm_rt.hypnogram import Hypnogram, from_csv, plot, read_edf, write_edf
from eegvlm_rt.stages import STAGES, Stage
from tests.rt.cli.cli_runs import cli, save_recording, start_cli

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("onnx")
from tests.rt.tiny_bundle import write_tiny_bundle

ROW = re.compile(r"^ +(\d+)  (\d\d:\d\d:\d\d)  (W|N1|N2|N3|R|\?) ", re.MULTILINE)
NOTICE = "Not a medical device"


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_tiny_bundle(folder / "nano")
    return folder


@pytest.fixture(autouse=True)
def _environment(monkeypatch, models):
    monkeypatch.setenv("EEGVLM_RT_MODELS", str(models))
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def recording(tmp_path) -> Path:
    return save_recording(tmp_path / "night.edf")


def json_lines(text: str) -> tuple[list[dict], dict]:
    *epochs, summary = (json.loads(line) for line in text.splitlines())
    assert [line["type"] for line in epochs] == ["epoch"] * len(epochs)
    assert summary["type"] == "summary"
    return epochs, summary


def test_every_epoch_has_a_row_with_its_clock_time(capsys, recording):
    status, out, err = cli(capsys, "stage", recording)
    assert (status, err) == (0, "")
    assert [found[:2] for found in ROW.findall(out)] == [
        ("1", "22:00:00"),
        ("2", "22:00:30"),
        ("3", "22:01:00"),
    ]


def test_short_recordings_come_with_all_their_reasons(capsys, recording):
    _, out, _ = cli(capsys, "stage", recording)
    assert out.count("Background:") == 3
    assert out.count(" Stage: ") == 3
    assert out.count("Checked against the signal:") == 3


def test_reasons_can_be_left_out(capsys, recording):
    _, out, _ = cli(capsys, "stage", recording, "--reasons", "none")
    assert "Background" not in out


def test_few_reasons_are_at_most_two_of_each_stage(capsys, tmp_path):
    recording = save_recording(tmp_path / "long.edf", epochs=12)
    _, out, _ = cli(capsys, "stage", recording, "--reasons", "few")
    stages = {found[2] for found in ROW.findall(out)}
    assert len(stages) <= out.count("Background:") <= 2 * len(stages)


def test_long_recordings_come_with_few_reasons(capsys, tmp_path):
    recording = save_recording(tmp_path / "long.edf", epochs=24)
    _, out, _ = cli(capsys, "stage", recording)
    assert len(ROW.findall(out)) == 24
    assert 1 <= out.count("Background:") <= 10


@pytest.mark.parametrize("mode", ["head", "direct"])
def test_modes_without_a_reason_show_what_was_measured(capsys, recording, mode):
    status, out, _ = cli(capsys, "stage", recording, "--mode", mode)
    assert status == 0
    assert "Background" not in out
    assert len(re.findall(r"spindles \d+, slow waves", out)) == 3


def test_reports_end_with_the_notice(capsys, recording):
    assert NOTICE in cli(capsys, "stage", recording)[1].splitlines()[-1]


@pytest.mark.parametrize("command", [[], ["stage"], ["demo"], ["render"], ["bundle", "verify"], ["info"]])
def test_help_carries_the_notice(capsys, command):
    status, out, _ = cli(capsys, *command, "--help")
    assert status == 0
    assert NOTICE in " ".join(out.split())


@pytest.mark.parametrize("columns", [80, 120])
def test_reports_fit_the_width_there_is(capsys, monkeypatch, tmp_path, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    recording = save_recording(tmp_path / "long.edf", epochs=12)
    _, out, _ = cli(capsys, "stage", recording, "--truth", recording)
    assert max(map(len, out.splitlines())) <= columns


def test_without_a_terminal_there_are_no_control_codes_and_no_progress(capsys, recording):
    _, out, err = cli(capsys, "stage", recording)
    assert "\x1b" not in out + err
    assert "\r" not in out + err


def test_no_color_means_no_color(capsys, monkeypatch, recording):
    monkeypatch.setenv("FORCE_COLOR", "1")
    colors = re.compile(r"\x1b\[[0-9;]*(3[0-8]|9[0-7])[0-9;]*m")
    assert colors.search(cli(capsys, "stage", recording)[1])
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colors.search(cli(capsys, "stage", recording)[1])


def test_json_is_one_line_per_epoch_and_a_summary(capsys, recording):
    status, out, err = cli(capsys, "stage", recording, "--json")
    assert (status, err) == (0, "")
    epochs, summary = json_lines(out)
    assert [epoch["index"] for epoch in epochs] == [0, 1, 2]
    for epoch in epochs:
        assert epoch["stage"] in Stage.__members__
        assert sum(epoch["probabilities"].values()) == pytest.approx(1.0, abs=1e-5)
        assert epoch["rationale_text"].startswith("Background:")
    assert summary["summary"]["epochs"] == 3
    assert summary["recording"] == {
        "file": "night.edf",
        "channel": "EEG Fpz-Cz",
        "sfreq": 100.0,
        "duration_s": 90.0,
        "start": "2020-05-01T22:00:00",
        "remarks": [],
    }
    assert summary["complete"] is True
    assert NOTICE in summary["notice"]


def test_results_are_written_as_edf_csv_json_and_picture(capsys, recording, tmp_path):
    pytest.importorskip("matplotlib")
    folder = tmp_path / "new" / "results"
    status, out, _ = cli(capsys, "stage", recording, "--out", folder)
    assert status == 0
    names = {"hypnogram.edf", "hypnogram.csv", "predictions.json", "hypnogram.png"}
    assert {path.name for path in folder.iterdir()} == names
    assert all(str(folder / name) in out for name in names)
    predictions = json.loads((folder / "predictions.json").read_text())
    stages = tuple(Stage[epoch["stage"]] for epoch in predictions["epochs"])
    assert read_edf(folder / "hypnogram.edf").stages == stages
    assert from_csv(folder / "hypnogram.csv").stages == stages
    assert (folder / "hypnogram.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_everything_else_is_written(capsys, monkeypatch, recording, tmp_path):
    monkeypatch.setattr(plot, "find_spec", lambda _: None)
    status, out, _ = cli(capsys, "stage", recording, "--out", tmp_path / "results")
    assert status == 0
    assert "pip install -e '.[viz]'" in out
    assert not (tmp_path / "results" / "hypnogram.png").exists()
    assert (tmp_path / "results" / "hypnogram.edf").exists()


def test_without_out_nothing_is_written(capsys, recording, monkeypatch, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    assert cli(capsys, "stage", recording)[0] == 0
    assert list(empty.iterdir()) == []


def test_a_truth_is_compared_with(capsys, recording):
    status, out, _ = cli(capsys, "stage", recording, "--truth", recording, "--json")
    epochs, summary = json_lines(out)
    assert status == 0
    right = sum(epoch["stage"] == "W" for epoch in epochs)
    assert summary["agreement"]["n"] == 3
    assert summary["agreement"]["accuracy"] == pytest.approx(right / 3)
    assert "Agreement  accuracy" in cli(capsys, "stage", recording, "--truth", recording)[1]


def test_a_truth_of_another_night_is_refused_before_staging(capsys, recording, tmp_path):
    other = write_edf(Hypnogram((Stage.W,) * 3, datetime(2019, 1, 1)), tmp_path / "other.edf")
    run = cli(capsys, "stage", recording, "--truth", other)
    refused(run, "truth: starts 2019-01-01.*no scored epoch in common")
    between = write_edf(Hypnogram((Stage.W,) * 3, datetime(2020, 5, 1, 22, 0, 15)), tmp_path / "between.edf")
    refused(cli(capsys, "stage", recording, "--truth", between), "15 s apart")


def test_a_truth_that_covers_only_unscorable_epochs_gives_no_agreement(capsys, tmp_path):
    recording = save_recording(tmp_path / "cut.edf", epochs=2.2)
    last = write_edf(Hypnogram((Stage.W,), datetime(2020, 5, 1, 22, 1)), tmp_path / "last.edf")
    status, out, _ = cli(capsys, "stage", recording, "--truth", last)
    assert status == 0
    assert "No epoch is scored in both" in out


def test_an_epoch_that_cannot_be_scored_is_a_row_and_unscored(capsys, tmp_path):
    recording = save_recording(tmp_path / "cut.edf", epochs=2.2)
    _, out, _ = cli(capsys, "stage", recording, "--out", tmp_path / "results")
    assert ROW.findall(out)[-1] == ("3", "22:01:00", "?")
    assert re.search(r"cannot be scored: .*missing", out)
    assert read_edf(tmp_path / "results" / "hypnogram.edf").stages[-1] is None


def damaged(path: Path, how: str) -> Path:
    data = path.read_bytes()
    changed = {
        "empty": b"",
        "header cut": data[:300],
        "no EDF": b"RIFF" + bytes(1000),
        "interrupted": re.sub(rb"\+([5-8]\d\x14\x14)\0", rb"+9\1", data),
        "no voltage": data.replace(b"uV      ", b"degC    ", 1),
        "volts as microvolts": data.replace(b"uV      ", b"V       ", 1),
    }
    path.write_bytes(changed[how])
    return path


def refused(found: tuple[int, str, str], words: str) -> None:
    status, out, err = found
    assert status == 2
    assert err.startswith("eegvlm-rt: ")
    assert err.count("\n") == 1
    assert re.search(words, err)
    assert not ROW.search(out)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("empty", "empty"),
        ("header cut", "header"),
        ("no EDF", "no EDF or BDF file"),
        ("interrupted", "data record: 51; starts at 950 s, not 50 s: the recording has interruptions"),
        ("no voltage", "physical dimension: degC"),
        ("volts as microvolts", "factor of 1e6"),
    ],
)
def test_a_damaged_file_is_one_message_and_status_2(capsys, recording, how, words):
    refused(cli(capsys, "stage", damaged(recording, how)), words)


def test_a_missing_file_a_folder_and_a_forbidden_folder_are_refused(capsys, recording, tmp_path):
    refused(cli(capsys, "stage", tmp_path / "none.edf"), "no such file")
    refused(cli(capsys, "stage", tmp_path), "a folder")
    refused(cli(capsys, "stage", recording, "--out", recording), "cannot be made")
    refused(cli(capsys, "stage", recording, "--truth", tmp_path / "none.edf"), "no such file")


def test_a_wrong_channel_lists_the_channels(capsys, recording):
    refused(cli(capsys, "stage", recording, "--channel", "EEG C3-A2"), "channels: 'EEG Fpz-Cz'")


def test_a_channel_must_be_named_where_there_are_two(capsys, tmp_path):
    recording = save_recording(tmp_path / "two.edf", channels=("EEG Fpz-Cz", "EEG Pz-Oz"))
    refused(cli(capsys, "stage", recording), "name one; channels: 'EEG Fpz-Cz', 'EEG Pz-Oz'")
    assert cli(capsys, "stage", recording, "--channel", "EEG Pz-Oz")[0] == 0


def test_an_unknown_bundle_is_refused(capsys, recording):
    refused(cli(capsys, "stage", recording, "--bundle", "none"), "bundle: none")


def test_a_path_cannot_drive_the_terminal(capsys):
    assert "\x1b" not in cli(capsys, "stage", "\x1b[2Jnight.edf")[2]


@pytest.mark.parametrize(
    "argv",
    [[], ["nap"], ["stage"], ["stage", "x.edf", "--mode", "deep"], ["stage", "x.edf", "--threads", "0"]],
)
def test_wrong_arguments_are_status_2(capsys, argv):
    status, _, err = cli(capsys, *argv)
    assert status == 2
    assert "usage:" in err


@pytest.mark.parametrize("style", [["--reasons", "all"], ["--json"]])
def test_a_closed_pipe_ends_in_silence(tmp_path, style):
    process = start_cli("stage", save_recording(tmp_path / "long.edf", epochs=40), *style)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 1


def test_a_terminal_without_unicode_is_no_error(recording):
    process = start_cli(
        "stage", recording, env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    )
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert len(ROW.findall(out)) == 3


@pytest.mark.parametrize("style", ["text", "json"])
def test_an_interrupt_keeps_what_was_staged(tmp_path, style):
    recording = save_recording(tmp_path / "night.edf", epochs=400)
    folder = tmp_path / "results"
    more = ["--json"] if style == "json" else []
    with start_cli("stage", recording, "--out", folder, "--reasons", "none", *more) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        out = "".join(process.stdout.readline() for _ in range(6))
        process.send_signal(signal.SIGINT)
        out += process.stdout.read()
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 130
    if style == "json":
        epochs, summary = json_lines(out)
        assert summary["complete"] is False
        done = len(epochs)
    else:
        done = len(ROW.findall(out))
        assert f"Interrupted: {done} epochs were staged." in out
    assert 1 <= done < 400
    assert len(read_edf(folder / "hypnogram.edf")) == done
    assert json.loads((folder / "predictions.json").read_text())["complete"] is False


def test_five_real_minutes_give_ten_epochs(capsys, shared_data):
    folder = shared_data / "sleep-edf"
    truth = folder / "SC4001EC-Hypnogram.edf"
    path = folder / "SC4001E0-first5min-PSG.edf"
    status, out, err = cli(capsys, "stage", path, "--channel", "EEG Fpz-Cz", "--truth", truth)
    assert (status, err) == (0, "")
    assert [found[1] for found in ROW.findall(out)][-1] == "16:17:30"
    assert len(ROW.findall(out)) == 10
    assert out.count(" Stage: ") == 10
    assert "(10 epochs)" in out


def test_a_slow_channel_of_a_real_recording_is_refused(capsys, shared_data):
    path = shared_data / "sleep-edf" / "SC4001E0-first5min-PSG.edf"
    refused(cli(capsys, "stage", path, "--channel", "EMG submental"), "1 Hz")


def test_rows_have_a_probability_for_every_stage(capsys, recording):
    _, out, _ = cli(capsys, "stage", recording)
    heading = next(line for line in out.splitlines() if line.startswith("epoch"))
    assert heading.split()[3 : 3 + len(STAGES)] == [stage.name for stage in STAGES]


@pytest.mark.parametrize("columns", ["1", "9", "19"])
def test_below_twenty_columns_lines_are_printed_whole(capsys, monkeypatch, recording, columns):
    monkeypatch.setenv("COLUMNS", columns)
    status, out, _ = cli(capsys, "stage", recording, "--reasons", "none")
    assert status == 0
    assert len(ROW.findall(out)) == 3
    assert cli(capsys, "info")[1].count("eegvlm-rt ") >= 1


def test_sleep_statistics_are_shown_and_in_the_json(capsys, recording):
    _, out, _ = cli(capsys, "stage", recording)
    assert re.search(r"^Sleep +total sleep [\d.]+ of 1\.5 min, efficiency", out, re.MULTILINE)
    _, out, _ = cli(capsys, "stage", recording, "--json")
    assert json_lines(out)[1]["statistics"]["recording_min"] == 1.5


def test_other_forms_of_the_hypnogram_are_written_when_asked_for(capsys, tmp_path, recording):
    forms = ("--format", "profusion", "--format", "bids")
    status, out, _ = cli(capsys, "stage", recording, "--out", tmp_path / "results", *forms)
    assert status == 0
    assert "night_events.tsv" in out
    assert (tmp_path / "results" / "hypnogram.xml").is_file()


def test_a_form_without_a_folder_is_refused(capsys, recording):
    status, _, err = cli(capsys, "stage", recording, "--format", "bids")
    assert status == 2
    assert "add --out" in err
