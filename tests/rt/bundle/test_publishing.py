"""Publishing over an older bundle: killed at any instant, there is the old one or the new one."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from eegvlm_rt.bundle import Bundle, TrustPolicy, publishing, unpack_bundle
from eegvlm_rt.bundle import pack_bundle as pack
from tests.rt.tiny_bundle import write_tiny_bundle

KILLED_AT_EVERY_STEP = """
import os, signal, sys
from pathlib import Path
from eegvlm_rt.bundle import Bundle, unpack_bundle

first, second, target = map(Path, sys.argv[1:])
digests = {Bundle.open(unpack_bundle(p, target, overwrite=True).path).digest: p for p in (first, second)}
seen, step = set(), 0
while True:
    step += 1
    child = os.fork()
    if child == 0:
        left = step
        def hook(event, args):
            global left
            if event.split(".")[0] in ("open", "os", "shutil", "ctypes", "fcntl", "tempfile"):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hook)
        unpack_bundle(first, target, overwrite=True)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    digest = Bundle.open(target).digest
    assert digest in digests, digest
    seen.add(digest)
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0 and digests[digest] == first
        break
    unpack_bundle(second, target, overwrite=True)
print(step, len(seen), *sorted(p.name for p in target.parent.iterdir()))
"""


def test_a_publisher_killed_at_every_step_leaves_a_whole_bundle(tmp_path: Path) -> None:
    for name, seed in (("first", 0), ("second", 1)):
        pack(write_tiny_bundle(tmp_path / name, seed=seed), tmp_path / f"{name}.tar")
    place = tmp_path / "place"
    place.mkdir()
    arguments = [str(path) for path in (tmp_path / "first.tar", tmp_path / "second.tar", place / "tiny")]
    done = subprocess.run(
        [sys.executable, "-c", KILLED_AT_EVERY_STEP, *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[3],
    )
    steps, kinds, *names = done.stdout.split()
    assert int(steps) > 20
    assert kinds == "2"
    assert names == ["tiny"]


def test_two_names_are_swapped_in_one_step(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    if publishing.exchange(tmp_path / "a", tmp_path / "b"):
        assert (tmp_path / "a" / "b").exists()
        assert (tmp_path / "b" / "a").exists()
    with pytest.raises(OSError, match="No such file"):
        publishing.exchange(tmp_path / "a", tmp_path / "missing")


def test_where_names_cannot_be_swapped_two_renames_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(write_tiny_bundle(tmp_path / "first"), tmp_path / "first.tar")
    second = write_tiny_bundle(tmp_path / "second", seed=1)
    monkeypatch.setattr(publishing, "_renameat2", lambda: None)
    assert unpack_bundle(tmp_path / "first.tar", tmp_path / "second", overwrite=True).digest != second.digest
    assert not list(tmp_path.glob(".*"))

    def refuse(self: Path, target: Path) -> Path:
        if ".staging-" in str(self):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, target)

    real = Path.rename
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(Exception, match="No space"):
        unpack_bundle(tmp_path / "first.tar", tmp_path / "second", overwrite=True)
    assert Bundle.open(tmp_path / "second").verified
    assert not list(tmp_path.glob(".*"))


def test_staging_folders_of_dead_publishers_are_removed_those_of_living_ones_kept(tmp_path: Path) -> None:
    target = tmp_path / "tiny"
    (tmp_path / ".tiny.staging-dead").mkdir()
    with publishing.staging_folder(target) as ours:
        with publishing.staging_folder(target) as other:
            assert ours.exists()
            assert other != ours
        assert ours.exists()
    assert not list(tmp_path.iterdir())


def test_a_bundle_opens_from_another_path_in_another_process_without_network(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "here")
    pack(bundle, tmp_path / "a.tar")
    moved = tmp_path / "some where" / "else ü"
    unpack_bundle(tmp_path / "a.tar", moved, trust=TrustPolicy())
    code = """
import sys
def no_network(event, args):
    if event.startswith("socket."):
        raise OSError("no network: " + event)
sys.addaudithook(no_network)
import numpy as np
from eegvlm_rt import Stager
p = Stager.load(sys.argv[1] + "/").predict_epoch(np.random.default_rng(0).normal(0, 20, 3000), 100)
print(p.stage.name, Stager.load(sys.argv[1] + "/", mode="head").bundle.digest)
"""
    results = set()
    for place in (tmp_path / "here", moved):
        done = subprocess.run(
            [sys.executable, "-I", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}", str(place)],
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        )
        results.add(done.stdout)
    assert len(results) == 1
    assert bundle.digest in results.pop()
