"""The commit and the tag of a release. Nothing is pushed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .run import ROOT, ReleaseError, output_of, run

__all__ = ["check_tag", "commit_files", "tag_release"]


def commit_files(files: Sequence[Path], message: str, *, folder: Path = ROOT) -> None:
    """Commits these files alone; where that fails they are again as the commit before has them."""
    run("git", "add", *files, folder=folder)
    try:
        run("git", "commit", "--quiet", "--message", message, "--", *files, folder=folder)
    except ReleaseError:
        if output_of("git", "ls-tree", "HEAD", *files, folder=folder):
            run("git", "restore", "--staged", "--worktree", *files, folder=folder)
        raise


def check_tag(version: str, *, folder: Path = ROOT) -> bool:
    """Whether the commit of the work tree has the tag of the version.

    Raises:
        ReleaseError: another commit has it.
    """
    name = f"v{version}"
    if not output_of("git", "tag", "--list", name, folder=folder):
        return False
    tagged = output_of("git", "rev-parse", f"{name}^{{commit}}", folder=folder)
    head = output_of("git", "rev-parse", "HEAD", folder=folder)
    if tagged != head:
        cure = "raise the version in eegvlm_rt/__init__.py, or check out the tag"
        raise ReleaseError(f"{name}: is on {tagged[:10]}, not on {head[:10]}; {cure}")
    return True


def tag_release(version: str, notes: str, *, dry: bool = False, folder: Path = ROOT) -> None:
    """Puts the annotated tag of a version on the commit of the work tree, and says how to push it.

    Raises:
        ReleaseError: the tag is on another commit.
    """
    name = f"v{version}"
    if check_tag(version, folder=folder):
        print(f"{name}: is on this commit already")
    elif dry:
        print(f"{name}: not tagged")
        return
    else:
        # Lines of Markdown that begin with # are headings, not comments of git.
        run("git", "tag", "--annotate", name, "--cleanup=verbatim", f"--message={notes}", folder=folder)
        print(f"tagged: {name}")
    branch = output_of("git", "branch", "--show-current", folder=folder)
    print(f"to publish it: git push origin {branch or 'HEAD:refs/heads/BRANCH'} {name}")
