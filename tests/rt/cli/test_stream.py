"""eegvlm-rt stream: a night as it comes, told to people or machines, ended in order, left in files."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from edfio import Edf, EdfSignal

from eegvlm_rt.cli.stream import _dropped
from eegvlm_rt.cli.stream_end import Ending
from eegvlm_rt.cli.stream_output import JsonLines, Lines, NightFacts
from eegvlm_rt.hypnogram import from_csv, read_edf
from eegvlm_rt.journal import night_state, read
from eegvlm_rt.night import Night
from eegvlm_rt.prediction import Outcome
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.sources import ReplaySource
from eegvlm_rt.stager import Stager
from eegvlm_rt.streaming import StreamStatus as Counts
from tests.rt.cli.cli_runs import cli, save_recording, start_cli
from tests.rt.streaming.streams import said
from tests.rt.tiny_bundle import write_tiny_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli-stream") / "tiny"
    write_tiny_bundle(folder)
    return folder


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_recording(tmp_path_factory.mktemp("night") / "night.edf", 6.5)


def objects(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def epochs(found: list[dict]) -> list[dict]:
    rows = [dict(row) for row in found if row["type"] == "epoch" and not row["provisional"]]
    for row in rows:
        del row["type"], row["timing"], row["lag_s"]
    return rows


def options(night: Path, bundle: Path, *more: object, speed: str = "max", mode: str = "head") -> list[object]:
    return ["stream", "--source", f"edf:{night}@{speed}", "--mode", mode, "--bundle", bundle, *more]


class TestTold:
    def test_a_row_for_each_epoch_then_the_night(self, capsys, bundle, night):
        status, printed, errors = cli(capsys, *options(night, bundle))
        assert (status, errors) == (0, "")
        rows = re.findall(r"^ +(\d+)  (\d\d:\d\d:\d\d)  ", printed, re.MULTILINE)
        assert rows == [(str(i + 1), f"22:0{i // 2}:{30 * (i % 2):02d}") for i in range(7)]
        assert "Epochs     7: scored 7" in printed
        assert "Not a medical device" in printed

    @pytest.mark.parametrize("mode", ["head", "cot"])
    def test_machines_get_what_the_recording_says_to_the_last_bit(self, capsys, bundle, night, mode):
        status, printed, _ = cli(capsys, *options(night, bundle, "--json", mode=mode))
        found = objects(printed)
        assert status == 0
        assert found[0]["type"] == "begin"
        assert found[0]["channel"] == "EEG Fpz-Cz"
        alone = said(Stager.load(bundle, mode=mode, threads=1).predict_recording(night))
        assert epochs(found) == json.loads(json.dumps(alone))
        assert found[-1]["type"] == "summary"
        assert found[-1]["status"] == 0
        assert found[-1]["night"]["epochs"]["scored"] == 7
        assert found[-1]["ended"] == "source"

    def test_reasons_come_piece_by_piece(self, capsys, bundle, night):
        _, printed, _ = cli(capsys, *options(night, bundle, "--json", mode="cot"))
        found = objects(printed)
        first = next(row for row in found if row["type"] == "epoch")
        pieces = [row["text"] for row in found if row["type"] == "text" and row["index"] == 0]
        assert len(pieces) > 3
        assert "".join(pieces).strip() == first["rationale_text"].strip()
        assert found.index(first) > found.index(next(row for row in found if row["type"] == "text"))

    def test_provisional_stages_come_every_hop(self, capsys, bundle, night):
        _, printed, _ = cli(capsys, *options(night, bundle, "--json", "--hop-s", "10"))
        opinions = [row["start_s"] for row in objects(printed) if row.get("provisional")]
        assert opinions[:4] == [10, 20, 40, 50]

    @pytest.mark.parametrize("rate", [50, 125, 173, 256, 1000])
    def test_a_file_of_any_rate_is_what_its_recording_is(self, capsys, bundle, tmp_path, rate):
        x = simulate_night(rate, hours=0.1, sfreq=rate).samples_uv[: 95 * rate]
        path = tmp_path / "odd.edf"
        Edf([EdfSignal(x, rate, label="Cz", physical_dimension="uV")]).write(path)
        _, printed, _ = cli(capsys, *options(path, bundle, "--json"))
        alone = said(Stager.load(bundle, mode="head", threads=1).predict_recording(path))
        assert epochs(objects(printed)) == json.loads(json.dumps(alone))


class TestLeft:
    def test_hypnogram_and_night_are_written_at_the_end(self, capsys, bundle, night, tmp_path):
        out = tmp_path / "results"
        kept = ("--out", out, "--format", "profusion", "--journal", tmp_path / "night.journal")
        status, printed, _ = cli(capsys, *options(night, bundle, *kept))
        assert status == 0
        assert str(out / "hypnogram.edf") in printed
        written = read_edf(out / "hypnogram.edf")
        alone = list(Stager.load(bundle, mode="head", threads=1).predict_recording(night))
        assert written.stages == from_csv(out / "hypnogram.csv").stages == tuple(p.stage for p in alone)
        assert str(written.start) == "2020-05-01 22:00:00"
        assert (out / "hypnogram.xml").exists()
        told = json.loads((out / "night.json").read_text())
        assert told["night"]["epochs"]["scored"] == 7
        assert told["configuration"]["channel"] == "EEG Fpz-Cz"
        assert told["journal"]["lost"] == 0
        report = read(tmp_path / "night.journal")
        assert report.ok
        assert night_state(report.records).finished

    def test_a_journal_is_exported_at_the_clock_of_its_recording(self, capsys, bundle, night, tmp_path):
        journal, out = tmp_path / "night.journal", tmp_path / "night.edf"
        cli(capsys, *options(night, bundle, "--journal", journal, "--lights-off", "22:01"))
        assert cli(capsys, "journal", "export", journal, "-o", out)[0] == 0
        assert str(read_edf(out).start) == "2020-05-01 22:01:00"
        assert len(read_edf(out)) == 5

    def test_lights_off_begins_the_grid(self, capsys, bundle, night):
        for text in ("22:00:45", "+45"):
            _, printed, _ = cli(capsys, *options(night, bundle, "--json", "--lights-off", text))
            found = objects(printed)
            assert len(epochs(found)) == 5
            assert found[-1]["night"]["grid_start_device_s"] == 45
            assert found[-1]["night"]["dropped_samples"] == 4500


class TestDropped:
    """Samples are never dropped without a word in the night's summary."""

    @pytest.mark.parametrize(
        ("dropped", "lights_off", "warned"), [(1243, None, True), (3, None, False), (1243, "22:01", False)]
    )
    def test_a_night_that_lost_samples_to_their_timestamps_warns(self, dropped, lights_off, warned):
        told = SimpleNamespace(facts={"lights_off": lights_off})
        night = Counts({Outcome.SCORED: 2}, dropped_samples=dropped)
        (*warnings,) = _dropped(night, told, 256.0)
        assert [text.startswith("samples: 1,243 (7.5%) were dropped") for text in warnings] == [True] * warned


