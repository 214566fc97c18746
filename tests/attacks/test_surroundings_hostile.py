"""Odd names, odd places to write to and closed streams: a result or one message, never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from edfio import read_edf as edfio_read

from eegvlm_rt.cli import main
from eegvlm_rt.cli import stage as stage_command
from eegvlm_rt.errors import RecordingError
from eegvlm_rt.files import write_file
from eegvlm_rt.hypnogram import Hypnogram, plot
from eegvlm_rt.sources import read_channel
from tests.rt.cli.cli_runs import cli, save_recording
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_tiny_bundle(folder / "nano")
    return folder


@pytest.fixture(autouse=True)
def _environment(monkeypatch, models):
    monkeypatch.setenv("EEGVLM_RT_MODELS", str(models))


@pytest.fixture
def recording(tmp_path) -> Path:
    return save_recording(tmp_path / "night.edf", epochs=2)


@pytest.mark.parametrize("name", [b"night\xff.edf", b"a$\\frac{.edf", b"na\x1b[31mme\n.edf"])
def test_a_recording_of_any_name_is_staged_and_named_in_json(capsys, recording, tmp_path, name):
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/" + name)
    shutil.copy(recording, odd)
    status, _, err = cli(capsys, "stage", odd, "--mode", "head", "--out", tmp_path / "out")
    assert (status, err) == (0, "")
    written = json.loads((tmp_path / "out" / "predictions.json").read_text(encoding="utf-8"))
    assert written["recording"]["file"] == name.decode("utf-8", errors="replace")
    assert [epoch["index"] for epoch in written["epochs"]] == [0, 1]


@pytest.mark.skipif(not plot.available(), reason="needs matplotlib")
@pytest.mark.parametrize("title", ["$\\frac{$", "\udcff", "tab\t, escape \x1b", "睡眠"])
def test_a_title_is_plain_text_whatever_it_holds(tmp_path, title):
    picture = plot.write_picture(Hypnogram.of([0, 1]), tmp_path / "h.png", title=title)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_pipe_is_not_replaced_by_a_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(RecordingError, match="not a regular file"):
        write_file(pipe, b"data")
    assert pipe.is_fifo()


def test_a_link_stays_a_link_and_its_target_is_written(tmp_path):
    link, target = tmp_path / "link.csv", tmp_path / "target.csv"
    link.symlink_to(target)
    write_file(link, b"data")
    assert link.is_symlink()
    assert target.read_bytes() == b"data"


@pytest.mark.parametrize("name", ["a\0b", "", "x" * 300])
def test_a_name_no_file_can_have_is_refused(tmp_path, name):
    with pytest.raises(RecordingError):
        write_file(f"{tmp_path}/{name}", b"data")


def test_the_longest_name_a_file_can_have_is_written(tmp_path):
    assert write_file(tmp_path / ("x" * 255), b"data").read_bytes() == b"data"


def test_a_folder_that_cannot_be_written_to_is_refused_before_anything_is_staged(capsys, recording):
    status, out, err = cli(capsys, "stage", recording, "--out", "/proc")
    assert (status, out) == (2, "")
    assert err.startswith("eegvlm-rt: folder: /proc; cannot be written to")


def test_more_than_a_week_is_refused_before_anything_is_staged(capsys, recording, monkeypatch):
    monkeypatch.setattr(stage_command, "MAX_EPOCHS", 1)
    status, out, err = cli(capsys, "stage", recording)
    assert (status, out) == (2, "")
    assert err == "eegvlm-rt: recording: 1 min; give at most a week; export it in parts\n"


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_closed_streams_keep_the_results_that_go_to_files(recording, tmp_path, arguments):
    command = [sys.executable, "-m", "eegvlm_rt.cli", "stage", str(recording), "--mode", "head", *arguments]
    shell = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command, "--out", str(tmp_path / "out")]
    assert subprocess.run(shell, check=False).returncode == 0
    assert edfio_read(tmp_path / "out" / "hypnogram.edf").num_signals == 0
    assert read_channel(recording).duration_s == 60


def test_a_folder_given_as_recording_is_said_once(capsys, tmp_path):
    assert main(["stage", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("this is a folder") == 1
