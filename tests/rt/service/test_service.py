"""The service as a whole: nights, kills, hangs, safe mode, reload. Every part is real."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from eegvlm_rt.hypnogram import read_edf
from eegvlm_rt.journal import read
from eegvlm_rt.service import read_frames

from .running import Running, channel_of, configuration, night_file, serving, until


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return night_file(tmp_path_factory.mktemp("recording"), hours=0.2)


def bed(recording: Path, speed: int, name: str = "one") -> str:
    return f'[[beds]]\nid = "{name}"\nsource = "edf:{recording}@{speed}x"\n'


def only_night(data: Path, name: str = "one") -> Path:
    folders = [folder for folder in (data / name).iterdir() if folder.is_dir()]
    assert len(folders) == 1, folders
    return folders[0]


def final_epochs(night: Path) -> list[int]:
    return [r.body["index"] for r in read(night / "night.journal").records if r.kind == "prediction"]


def recorded(night: Path) -> np.ndarray:
    return np.concatenate([frame.samples for frame in read_frames(night)])


def complete(running: Running) -> bool:
    return "results are complete" in running.log


def test_a_night_is_recorded_staged_and_written(recording: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(tmp_path, configuration(data) + bed(recording, 200)) as running:
        until(lambda: complete(running), running)
        assert running.end() == 0
    night = only_night(data)
    epochs = final_epochs(night)
    assert epochs == list(range(len(epochs)))
    assert len(epochs) == 24
    np.testing.assert_array_equal(recorded(night), channel_of(recording))
    assert read(night / "night.journal").records[-1].kind == "shutdown"
    told = json.loads((night / "night.json").read_text())
    assert told["ended"] == "complete"
    assert sum(told["night"]["epochs"].values()) == 24
    assert len(read_edf(night / "hypnogram.edf")) == 24
    assert (night / "fhir.json").exists()


def test_the_model_killed_and_hung_costs_no_sample_and_no_epoch(recording: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(tmp_path, configuration(data) + bed(recording, 30)) as running:
        until(lambda: "model: running" in running.log, running)
        running.child("service.worker").kill()
        until(lambda: running.log.count("model: running") == 2, running)
        running.child("service.worker").suspend()
        until(lambda: "no sign of life" in running.log, running)
        until(lambda: complete(running), running)
        assert "model" in {r.body.get("kind") for r in read(only_night(data) / "night.journal").records}
        assert running.end() == 0
    night = only_night(data)
    assert final_epochs(night) == list(range(24))
    np.testing.assert_array_equal(recorded(night), channel_of(recording))


def test_a_killed_service_resumes_its_night_to_the_sample(recording: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    text = configuration(data) + bed(recording, 40)
    for number in (1, 2):
        with serving(tmp_path, text) as running:
            until(lambda: list(data.glob(f"one/*/signal-000{number}.frames")), running)  # noqa: B023
            time.sleep(1.0)
            running.end(signal.SIGKILL)
    with serving(tmp_path, text) as running:
        until(lambda: complete(running), running)
        assert "resumed" in running.log
        assert running.end() == 0
    night = only_night(data)
    assert len(list(night.glob("signal-*.frames"))) == 3
    np.testing.assert_array_equal(recorded(night), channel_of(recording))
    epochs = final_epochs(night)
    assert sorted(epochs) == list(range(24)) == epochs
    assert read(night / "night.journal").ok


def test_safe_mode_records_without_the_model_and_ends_when_asked(recording: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(tmp_path, configuration(data) + bed(recording, 10)) as running:
        url = running.url
        known: set[int] = set()

        def kill_the_next() -> bool:
            child = running.find_child("service.worker")
            if child is not None and child.pid not in known:
                known.add(child.pid)
                child.kill()
            return "safe mode" in running.log

        until(kill_the_next, running)
        assert len(known) == 5
        before = until(lambda: sum(b["samples"] for b in running.state()["beds"]), running)
        until(lambda: running.state()["beds"][0]["samples"] > before, running)
        state = until(lambda: s if (s := running.state())["model"]["state"] == "safe mode" else None, running)
        assert [a["state"] for a in state["alarms"] if a["kind"] == "safe_mode"] == ["active"]
        assert httpx.get(f"{url}/readyz").status_code == 503
        assert httpx.get(f"{url}/healthz").status_code == 200
        assert httpx.post(f"{url}/api/model/retry", json={}).status_code == 202
        until(lambda: running.state()["model"]["state"] == "running", running)
        # What was recorded without the model is decided now: no epoch is missing.
        until(lambda: complete(running), running)
        assert running.alarms()["safe_mode"] == "latched"
        answer = httpx.post(f"{url}/api/acknowledge", json={"kind": "safe_mode", "bed": ""})
        assert answer.status_code == 202
        until(lambda: "safe_mode" not in running.alarms(), running)
        assert running.end() == 0
    night = only_night(data)
    assert final_epochs(night) == list(range(24))
    np.testing.assert_array_equal(recorded(night), channel_of(recording))


def test_a_reload_adds_a_bed_and_a_broken_one_changes_nothing(recording: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    text = configuration(data) + bed(recording, 30)
    with serving(tmp_path, text) as running:
        until(lambda: "model: running" in running.log, running)
        running.config.write_text(text + '[[beds]]\nid = "two"\nsource = "nothing"\n')
        running.process.send_signal(signal.SIGHUP)
        until(lambda: running.alarms().get("configuration") == "active", running)
        assert [b["id"] for b in running.state()["beds"]] == ["one"]
        running.config.write_text(text + bed(recording, 60, "two"))
        running.process.send_signal(signal.SIGHUP)
        until(lambda: [b["id"] for b in running.state()["beds"]] == ["one", "two"], running)
        until(lambda: running.log.count("results are complete") == 2, running)
        until(lambda: "configuration" not in running.alarms(), running)
        assert running.end() == 0
    for name in ("one", "two"):
        night = only_night(data, name)
        assert final_epochs(night) == list(range(24))
        np.testing.assert_array_equal(recorded(night), channel_of(recording))


def test_a_source_that_is_not_there_is_waited_for_and_alarmed(tmp_path: Path) -> None:
    text = configuration(tmp_path / "data")
    text += '[[beds]]\nid = "one"\nsource = "brainflow:playback_file?file=/no.csv&master_board=cyton"\n'
    text += "alarms.source_gone_s = 1\n"
    with serving(tmp_path, text) as running:
        until(lambda: running.alarms().get("source_gone") == "active", running)
        state: dict[str, Any] = running.state()
        assert state["beds"][0]["state"] == "waiting"
        assert "one: the source is not there" in httpx.get(f"{running.url}/readyz").text
        assert running.end() == 0


def test_what_is_wrong_and_what_is_not_yet_have_statuses_of_their_own(
    recording: Path, tmp_path: Path
) -> None:
    text = configuration(tmp_path / "data") + bed(recording, 10)
    with serving(tmp_path, text.replace("hang_s = 5", "hang_s = 1")) as running:
        assert running.process.wait(60) == 2
        assert "beds.toml:9: model.hang_s: 1;" in running.log
    with serving(tmp_path, text) as running:
        until(lambda: "night:" in running.log, running)
        with serving(tmp_path, text) as second:
            assert second.process.wait(60) == 75
            assert "another service uses this folder" in second.log
        assert running.end() == 0
