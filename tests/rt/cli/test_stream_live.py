"""eegvlm-rt stream on live sources: a device that goes and comes back, a board that falls quiet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from eegvlm_rt.journal import night_state, read
from eegvlm_rt.sources.brainflow import BrainFlowSource
from tests.rt.cli.cli_runs import eeg_uv
from tests.rt.sources.lsl_loopback import LSL_CONFIG, StreamInfo, StreamOutlet
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("live") / "tiny"
    write_tiny_bundle(folder)
    return folder


class Running:
    """The command in a process of its own, with what it printed so far."""

    def __init__(self, folder: Path, *argv: object) -> None:
        config = folder / "lsl.cfg"
        config.write_text(LSL_CONFIG)
        command = [sys.executable, "-m", "eegvlm_rt.cli", "stream", "--json", *map(str, argv)]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "LSLAPICFG": str(config)},
        )
        self.told: list[dict[str, Any]] = []
        self._watchdog = threading.Timer(LONG_S, self.process.kill)
        self._watchdog.start()

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        assert self.process.stdout is not None
        while True:
            line = self.process.stdout.readline()
            assert line, self.process.stderr and self.process.stderr.read()
            self.told.append(json.loads(line))
            if wanted(self.told[-1]):
                return self.told[-1]

    def listens_to(self, device: StreamOutlet) -> None:
        while not device.wait_for_consumers(1):
            assert self.process.poll() is None, self.process.stderr and self.process.stderr.read()

    def end(self) -> tuple[int, str]:
        self._watchdog.cancel()
        self.process.terminate()
        printed, errors = self.process.communicate(timeout=LONG_S)
        self.told += [json.loads(line) for line in printed.splitlines()]
        return self.process.returncode, errors

    def events(self) -> list[str]:
        return [row["detail"] for row in self.told if row["type"] == "event"]


CONNECTIONS = ["connected", "disconnected", "reconnected", "recovered"]
LONG_S = 240
"""Far more than anything here takes, so that it ends a test that would never end, on a busy machine too."""


def says(text: str) -> Callable[[dict[str, Any]], bool]:
    return lambda row: row["type"] == "event" and text in f"{row['kind']}: {row['detail']}"


def outlet(name: str) -> StreamOutlet:
    info = StreamInfo(name, "eeg", 1, 100.0, "float32", name)
    info.set_channel_names(["Fpz"])
    info.set_channel_types(["eeg"])
    info.set_channel_units(["microvolts"])
    return StreamOutlet(info)


def test_an_amplifier_that_is_unplugged_and_comes_back_leaves_a_gap_and_a_record(bundle, tmp_path):
    name, x = f"unplugged-{os.getpid()}", eeg_uv(180, 5).astype(np.float32)

    def play(device: StreamOutlet, first_s: int, last_s: int) -> None:
        for start in range(first_s * 100, last_s * 100, 200):
            stamps = 70_000 + (start + np.arange(200)) / 100
            device.push_chunk(x[start : start + 200, None], timestamp=stamps)
            time.sleep(0.01)

    journal = tmp_path / "night.journal"
    options = ("--bundle", bundle, "--mode", "head", "--timeout-s", "2", "--wait-s", LONG_S)
    running = Running(tmp_path, "--source", f"lsl:{name}", "--journal", journal, *options)
    device = outlet(name)
    running.listens_to(device)
    play(device, 0, 40)
    running.until(lambda row: row["type"] == "epoch" and row["index"] == 0)
    del device
    running.until(says("source: disconnected"))
    running.until(says("stalled: "))
    device = outlet(name)
    running.listens_to(device)
    play(device, 100, 160)
    # A second connection beside the first is one again when its first samples come.
    running.until(says("source: reconnected"))
    running.until(lambda row: row["type"] == "epoch" and row["index"] == 4)
    assert running.end() == (0, "")
    outcomes = {row["index"]: row["outcome"] for row in running.told if row["type"] == "epoch"}
    assert [outcomes[i] for i in range(5)] == ["scored", "unscorable", "gap", "scored", "scored"]
    report = read(journal)
    assert report.ok
    told = [record.body["event"] for record in report.records if record.kind == "source"]
    # Where this process has to wait for the processor, it is a sender that stalls: once more is no fault.
    assert [kind for kind in dict.fromkeys(told) if kind in CONNECTIONS] == CONNECTIONS
    assert "stalled" in told
    assert night_state(report.records).finished


def test_a_board_that_falls_quiet_is_a_stall_and_the_night_stays_open(bundle, tmp_path):
    recorded = tmp_path / "board.csv"
    with BrainFlowSource("synthetic", "Cz") as source:
        source._board.add_streamer(f"file://{recorded}:w")
        taken = 0
        for chunk in source.chunks():
            taken += len(chunk)
            if taken > 250:
                break
    source = f"brainflow:playback_file?file={recorded}&master_board=synthetic"
    options = ("--bundle", bundle, "--mode", "head", "--timeout-s", "1", "--out", tmp_path / "out")
    running = Running(tmp_path, "--source", source, "--channel", "Cz", *options)
    stall = running.until(says("stalled: "))
    assert "the stream goes on when it is back" in stall["detail"]
    assert running.process.poll() is None
    assert running.end() == (0, "")
    told = running.told[-1]
    assert (told["ended"], sum(told["night"]["epochs"].values())) == ("SIGTERM", 1)
    assert (tmp_path / "out" / "hypnogram.edf").exists()
