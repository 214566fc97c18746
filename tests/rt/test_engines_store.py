"""Plans are published whole, found by what they were built from, and opened by digest."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegvlm_rt.engines import EngineKey, EngineStore

from .engine_keys import KEY, publish

CHANGES = {
    "graph": "c" * 64,
    "shapes": "d" * 64,
    "builder": "tensorrt 11.4.0",
    "options": "workspace 4 GB, level 5",
    "architecture": "8.6",
    "driver": "L4T 36.5.0 CUDA 12.6",
    "renderer": "3",
}


@pytest.fixture
def store(tmp_path: Path) -> EngineStore:
    return EngineStore(tmp_path / "engines")


class TestKey:
    @pytest.mark.parametrize("field", CHANGES)
    def test_every_part_of_a_key_makes_another_plan(self, store: EngineStore, field: str) -> None:
        publish(store)
        changed = replace(KEY, **{field: CHANGES[field]})
        assert store.find(changed) is None
        assert changed.name != KEY.name

    @pytest.mark.parametrize(
        ("field", "message"),
        [
            ("builder", "TensorRT was tensorrt 10.3.0, is tensorrt 11.4.0"),
            ("architecture", "GPU architecture was 8.7, is 8.6"),
            ("driver", "driver was L4T 36.4.0 CUDA 12.6, is L4T 36.5.0 CUDA 12.6"),
            ("renderer", "renderer was 2, is 3"),
            ("graph", "graph changed"),
            ("shapes", "shapes changed"),
        ],
    )
    def test_what_changed_is_said_in_words(self, field: str, message: str) -> None:
        assert replace(KEY, **{field: CHANGES[field]}).differences(KEY) == [message]

    def test_build_options_matter_to_building_alone(self, store: EngineStore) -> None:
        record = publish(store)
        assert store.usable(replace(KEY, options=CHANGES["options"])) == record
        for field in set(CHANGES) - {"options"}:
            assert store.usable(replace(KEY, **{field: CHANGES[field]})) is None

    @given(st.data())
    def test_a_key_survives_json(self, data: st.DataObject) -> None:
        key = EngineKey(**{item.name: data.draw(st.text(max_size=20)) for item in fields(EngineKey)})
        assert EngineKey.from_dict(key.to_dict()) == key


class TestPublishing:
    def test_what_was_published_is_read_back(self, store: EngineStore) -> None:
        record = publish(store, plan=b"x" * 9_000_000)
        assert store.find(KEY) == record
        assert store.read(record) == b"x" * 9_000_000
        assert store.plans() == [record]

    def test_a_plan_is_the_users_alone(self, store: EngineStore) -> None:
        record = publish(store)
        assert store.folder.stat().st_mode & 0o777 == 0o700
        assert (store.folder / record.file).stat().st_mode & 0o777 == 0o600

    def test_a_second_build_takes_the_place_of_the_first(self, store: EngineStore) -> None:
        first, second = publish(store, plan=b"one"), publish(store, plan=b"two")
        assert store.read(second) == b"two"
        assert not (store.folder / first.file).exists()
        assert store.plans() == [second]

    def test_a_newer_tensorrt_clears_the_plans_of_the_older(self, store: EngineStore) -> None:
        publish(store)
        newer = replace(KEY, builder=CHANGES["builder"])
        record = publish(store, newer)
        assert store.plans() == [record]
        assert len(list(store.folder.glob("*.plan"))) == 1

    def test_plans_of_other_graphs_and_devices_stay(self, store: EngineStore) -> None:
        keys = [KEY, *(replace(KEY, **{field: CHANGES[field]}) for field in ("graph", "architecture"))]
        for key in keys:
            publish(store, key)
        assert {record.key for record in store.plans()} == set(keys)

    def test_timings_are_kept_by_package_and_architecture(self, store: EngineStore) -> None:
        assert store.timing_cache("tensorrt 10.3.0", "8.7") == b""
        store.keep_timing_cache("tensorrt 10.3.0", "8.7", b"timings")
        assert store.timing_cache("tensorrt 10.3.0", "8.7") == b"timings"
        assert store.timing_cache("tensorrt 10.3.0", "8.6") == b""
        store.keep_timing_cache("tensorrt 10.3.0", "8.7", b"")
        assert store.timing_cache("tensorrt 10.3.0", "8.7") == b"timings"

    def test_the_place_comes_from_the_environment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        monkeypatch.delenv("EEGVLM_RT_ENGINES", raising=False)
        assert EngineStore().folder == tmp_path / "eegvlm-rt" / "engines"
        monkeypatch.setenv("EEGVLM_RT_ENGINES", str(tmp_path / "here"))
        assert EngineStore().folder == tmp_path / "here"


def _publish_and_die(folder: str, die_at: int) -> None:
    """Publish a second plan; the process is killed at its `die_at`-th step, as audit events count them."""
    store = EngineStore(folder)
    seen = 0

    def count(_: str, __: object) -> None:
        nonlocal seen
        seen += 1
        if seen == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    publish(store, plan=b"newer" * 1000)


class TestCrash:
    def test_a_builder_killed_at_every_step_leaves_the_older_plan_or_the_newer(self, tmp_path: Path) -> None:
        context = multiprocessing.get_context("fork")
        old, new = b"older" * 1000, b"newer" * 1000
        outcomes = set()
        for die_at in range(1, 400):
            folder = tmp_path / f"{die_at}"
            store = EngineStore(folder)
            publish(store, plan=old)
            process = context.Process(target=_publish_and_die, args=(str(folder), die_at))
            process.start()
            process.join()
            record = EngineStore(folder).find(KEY)
            assert record is not None
            found = store.read(record)
            assert found in (old, new)
            outcomes.add(found)
            if process.exitcode == 0:
                break
            publish(store, plan=new)
            assert len(list(folder.glob("*.plan"))) == 1
            assert not list(folder.glob(".*"))
        assert process.exitcode == 0
        assert outcomes == {old, new}


def _hold(folder: str, held: object, let_go: object) -> None:
    with EngineStore(folder).lock(KEY):
        held.set()  # type: ignore[attr-defined]
        let_go.wait(10)  # type: ignore[attr-defined]
        time.sleep(0.05)


class TestLock:
    def test_a_second_builder_waits_and_says_so(self, store: EngineStore) -> None:
        context = multiprocessing.get_context("fork")
        held, let_go = context.Event(), context.Event()
        process = context.Process(target=_hold, args=(str(store.folder), held, let_go))
        process.start()
        assert held.wait(10)
        said = []

        def waiting() -> None:
            said.append("waiting")
            let_go.set()

        with store.lock(KEY, waiting):
            assert said == ["waiting"]
        process.join()
        assert process.exitcode == 0

    def test_other_keys_do_not_wait(self, store: EngineStore) -> None:
        def waiting() -> None:
            raise AssertionError("another key's lock")

        with store.lock(KEY), store.lock(replace(KEY, component="tower"), waiting):
            pass
