"""The source of a release: what a commit holds, and the source distribution that is made of it."""

from __future__ import annotations

import os
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from subprocess import run as run_bytes

from .run import ROOT, ReleaseError, output_of, run

__all__ = ["build_sdist", "commit_time", "export_commit", "is_clean"]


def is_clean() -> bool:
    """Whether the work tree is what its commit says; ignored files do not count."""
    return not output_of("git", "status", "--porcelain")


def commit_time(commit: str = "HEAD") -> int:
    """Seconds since 1970 at which the commit was made, or $SOURCE_DATE_EPOCH."""
    return int(os.environ.get("SOURCE_DATE_EPOCH") or output_of("git", "log", "-1", "--format=%ct", commit))


def export_commit(folder: Path, commit: str = "HEAD") -> Path:
    """Writes the files of a commit to a new folder: nothing that only lies about gets into a release."""
    if folder.exists():
        raise ReleaseError(f"{folder}: exists; remove it")
    folder.mkdir(parents=True)
    archive = run_bytes(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder


def build_sdist(source: Path, out: Path, epoch: int) -> Path:
    """Makes the source distribution of a source folder; its path."""
    command = (sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", out, source)
    run(*command, environment={"SOURCE_DATE_EPOCH": str(epoch)}, log=out.parent / "sdist.log")
    (archive,) = out.glob("*.tar.gz")
    return archive
