"""The service as a whole: nights, kills, hangs, safe mode, reload. Every part is real.

One service runs for all tests but one; each test adds a bed of its own by a reload.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest

from eegvlm_rt.cli import main
from eegvlm_rt.hypnogram import read_edf
from eegvlm_rt.journal import read
from eegvlm_rt.service import BundleSlots, read_frames
from eegvlm_rt.service.rehearsal import Gates

from .running import Running, channel_of, configuration, night_file, serving, until

if TYPE_CHECKING:
    from collections.abc import Iterator

EPOCHS = 8
"""Of the recording that the beds play: at 30 times real time, one a second."""
ABSENT = "brainflow:playback_file?file=/no.csv&master_board=cyton"


@dataclass
class Ward:
    """A service, its configuration, and the recording that its beds play."""

    running: Running
    text: str
    data: Path
    recording: Path
    slots: BundleSlots
    beds: list[str] = field(default_factory=list)

    def add(self, name: str, speed: int) -> None:
        """One more bed, by a reload."""
        self.beds.append(bed(f"edf:{self.recording}@{speed}x", name))
        self.load(self.text + "".join(self.beds))
        until(lambda: name in [b["id"] for b in self.running.state()["beds"]], self.running)

    def load(self, text: str) -> None:
        """Another configuration."""
        self.running.config.write_text(text)
        self.running.process.send_signal(signal.SIGHUP)

    def complete(self, name: str) -> Path:
        """Wait for the end of a bed's night; its folder, in which nothing is missing."""
        until(lambda: complete(self.running, name), self.running)
        night = only_night(self.data, name)
        assert final_epochs(night) == list(range(EPOCHS))
        np.testing.assert_array_equal(recorded(night), channel_of(self.recording))
        return night


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder = tmp_path_factory.mktemp("ward")
    recording = night_file(folder, hours=EPOCHS / 120)
    text = configuration(folder / "data")
    slots = BundleSlots(folder / "slots")
    slots.install(re.findall('bundle = "(.*)"', text)[0], gates=Gates(mode="head", threads=1))
    text = re.sub("bundle = .*", f'slots = "{slots.folder}"', text)
    with serving(folder, text + bed(ABSENT, "absent") + "alarms.source_gone_s = 1\n") as running:
        ward = Ward(running, text, folder / "data", recording, slots)
        until(lambda: running.state()["model"]["state"] == "running", running)
        yield ward
        assert running.end() == 0


def bed(source: str, name: str) -> str:
    return f'[[beds]]\nid = "{name}"\nsource = "{source}"\n'


def only_night(data: Path, name: str) -> Path:
    folders = [folder for folder in (data / name).iterdir() if folder.is_dir()]
    assert len(folders) == 1, folders
    return folders[0]


def final_epochs(night: Path) -> list[int]:
    return [r.body["index"] for r in read(night / "night.journal").records if r.kind == "prediction"]


def recorded(night: Path) -> np.ndarray:
    return np.concatenate([frame.samples for frame in read_frames(night)])


def complete(running: Running, name: str = "one") -> bool:
    lines = running.log.splitlines()
    return any(f"{name} night" in line and "results are complete" in line for line in lines)


def test_a_source_that_is_not_there_is_waited_for_and_alarmed(ward: Ward) -> None:
    running = ward.running
    until(lambda: running.alarms().get("source_gone") == "active", running)
    assert running.state()["beds"][0]["state"] == "waiting"
    assert "absent: the source is not there" in running.get("/readyz").text


def test_a_night_is_recorded_staged_and_written_while_it_goes_on(ward: Ward) -> None:
    # The bed without its source is no part of the service any more, and its alarm neither.
    ward.add("one", 30)
    until(lambda: "source_gone" not in ward.running.alarms(), ward.running)

    def results() -> tuple[str, int]:
        files = list(ward.data.glob("one/*/night.json"))
        told = json.loads(files[0].read_text()) if files else {"ended": "", "night": {"epochs": {}}}
        return told["ended"], sum(told["night"]["epochs"].values())

    until(lambda: results()[1], ward.running)
    assert results()[0] == "in progress"
    assert len(read_edf(only_night(ward.data, "one") / "hypnogram.edf")) < EPOCHS
    night = ward.complete("one")
    assert read(night / "night.journal").records[-1].kind == "shutdown"
    assert results() == ("complete", EPOCHS)
    assert len(read_edf(night / "hypnogram.edf")) == EPOCHS
    until(lambda: (night / "fhir.json").exists(), ward.running)


def test_the_model_killed_and_hung_costs_no_sample_and_no_epoch(ward: Ward) -> None:
    running = ward.running
    ward.add("two", 30)
    known = running.log.count("model: running")
    running.child("service.worker").kill()
    until(lambda: running.log.count("model: running") > known, running)
    known = running.log.count("model: running")
    # Nothing more can be allocated: epochs fail, and another process takes over.
    running.child("service.worker").rlimit(psutil.RLIMIT_DATA, (1 << 20, 1 << 20))
    until(lambda: running.log.count("model: running") > known, running)
    running.child("service.worker").suspend()
    until(lambda: "no sign of life" in running.log, running)
    night = ward.complete("two")
    assert "model" in {r.body.get("kind") for r in read(night / "night.journal").records}


