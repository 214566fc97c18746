"""Programs that a release calls."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

__all__ = ["ROOT", "ReleaseError", "output_of", "run", "status_of"]

ROOT = Path(__file__).resolve().parents[1]


class ReleaseError(Exception):
    """Why no release is made, and what to do."""


def run(
    *command: str | Path,
    folder: Path = ROOT,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> str:
    """Runs a program to its end; its standard output.

    log: where both outputs go as well.

    Raises:
        ReleaseError: the program is missing, or ended with another status than 0; its last lines are told.
    """
    words = [str(word) for word in command]
    # A path to other packages would let a wheel be tried by another copy of what it holds.
    base = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            env={**base, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise ReleaseError(f"{words[0]}: not installed") from None
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-25:])
        raise ReleaseError(f"{' '.join(words)}: ended with status {done.returncode}\n{last}")
    return done.stdout


def output_of(*command: str | Path, folder: Path = ROOT) -> str:
    """The standard output of a program, without the line's end."""
    return run(*command, folder=folder).strip()


def status_of(work: Callable[[], object]) -> int:
    """The exit status of a command: 0, or 1 with the reason on stderr."""
    try:
        work()
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
