"""`python -m release`: everything from a clean tree to a tag, in one command that may be given again.

Steps: agree on the version, cut the changelog, commit, build, try, list what is installed, audit, state
the provenance, tag. What is done already is left as it is. Nothing leaves this machine: the last line says
what to push.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from .changelog import cut_version, notes_of
from .parts import Parts, build_parts, is_whole
from .repository import check_tag, commit_files, tag_release
from .run import ROOT, ReleaseError, output_of, status_of
from .source import is_clean
from .version import cite, disagreements, version_of
from .wheels.targets import ARCHITECTURES, PYTHONS, Target

__all__ = ["main"]


def prepare(version: str, *, dry: bool) -> str:
    """Turns what is unreleased into the version, and commits that; the notes of the release."""
    day = datetime.now(UTC).date()
    changelog, citation = ROOT / "CHANGELOG.md", ROOT / "CITATION.cff"
    old = changelog.read_text(encoding="utf-8")
    new = cut_version(old, version, day)
    if new == old:
        print(f"CHANGELOG.md: {version} is there already")
    elif dry:
        print(f"CHANGELOG.md: Unreleased would become {version}, {day}; CITATION.cff its day; one commit")
    else:
        changelog.write_text(new, encoding="utf-8")
        citation.write_text(cite(citation.read_text(encoding="utf-8"), day), encoding="utf-8")
        commit_files([changelog, citation], f"Release {version}")
        print(f"committed: Release {version}")
    return notes_of(new, version)


def release(options: argparse.Namespace) -> None:
    """One release, or what it would do."""
    version = version_of()
    if not is_clean():
        raise ReleaseError("the work tree is not clean: commit or remove what `git status` shows")
    contradictions = disagreements()
    if contradictions:
        raise ReleaseError("\n".join(contradictions))
    print(f"version {version}: every file agrees")
    # Before anything is committed or built: both would be in vain.
    check_tag(version)
    notes = prepare(version, dry=options.dry_run)
    targets = [Target(python, name) for name in options.arch for python in options.python]
    out = options.out.resolve() / version
    parts = Parts(version, output_of("git", "rev-parse", "HEAD"), out, targets)
    if options.dry_run:
        print(f"{out}: would hold the source distribution, {len(targets)} wheels, the bundle,")
        print("  a bill of materials, an audit, provenance, SHA256SUMS and these notes:\n")
        print(notes)
        tag_release(version, notes, dry=True)
        return
    if is_whole(parts):
        print(f"{out}: whole already, made from this commit")
    else:
        build_parts(parts, notes, unaudited=options.unaudited)
    tag_release(version, notes, dry=options.no_tag)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m release", description=__doc__)
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be done; change and build nothing"
    )
    parser.add_argument(
        "--no-tag", action="store_true", help="build only: the commit is tagged already, or not yet"
    )
    parser.add_argument("--unaudited", action="store_true", help="go on where no advisories can be reached")
    parser.add_argument("--python", nargs="+", choices=PYTHONS, default=list(PYTHONS))
    parser.add_argument("--arch", nargs="+", choices=sorted(ARCHITECTURES), default=sorted(ARCHITECTURES))
    parser.add_argument(
        "--out", type=Path, default=ROOT / "dist", help="folder of the versions (default: dist)"
    )
    return status_of(partial(release, parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
