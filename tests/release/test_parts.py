"""A release that is whole is left as it is; one that was cut or changed is built again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from release.parts import SUMS, Parts, build_parts, is_whole
from release.provenance import sums
from release.run import ReleaseError
from release.wheels.targets import Target


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    """A folder as a release leaves it, with one file that a user downloads."""
    parts = Parts("0.2.0", "c0ffee", tmp_path, [Target("3.11", "x86_64")])
    (tmp_path / "a.whl").write_bytes(b"wheel")
    definition = {
        "resolvedDependencies": [{"digest": {"gitCommit": "c0ffee"}}],
        "externalParameters": {"targets": [parts.targets[0].tag]},
    }
    content = {"subject": [{"name": "a.whl"}], "predicate": {"buildDefinition": definition}}
    parts.provenance.write_text(json.dumps(content), encoding="utf-8")
    (tmp_path / SUMS).write_text(sums(sorted(tmp_path.iterdir())), encoding="utf-8")
    return parts


def test_it_is_whole(parts: Parts) -> None:
    assert is_whole(parts)
    (parts.folder / "notes of my own").touch()
    assert is_whole(parts)


@pytest.mark.parametrize(
    "fault",
    [
        lambda parts: (parts.folder / "a.whl").write_bytes(b"w"),
        lambda parts: (parts.folder / "a.whl").unlink(),
        lambda parts: (parts.folder / SUMS).unlink(),
        lambda parts: (parts.folder / SUMS).write_text(""),
        lambda parts: (parts.folder / SUMS).write_text("0123"),
        lambda parts: parts.provenance.unlink(),
        lambda parts: parts.provenance.write_text(parts.provenance.read_text()[:50]),
        lambda parts: parts.provenance.write_text("[]"),
    ],
)
def test_a_fault_is_seen(parts: Parts, fault: Callable[[Parts], object]) -> None:
    fault(parts)
    assert not is_whole(parts)


def test_another_commit_and_other_targets_are_another_release(parts: Parts) -> None:
    targets = [*parts.targets, Target("3.12", "x86_64")]
    assert not is_whole(Parts(parts.version, "0ther", parts.folder, parts.targets))
    assert not is_whole(Parts(parts.version, parts.commit, parts.folder, targets))


def test_without_a_wheel_for_this_python_nothing_is_built(parts: Parts) -> None:
    targets = [Target("3.9", "s390x")]
    with pytest.raises(ReleaseError, match="not among the targets"):
        build_parts(Parts(parts.version, parts.commit, parts.folder, targets), "Notes", unaudited=False)
    assert is_whole(parts)
