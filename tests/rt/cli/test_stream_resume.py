"""A streamed night that is killed, or whose journal is in trouble: nothing is lost but what must be."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from eegvlm_rt.errors import RecordingError
from eegvlm_rt.hypnogram import FORMATS, read_edf
from eegvlm_rt.journal import Journal, night_state, read
from eegvlm_rt.stager import Stager
from tests.rt.cli.cli_runs import cli, eeg_uv, save_recording
from tests.rt.sources.lsl_loopback import LSL_CONFIG, StreamInfo, StreamOutlet
from tests.rt.streaming.streams import said
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path


LONG_S = 240
"""Far more than anything here takes, so that it ends a test that would never end, on a busy machine too."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume") / "tiny"
    write_tiny_bundle(folder)
    return folder


def start(*argv: object, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "eegvlm_rt.cli", "stream", "--json", "--mode", "head", *map(str, argv)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def wait_for_epochs(process: subprocess.Popen[str], count: int) -> None:
    assert process.stdout is not None
    while count:
        line = process.stdout.readline()
        assert line, process.stderr and process.stderr.read()
        count -= json.loads(line)["type"] == "epoch"


def journaled(journal: Path) -> list[dict[str, Any]]:
    """The rows of a night in its journal, as `said` gives them."""
    rows = [record.body for record in read(journal).records if record.kind == "prediction"]
    dropped = ("timing", "lag_s", "samples", "samples_sha256", "last_timestamp_s", "wall_s")
    return [{name: value for name, value in row.items() if name not in dropped} for row in rows]


class TestKilled:
    def test_a_file_goes_on_where_it_was_killed(self, bundle, tmp_path, capsys):
        night, journal, out = (
            save_recording(tmp_path / "night.edf", 12),
            tmp_path / "night.journal",
            tmp_path / "out",
        )
        options = ("--source", f"edf:{night}@100x", "--bundle", bundle, "--journal", journal, "--resume")
        seed = random.Random(1)
        interrupted = set()
        for _ in range(3):
            process = start(*options)
            wait_for_epochs(process, seed.randint(1, 3))
            time.sleep(seed.uniform(0, 0.3))
            process.kill()
            process.communicate()
            state = night_state(read(journal).records)
            assert not state.finished
            interrupted.add(state.next_epoch_index)
        status, printed, _ = cli(capsys, "stream", *options, "--mode", "head", "--json", "--out", out)
        rows = journaled(journal)
        alone = json.loads(
            json.dumps(said(Stager.load(bundle, mode="head", threads=1).predict_recording(night)))
        )
        assert status == 0
        assert [row["index"] for row in rows] == list(range(12))
        for row, expected in zip(rows, alone, strict=True):
            if row["index"] in interrupted:
                assert row["quality"] == expected["quality"]
            else:
                assert row == expected
        told = json.loads(printed.splitlines()[-1])
        assert sum(told["night"]["epochs"].values()) == 12
        written = read_edf(out / "hypnogram.edf")
        assert [stage and stage.name for stage in written.stages] == [row["stage"] for row in rows]
        report = read(journal)
        assert report.ok
        assert [record.kind for record in report.records].count("resume") == 3

    def test_a_live_night_has_gaps_where_nobody_listened(self, bundle, tmp_path):
        """The amplifier is an LSL outlet whose clock runs 100 times as fast as ours."""
        journal, config = tmp_path / "night.journal", tmp_path / "lsl.cfg"
        config.write_text(LSL_CONFIG)
        name = f"bed-{os.getpid()}"
        info = StreamInfo(name, "eeg", 1, 100.0, "float32", name)
        info.set_channel_names(["Fpz"])
        info.set_channel_types(["eeg"])
        info.set_channel_units(["microvolts"])
        outlet = StreamOutlet(info)
        x, sent = eeg_uv(30 * 60, 3).astype(np.float32), 0

        def play(until_s: float) -> None:
            nonlocal sent
            while sent < until_s * 100:
                stamps = 50_000 + (sent + np.arange(200)) / 100
                outlet.push_chunk(x[sent : sent + 200, None], timestamp=stamps)
                sent += 200
                time.sleep(0.02)

        options = ("--source", f"lsl:{name}", "--bundle", bundle, "--journal", journal, "--resume")
        process = start(*options, LSLAPICFG=str(config))
        assert outlet.wait_for_consumers(LONG_S)
        play(100)
        wait_for_epochs(process, 3)
        process.kill()
        process.communicate()
        play(200)
        # Only then is the next consumer the new process, and not the connection of the one that was killed.
        while outlet.has_consumers:
            time.sleep(0.05)
        process = start(*options, LSLAPICFG=str(config))
        assert outlet.wait_for_consumers(LONG_S)
        play(400)
        wait_for_epochs(process, 6)
        process.terminate()
        printed, errors = process.communicate(timeout=LONG_S)
        assert (process.returncode, errors) == (0, "")

        with Stager.load(bundle, mode="head", threads=1).stream(100, channel="Fpz") as stream:
            alone = [
                *stream.push(x[:10_000], 50_000 + np.arange(10_000) / 100),
                *stream.push(x[20_000:sent], 50_000 + np.arange(20_000, sent) / 100),
            ]
        rows = journaled(journal)
        expected = json.loads(json.dumps(said(alone)))
        assert [row["index"] for row in rows] == list(range(len(rows)))
        assert [row["outcome"] for row in rows][3:7] == ["gap", "gap", "gap", "unscorable"]
        assert rows[:3] == expected[:3]
        assert rows[4:13] == expected[4:13]
        told = json.loads(printed.splitlines()[-1])
        assert told["night"]["grid_start_device_s"] == pytest.approx(50_000, abs=0.01)
        assert night_state(read(journal).records).finished


def limited(*argv: object, size: int) -> subprocess.CompletedProcess[str]:
    """Run with a disk on which no file grows beyond `size` bytes."""
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}));"
        "from eegvlm_rt.cli import main; raise SystemExit(main())"
    )
    command = [sys.executable, "-c", code, "stream", "--mode", "head", "--json", *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONG_S)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_recording(
        tmp_path_factory.mktemp("trouble") / "night.edf", 6, channels=("EEG Fpz-Cz", "EEG Pz-Oz")
    )