class TestRefused:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--source", "edf:{night}@max", "--channel", "Cz9"], "channels: 'EEG Fpz-Cz'"),
            (["--source", "usb:thing"], "lsl:NAME, brainflow:BOARD or edf:FILE@10x"),
            (["--source", "edf:{night}@fast"], "night.edf@fast"),
            (["--source", "edf:{night}@max", "--resume"], "add --journal FILE"),
            (["--source", "edf:{night}@max", "--lights-off", "noon"], "give a clock time, 22:30"),
            (["--source", "edf:{night}@max", "--lights-off", "21:00"], "starts at 22:00:00"),
            (["--source", "edf:{night}@max", "--journal", "{night}"], "this is the input"),
            (["--source", "edf:{night}@max", "--format", "bids"], "add --out DIR"),
            (["--source", "edf:{night}@max", "--smooth"], "smoother"),
            (["--source", "edf:{night}@max", "--deadline-s", "-1"], "give seconds above 0"),
        ],
    )
    def test_what_cannot_begin_ends_with_one_message(self, capsys, bundle, night, arguments, message):
        filled = [part.format(night=night) for part in arguments]
        status, printed, errors = cli(capsys, "stream", *filled, "--bundle", bundle, "--mode", "head")
        assert (status, printed) == (2, "")
        assert message in " ".join(errors.split())

    def test_a_slow_channel_is_refused(self, capsys, tmp_path):
        path = tmp_path / "slow.edf"
        Edf([EdfSignal(np.arange(600.0), 10, label="EEG Cz", physical_dimension="uV")]).write(path)
        status, _, errors = cli(capsys, "stream", "--source", f"edf:{path}@max", "--channel", "EEG Cz")
        assert status == 2
        assert "must be 50 to 4096 Hz" in errors


def test_the_last_words_say_how_far_the_signal_came(capsys):
    night_facts = NightFacts("edf:n.edf", {}, lambda: None, Night(keep=False))
    Ending(night_facts, Counts(), None, "SIGINT", position_s=12.0).tell(Lines(), 0, as_json=False)
    assert "by SIGINT, in order, after 12 s" in capsys.readouterr().out


