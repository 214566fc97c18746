"""A tag is put once, on the commit that was built."""

from __future__ import annotations

from pathlib import Path

import pytest

from release.repository import check_tag, commit_files, tag_release
from release.run import ReleaseError, output_of, run


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "A maintainer")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "maintainer@example.org")
    run("git", "init", "--quiet", "--initial-branch=main", folder=tmp_path)
    (tmp_path / "CHANGELOG.md").write_text("one\n", encoding="utf-8")
    commit_files([tmp_path / "CHANGELOG.md"], "One", folder=tmp_path)
    return tmp_path


def test_a_tag_carries_the_notes_and_is_put_once(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tag_release("0.2.0", "# Notes\n\n- New\n", folder=clone)
    tag_release("0.2.0", "# Notes\n\n- New\n", folder=clone)
    assert output_of("git", "cat-file", "-t", "v0.2.0", folder=clone) == "tag"
    assert "# Notes\n\n- New" in output_of("git", "tag", "--list", "--format=%(contents)", folder=clone)
    assert capsys.readouterr().out.splitlines() == [
        "tagged: v0.2.0",
        "to publish it: git push origin main v0.2.0",
        "v0.2.0: is on this commit already",
        "to publish it: git push origin main v0.2.0",
    ]


def test_a_commit_that_is_refused_leaves_a_clean_tree(clone: Path) -> None:
    """So that the release can be given again, when the hook or the name of the author is right."""
    hook = clone / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\necho no; exit 1\n", encoding="utf-8")
    hook.chmod(0o755)
    (clone / "CHANGELOG.md").write_text("two\n", encoding="utf-8")
    with pytest.raises(ReleaseError, match="no"):
        commit_files([clone / "CHANGELOG.md"], "Two", folder=clone)
    assert output_of("git", "status", "--porcelain", folder=clone) == ""
    assert (clone / "CHANGELOG.md").read_text(encoding="utf-8") == "one\n"


def test_without_a_branch_the_maintainer_names_one(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("git", "checkout", "--quiet", "--detach", folder=clone)
    tag_release("0.2.0", "Notes", folder=clone)
    assert "git push origin HEAD:refs/heads/BRANCH v0.2.0" in capsys.readouterr().out


def test_a_dry_run_tags_nothing(clone: Path) -> None:
    tag_release("0.2.0", "Notes", dry=True, folder=clone)
    assert output_of("git", "tag", folder=clone) == ""


def test_a_tag_on_another_commit_is_refused(clone: Path) -> None:
    tag_release("0.2.0", "Notes", folder=clone)
    (clone / "CHANGELOG.md").write_text("two\n", encoding="utf-8")
    commit_files([clone / "CHANGELOG.md"], "Two", folder=clone)
    with pytest.raises(ReleaseError, match=r"v0\.2\.0: is on .*raise the version"):
        check_tag("0.2.0", folder=clone)
    with pytest.raises(ReleaseError, match=r"v0\.2\.0: is on .*raise the version"):
        tag_release("0.2.0", "Notes", folder=clone)