class TestJournalInTrouble:
    def test_a_full_disk_is_told_and_counted_and_scoring_goes_on(self, bundle, night, tmp_path):
        journal = tmp_path / "night.journal"
        source = ("--source", f"edf:{night}@max", "--channel", "EEG Fpz-Cz", "--bundle", bundle)
        done = limited(*source, "--journal", journal, size=9000)
        found = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.returncode == 5
        assert [row["index"] for row in found if row["type"] == "epoch"] == list(range(6))
        told = [row["detail"] for row in found if row["type"] == "event" and row["kind"] == "journal"]
        assert told == ["cannot be written: File too large; scoring goes on"]
        kept = len(journaled(journal))
        assert read(journal).ok
        assert 0 < kept < 6
        assert found[-1]["night"]["journal_losses"] == found[-1]["journal"]["lost"] >= 6 - kept
        assert found[-1]["night"]["epochs"]["scored"] == 6
        assert "records could not be written: File too large" in done.stderr

    def test_a_folder_that_is_not_there_keeps_no_night_from_being_scored(
        self, bundle, night, tmp_path, capsys
    ):
        place = tmp_path / "usb-stick" / "night.journal"
        status, printed, errors = cli(
            capsys, "stream", "--source", f"edf:{night}@max", "--channel", "EEG Fpz-Cz", "--bundle", bundle,
            "--mode", "head", "--journal", place, "--out", tmp_path / "out",
        )  # fmt: skip
        assert status == 5
        assert "journal: cannot be written: cannot be made: No such file or directory" in printed
        assert "scored 6" in printed
        assert "could not be written" in errors
        assert len(read_edf(tmp_path / "out" / "hypnogram.edf")) == 6

    def test_a_folder_in_the_way_of_a_file_loses_nothing(self, bundle, night, tmp_path, capsys):
        out = tmp_path / "out"
        (out / "hypnogram.csv").mkdir(parents=True)
        status, printed, _ = cli(
            capsys, "stream", "--source", f"edf:{night}@max", "--channel", "EEG Fpz-Cz", "--bundle", bundle,
            "--mode", "head", "--out", out,
        )  # fmt: skip
        assert status == 0
        assert "hypnogram.csv; this is a folder" in printed
        assert len(read_edf(out / "night (2)" / "hypnogram.edf")) == 6
        record = json.loads((out / "night (2)" / "night.json").read_text())
        assert record["night"]["epochs"]["scored"] == 6

    def test_files_that_cannot_be_written_are_named_and_the_others_are(
        self, bundle, night, tmp_path, capsys, monkeypatch
    ):
        out = tmp_path / "out"

        def full(_hypnogram, path, **_more):
            raise RecordingError("path", str(path), "cannot be written: No space left on device")

        monkeypatch.setitem(FORMATS, "csv", ("hypnogram.csv", full))
        status, _, errors = cli(
            capsys, "stream", "--source", f"edf:{night}@max", "--channel", "EEG Fpz-Cz", "--bundle", bundle,
            "--mode", "head", "--out", out,
        )  # fmt: skip
        assert status == 5
        assert "hypnogram.csv" in errors
        assert len(read_edf(out / "hypnogram.edf")) == 6
        assert json.loads((out / "night.json").read_text())["night"]["epochs"]["scored"] == 6


