"""`python -m release.wheels`: the source distribution and the wheels of a commit."""

from __future__ import annotations

import argparse
import shutil
import sys
from functools import partial
from pathlib import Path

from ..run import ROOT, status_of
from ..source import build_sdist, commit_time, export_commit
from .build import build_wheel, check_platform
from .headers import find_headers
from .targets import ARCHITECTURES, PYTHONS, Target

__all__ = ["build_all", "main"]


def build_all(
    targets: list[Target],
    out: Path,
    work: Path,
    *,
    commit: str = "HEAD",
    header_folders: dict[str, Path] | None = None,
) -> dict[str, str]:
    """Builds the source distribution of a commit, and from it one wheel a target; name -> its headers.

    An older file of the same name in `out` is replaced.
    """
    epoch = commit_time(commit)
    source, sdists, unpacked = work / "source", work / "sdist", work / "unpacked"
    for folder in (source, sdists, unpacked):
        shutil.rmtree(folder, ignore_errors=True)
    sdists.mkdir(parents=True)
    sdist = build_sdist(export_commit(source, commit), sdists, epoch)
    out.mkdir(parents=True, exist_ok=True)
    shutil.copy2(sdist, out)
    shutil.unpack_archive(sdist, unpacked, filter="data")
    source = unpacked / sdist.name.removesuffix(".tar.gz")
    origins = {sdist.name: f"commit {commit}"}
    print(f"{sdist.name}  {sdist.stat().st_size:,} bytes", flush=True)
    for target in targets:
        headers = find_headers(target, header_folders or {}, work / "headers")
        wheel = build_wheel(source, target, headers, work / target.tag, out, epoch)
        check_platform(wheel, target)
        origins[wheel.name] = headers.origin
        print(f"{wheel.name}  {wheel.stat().st_size:,} bytes, headers: {headers.origin}", flush=True)
    return origins


def _pair(text: str) -> tuple[str, Path]:
    version, equals, folder = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError("VERSION=FOLDER")
    return version, Path(folder).resolve()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m release.wheels", description=__doc__)
    parser.add_argument("--python", nargs="+", choices=PYTHONS, default=list(PYTHONS))
    parser.add_argument("--arch", nargs="+", choices=sorted(ARCHITECTURES), default=sorted(ARCHITECTURES))
    parser.add_argument("--commit", default="HEAD", help="what is built (default: HEAD)")
    parser.add_argument("--headers", action="append", type=_pair, default=[], metavar="VERSION=FOLDER")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "wheels")
    options = parser.parse_args()
    targets = [Target(python, name) for name in options.arch for python in options.python]
    return status_of(
        partial(
            build_all,
            targets,
            options.out.resolve(),
            options.work.resolve(),
            commit=options.commit,
            header_folders=dict(options.headers),
        )
    )


if __name__ == "__main__":
    sys.exit(main())
