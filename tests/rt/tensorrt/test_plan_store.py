"""Plans are published whole, found by what they were built from, and opened by digest."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegvlm_rt.tensorrt import PlanKey, PlanStore
from tests.rt.tensorrt.plan_keys import KEY, publish

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
def store(tmp_path: Path) -> PlanStore:
    return PlanStore(tmp_path / "engines")


class TestKey:
    @pytest.mark.parametrize("field", CHANGES)
    def test_every_part_of_a_key_makes_another_plan(self, store: PlanStore, field: str) -> None:
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

    def test_build_options_matter_to_building_alone(self, store: PlanStore) -> None:
        record = publish(store)
        assert store.usable(replace(KEY, options=CHANGES["options"])) == record
        for field in set(CHANGES) - {"options"}:
            assert store.usable(replace(KEY, **{field: CHANGES[field]})) is None

    @given(st.data())
    def test_a_key_survives_json(self, data: st.DataObject) -> None:
        key = PlanKey(**{item.name: data.draw(st.text(max_size=20)) for item in fields(PlanKey)})
        assert PlanKey.from_dict(key.to_dict()) == key


class TestPublishing:
    def test_what_was_published_is_read_back(self, store: PlanStore) -> None:
        record = publish(store, plan=b"x" * 9_000_000)
        assert store.find(KEY) == record
        assert store.read(record) == b"x" * 9_000_000
        assert store.plans() == [record]

    def test_a_plan_is_the_users_alone(self, store: PlanStore) -> None:
        record = publish(store)
        assert store.folder.stat().st_mode & 0o777 == 0o700
        assert (store.folder / record.file).stat().st_mode & 0o777 == 0o600

    def test_a_second_build_takes_the_place_of_the_first(self, store: PlanStore) -> None:
        first, second = publish(store, plan=b"one"), publish(store, plan=b"two")
        assert store.read(second) == b"two"
        assert not (store.folder / first.file).exists()
        assert store.plans() == [second]

    def test_a_newer_tensorrt_clears_the_plans_of_the_older(self, store: PlanStore) -> None:
        publish(store)
        newer = replace(KEY, builder=CHANGES["builder"])
        record = publish(store, newer)
        assert store.plans() == [record]
        assert len(list(store.folder.glob("*.plan"))) == 1

    def test_plans_of_other_graphs_and_devices_stay(self, store: PlanStore) -> None:
        keys = [KEY, *(replace(KEY, **{field: CHANGES[field]}) for field in ("graph", "architecture"))]
        for key in keys:
            publish(store, key)
        assert {record.key for record in store.plans()} == set(keys)

    def test_timings_are_kept_by_package_and_architecture(self, store: PlanStore) -> None:
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
        assert PlanStore().folder == tmp_path / "eegvlm-rt" / "engines"
        monkeypatch.setenv("EEGVLM_RT_ENGINES", str(tmp_path / "here"))
        assert PlanStore().folder == tmp_path / "here"


KILLED_AT_EVERY_STEP = """
import os, signal, sys
from pathlib import Path
from eegvlm_rt.tensorrt import PlanStore
from tests.rt.tensorrt.plan_keys import KEY, publish

old, new, seen, step = b"older" * 1000, b"newer" * 1000, set(), 0
store = PlanStore(sys.argv[1])
while True:
    step += 1
    publish(store, plan=old)
    assert len(list(store.folder.glob("*.plan"))) == 1
    child = os.fork()
    if child == 0:
        left = step
        def hook(event, args):
            global left
            if event.split(".")[0] in ("open", "os", "shutil", "fcntl", "glob", "pathlib"):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hook)
        publish(store, plan=new)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    found = store.read(store.find(KEY))
    assert found in (old, new)
    seen.add(found)
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0 and found == new
        break
publish(store, plan=old)
assert not list(store.folder.glob(".*"))
print(step, len(seen))
"""

HOLD = """
import sys
from eegvlm_rt.tensorrt import PlanStore
from tests.rt.tensorrt.plan_keys import KEY

with PlanStore(sys.argv[1]).lock(KEY):
    print("held", flush=True)
    sys.stdin.read()
"""
ROOT = Path(__file__).parents[3]


def test_a_builder_killed_at_every_step_leaves_the_older_plan_or_the_newer(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED_AT_EVERY_STEP, str(tmp_path / "engines")],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )
    steps, outcomes = map(int, done.stdout.split())
    assert steps > 10
    assert outcomes == 2


class TestLock:
    def test_a_second_builder_waits_and_says_so(self, store: PlanStore) -> None:
        command = [sys.executable, "-c", HOLD, str(store.folder)]
        said = []
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        ) as other:
            assert other.stdout is not None
            assert other.stdin is not None
            assert other.stdout.readline() == "held\n"

            def waiting() -> None:
                said.append("waiting")
                other.stdin.close()

            with store.lock(KEY, waiting):
                assert said == ["waiting"]
        assert other.returncode == 0

    def test_other_keys_do_not_wait(self, store: PlanStore) -> None:
        def waiting() -> None:
            raise AssertionError("another key's lock")

        with store.lock(KEY), store.lock(replace(KEY, component="tower"), waiting):
            pass
