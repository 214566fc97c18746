"""The workflows take no action by a name that can be moved, and have no right that a job does not name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from release.run import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_there_are_three() -> None:
    assert [file.stem for file in WORKFLOWS] == ["release", "tests", "wheels"]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_every_action_is_pinned_by_its_commit_with_the_version_beside_it(file: Path) -> None:
    uses = re.findall(r"uses: (.*)$", file.read_text(encoding="utf-8"), re.M)
    assert uses
    for action in uses:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_one_action_has_one_commit_everywhere() -> None:
    texts = "\n".join(file.read_text(encoding="utf-8") for file in WORKFLOWS)
    commits: dict[str, set[str]] = {}
    for action, commit in re.findall(r"uses: (\S+)@(.*)$", texts, re.M):
        commits.setdefault(action, set()).add(commit)
    assert {action for action, pins in commits.items() if len(pins) > 1} == set()


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_rights_are_given_by_job_and_writing_ones_to_the_publisher_alone(file: Path) -> None:
    workflow = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        if name != "publish":
            assert job["permissions"] == {"contents": "read"}
        assert job["timeout-minutes"] <= 60
