"""The commit and the tag of a release. Nothing is pushed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .run import ROOT, ReleaseError, output_of, run

__all__ = ["commit_files", "tag_release"]


def commit_files(files: Sequence[Path], message: str, *, folder: Path = ROOT) -> None:
    """Commits these files alone."""
    run("git", "add", *files, folder=folder)
    run("git", "commit", "--quiet", "--message", message, "--", *files, folder=folder)


def tag_release(version: str, notes: str, *, dry: bool = False, folder: Path = ROOT) -> None:
    """Puts the annotated tag of a version on the commit of the work tree, and says how to push it.

    Raises:
        ReleaseError: the tag is on another commit.
    """
    name = f"v{version}"
    head = output_of("git", "rev-parse", "HEAD", folder=folder)
    if output_of("git", "tag", "--list", name, folder=folder):
        tagged = output_of("git", "rev-parse", f"{name}^{{commit}}", folder=folder)
        if tagged != head:
            cure = "raise the version in eegvlm_rt/__init__.py, or check out the tag"
            raise ReleaseError(f"{name}: is on {tagged[:10]}, not on {head[:10]}; {cure}")
        print(f"{name}: is on this commit already")
    elif dry:
        print(f"{name}: not tagged")
        return
    else:
        # Lines of Markdown that begin with # are headings, not comments of git.
        run("git", "tag", "--annotate", name, "--cleanup=verbatim", f"--message={notes}", folder=folder)
        print(f"tagged: {name}")
    branch = output_of("git", "rev-parse", "--abbrev-ref", "HEAD", folder=folder)
    print(f"to publish it: git push origin {branch} {name}")