def test_a_new_bundle_that_does_not_run_is_taken_back(ward: Ward) -> None:
    running, slots = ward.running, ward.slots
    first = slots.current()
    # It passed its rehearsal, and was damaged on the disk afterwards.
    bad = shutil.copytree(first, first.with_name("bundle-bad"))
    tower = bad / json.loads((bad / "manifest.json").read_text())["components"]["tower"]["file"]
    tower.write_bytes(tower.read_bytes()[:-1] + b"?")
    state = json.loads((slots.folder / "slots.json").read_text())
    pending = {"folder": bad.name, "digest": "0" * 64, "model_id": "bad", "release": 9}
    whole = slots.folder / "slots.json.new"
    whole.write_text(json.dumps({**state, "pending": pending}))
    whole.replace(slots.folder / "slots.json")
    until(lambda: slots.state().refused == ("0" * 64,), running)
    until(lambda: running.alarms().get("bundle") == "active", running)
    until(lambda: running.state()["model"]["state"] == "running", running)
    assert slots.current() == first
    assert running.post("/api/acknowledge", {"kind": "bundle", "bed": ""}).status_code == 202


def test_a_broken_configuration_changes_nothing(ward: Ward) -> None:
    running = ward.running
    ward.add("three", 60)
    before = [b["id"] for b in running.state()["beds"]]
    ward.load(running.config.read_text() + bed("nothing", "wrong"))
    until(lambda: running.alarms().get("configuration") == "active", running)
    assert [b["id"] for b in running.state()["beds"]] == before
    ward.load(ward.text + "".join(ward.beds))
    until(lambda: "configuration" not in running.alarms(), running)
    ward.complete("three")


def test_safe_mode_records_without_the_model_and_ends_when_asked(ward: Ward) -> None:
    running = ward.running
    ward.add("four", 12)
    # The count of deaths begins anew with a decision.
    until(lambda: [b for b in running.state()["beds"] if b["id"] == "four" and b["last"]], running)
    known: set[int] = set()

    def kill_the_next() -> bool:
        child = running.find_child("service.worker")
        if child is not None and child.pid not in known:
            known.add(child.pid)
            child.kill()
        return "safe mode" in running.log

    until(kill_the_next, running, every_s=0.05)
    assert len(known) <= 5
    state = until(lambda: s if (s := running.state())["model"]["state"] == "safe mode" else None, running)
    before = state["beds"][-1]["samples"]
    until(lambda: running.state()["beds"][-1]["samples"] > before, running)
    assert [a["state"] for a in state["alarms"] if a["kind"] == "safe_mode"] == ["active"]
    assert running.get("/readyz").status_code == 503
    assert running.get("/healthz").status_code == 200
    assert running.post("/api/model/retry", {}).status_code == 202
    # What was recorded without the model is decided then: no epoch is missing.
    ward.complete("four")
    until(lambda: running.alarms().get("safe_mode") == "latched", running)
    assert running.post("/api/acknowledge", {"kind": "safe_mode", "bed": ""}).status_code == 202
    until(lambda: "safe_mode" not in running.alarms(), running)


def test_what_is_wrong_and_what_is_not_yet_have_statuses_of_their_own(
    ward: Ward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "beds.toml"
    text = ward.text + bed(f"edf:{ward.recording}", "one")
    path.write_text(text.replace("hang_s = 5", "hang_s = 1"))
    assert main(["serve", "--config", str(path)]) == 2
    assert "beds.toml:10: model.hang_s: 1;" in capsys.readouterr().err.replace("\n", "")
    path.write_text(text)
    handlers = list(logging.getLogger().handlers)
    try:
        assert main(["serve", "--config", str(path)]) == 75
    finally:
        logging.getLogger().handlers[:] = handlers
    assert "another service uses this folder" in " ".join(capsys.readouterr().err.split())


def test_a_killed_service_resumes_its_night_to_the_sample(ward: Ward, tmp_path: Path) -> None:
    data = tmp_path / "data"
    text = configuration(data).replace("[page]", "[page]\nenabled = false")
    text += bed(f"edf:{ward.recording}@30x", "one")
    for number, how, status in ((1, signal.SIGKILL, -9), (2, signal.SIGTERM, 0)):
        with serving(tmp_path, text) as running:
            until(lambda: list(data.glob(f"one/*/signal-000{number}.frames")), running)  # noqa: B023
            time.sleep(1.0)
            assert running.end(how) == status
    with serving(tmp_path, text) as running:
        until(lambda: complete(running), running)
        assert "resumed" in running.log
        assert running.end() == 0
    night = only_night(data, "one")
    assert len(list(night.glob("signal-*.frames"))) == 3
    np.testing.assert_array_equal(recorded(night), channel_of(ward.recording))
    assert final_epochs(night) == list(range(EPOCHS))
    assert read(night / "night.journal").ok