class TestSignals:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_the_first_ends_the_night_in_order(self, bundle, night, tmp_path, number):
        journal, out = tmp_path / "night.journal", tmp_path / "out"
        kept = ("--journal", journal, "--out", out, "--json")
        process = start_cli(*options(night, bundle, *kept, speed="20x"))
        assert process.stdout is not None
        while json.loads(process.stdout.readline())["type"] != "epoch":
            pass
        process.send_signal(number)
        printed, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, "")
        told = json.loads(printed.splitlines()[-1])
        assert told["ended"] == number.name
        state = night_state(read(journal).records)
        assert state.finished
        assert len(read_edf(out / "hypnogram.edf")) == state.next_epoch_index
        assert sum(told["night"]["epochs"].values()) == state.next_epoch_index < 7

    def test_two_within_a_second_are_one_as_timeout_sends_them(self, bundle, night, tmp_path):
        kept = ("--journal", tmp_path / "night.journal", "--json")
        process = start_cli(*options(night, bundle, *kept, speed="20x"))
        assert process.stdout is not None
        while json.loads(process.stdout.readline())["type"] != "epoch":
            pass
        process.send_signal(signal.SIGSTOP)
        while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.01)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
            process.send_signal(number)
        printed, _ = process.communicate(timeout=30)
        assert process.returncode == 0
        assert json.loads(printed.splitlines()[-1])["ended"] in ("SIGINT", "SIGTERM")
        assert night_state(read(tmp_path / "night.journal").records).finished

    def test_a_later_one_ends_it_at_once_and_it_can_be_gone_on_with(
        self, bundle, night, tmp_path, capsys, monkeypatch
    ):
        kept = ("--journal", tmp_path / "night.journal", "--json")

        later = [signal.SIGTERM]

        def slow_stop(_source: ReplaySource) -> None:
            while later:
                time.sleep(1.1)
                os.kill(os.getpid(), later.pop())

        def first_stop(_lines: JsonLines, _prediction: object) -> None:
            os.kill(os.getpid(), signal.SIGINT)

        monkeypatch.setattr(ReplaySource, "stop", slow_stop)
        monkeypatch.setattr(JsonLines, "prediction", first_stop)
        status = cli(capsys, *options(night, bundle, *kept, speed="20x"))[0]
        assert status == 130
        monkeypatch.undo()
        assert not night_state(read(tmp_path / "night.journal").records).finished
        assert cli(capsys, *options(night, bundle, *kept, "--resume"))[0] == 0
        assert night_state(read(tmp_path / "night.journal").records).outcomes == {"scored": 7}

    def test_a_file_that_is_cut_while_it_is_played_ends_the_night_in_order(self, bundle, tmp_path):
        path = save_recording(tmp_path / "night.edf", 16)
        journal, out = tmp_path / "night.journal", tmp_path / "out"
        kept = ("--journal", journal, "--out", out, "--json")
        process = start_cli(*options(path, bundle, *kept, speed="60x"))
        assert process.stdout is not None
        while json.loads(process.stdout.readline())["type"] != "epoch":
            pass
        os.truncate(path, path.stat().st_size // 2)
        printed, errors = process.communicate(timeout=60)
        assert process.returncode == 6
        assert "the file was cut while it was read" in errors
        told = json.loads(printed.splitlines()[-1])
        assert told["status"] == 6
        assert night_state(read(journal).records).finished
        assert len(read_edf(out / "hypnogram.edf")) == sum(told["night"]["epochs"].values()) in (8, 9)

    def test_nobody_reading_ends_a_night_that_is_kept_nowhere(self, bundle, night):
        process = start_unread(*options(night, bundle, "--json", speed="100x"))
        assert process.wait(timeout=30) == 1

    def test_nobody_reading_ends_no_night_that_is_kept(self, bundle, night, tmp_path):
        journal = tmp_path / "night.journal"
        process = start_unread(*options(night, bundle, "--json", "--journal", journal, speed="100x"))
        assert process.wait(timeout=30) == 0
        assert night_state(read(journal).records).outcomes == {"scored": 7}


def start_unread(*argv: object) -> subprocess.Popen[bytes]:
    """Start with a stdout that nobody reads."""
    read_end, write_end = os.pipe()
    command = [sys.executable, "-m", "eegvlm_rt.cli", *map(str, argv)]
    process = subprocess.Popen(command, stdout=write_end, stderr=subprocess.DEVNULL)
    os.close(write_end)
    os.close(read_end)
    return process
