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

from eegvlm_rt.hypnogram import read_edf
from eegvlm_rt.journal import night_state, read
from eegvlm_rt.stager import Stager

from .cli_runs import cli, eeg_uv, save_recording
from .lsl_loopback import StreamInfo, StreamOutlet
from .streams import said
from .tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path

LSL_CONFIG = (
    "[ports]\nIPv6 = disable\n[multicast]\nResolveScope = machine\n[lab]\nKnownPeers = {127.0.0.1}\n"
    "[log]\nlevel = -3\n"
)


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
        assert outlet.wait_for_consumers(20)
        play(100)
        wait_for_epochs(process, 3)
        process.kill()
        process.communicate()
        play(200)
        process = start(*options, LSLAPICFG=str(config))
        assert outlet.wait_for_consumers(20)
        play(400)
        wait_for_epochs(process, 6)
        process.terminate()
        printed, errors = process.communicate(timeout=30)
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