class TestResume:
    def options(self, night: Path, bundle: Path, journal: Path, *more: object) -> list[object]:
        fixed = ["stream", "--source", f"edf:{night}@max", "--bundle", bundle, "--mode", "head"]
        return [*fixed, "--journal", journal, "--json", *more]

    def test_a_night_that_ended_has_nothing_left_to_do(self, bundle, night, tmp_path, capsys):
        options = self.options(night, bundle, tmp_path / "j", "--channel", "EEG Fpz-Cz", "--resume")
        assert cli(capsys, *options)[0] == 0
        for _ in range(2):
            status, printed, _ = cli(capsys, *options)
            told = json.loads(printed.splitlines()[-1])
            assert (status, told["night"]["epochs"]["scored"]) == (0, 6)
        assert [row["index"] for row in journaled(tmp_path / "j")] == list(range(6))

    def test_a_journal_that_is_there_is_not_begun_anew(self, bundle, night, tmp_path, capsys):
        options = self.options(night, bundle, tmp_path / "j", "--channel", "EEG Fpz-Cz")
        assert cli(capsys, *options)[0] == 0
        status, _, errors = cli(capsys, *options)
        assert status == 2
        assert "is there already: resume it, or name another" in errors

    def test_two_processes_do_not_write_one_journal(self, bundle, night, tmp_path, capsys):
        journal = tmp_path / "j"
        with Journal.create(journal, {}):
            for more in ((), ("--resume",)):
                status, _, errors = cli(
                    capsys, *self.options(night, bundle, journal, "--channel", "EEG Fpz-Cz", *more)
                )
                assert status == 2
                assert "another process writes it" in errors

    def test_another_model_or_channel_is_refused(self, bundle, night, tmp_path, capsys):
        journal, other = tmp_path / "j", tmp_path / "other"
        write_tiny_bundle(other, seed=1)
        assert cli(capsys, *self.options(night, bundle, journal, "--channel", "EEG Fpz-Cz"))[0] == 0
        before = journal.read_bytes()
        for model, channel, option in (
            (other, "EEG Fpz-Cz", "--bundle"),
            (bundle, "EEG Pz-Oz", "--channel"),
        ):
            status, _, errors = cli(
                capsys, *self.options(night, model, journal, "--channel", channel, "--resume")
            )
            assert status == 2
            assert f"choose that by {option}, or begin another journal" in " ".join(errors.split())
        assert journal.read_bytes() == before

    def test_damage_is_refused_and_named(self, bundle, night, tmp_path, capsys):
        journal = tmp_path / "j"
        options = self.options(night, bundle, journal, "--channel", "EEG Fpz-Cz")
        assert cli(capsys, *options)[0] == 0
        data = bytearray(journal.read_bytes())
        data[len(data) // 2] ^= 1
        journal.write_bytes(bytes(data))
        status, _, errors = cli(capsys, *options, "--resume")
        assert status == 2
        assert "begin a new journal under another name" in " ".join(errors.split())
