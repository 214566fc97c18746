"""The file under a journal: made, opened, locked, and its torn tail set aside."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ..errors import JournalError
from .reader import read_descriptor

__all__ = ["holds_a_night", "make", "open_and_lock", "open_regular", "set_aside", "write_at"]

_ASIDE_TRIES: Final = 100


def make(path: Path) -> int:
    """Descriptor of a new, empty, locked file; of an old one where that holds no record of a journal.

    Raises:
        OSError: what the disk refuses. JournalError: a file is there already, or another process writes it.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o644)
    except FileExistsError:
        return _made_again(path)
    _lock(descriptor, path)
    with suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return descriptor


def _made_again(path: Path) -> int:
    descriptor = open_and_lock(path)
    try:
        report = read_descriptor(descriptor, str(path))
        if report.records:
            raise JournalError(
                "journal", str(path), "is there already: resume it, or name another", str(path)
            )
        if report.torn_bytes:
            set_aside(descriptor, path, 0)
        os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def holds_a_night(path: Path) -> bool:
    """Whether a journal with at least one record is there; raises JournalError for a file of another kind."""
    if not path.exists():
        return False
    descriptor = open_regular(path, os.O_RDONLY)
    try:
        return bool(read_descriptor(descriptor, str(path)).records)
    finally:
        os.close(descriptor)


def open_regular(path: Path, access: int) -> int:
    """Descriptor of a file that is there; raises JournalError where it is none or cannot be opened."""
    try:
        descriptor = os.open(path, access | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise JournalError("journal", str(path), f"cannot be opened: {why}", str(path)) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise JournalError("journal", str(path), "not a regular file; name a journal", str(path))
    return descriptor


def open_and_lock(path: Path) -> int:
    """Descriptor of a file that only this process may write; raises JournalError where that cannot be."""
    descriptor = open_regular(path, os.O_RDWR)
    _lock(descriptor, path)
    return descriptor


def _lock(descriptor: int, path: Path) -> None:
    """Lock for this process alone. A file system that knows no locks is used without."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise JournalError("journal", str(path), "another process writes it", str(path)) from error
    except OSError:
        pass


def write_at(descriptor: int, data: bytes, place: int) -> None:
    """Write all of `data` at `place`; raises OSError, with a part of it written, where that cannot be."""
    remainder = memoryview(data)
    while remainder:
        count = os.pwrite(descriptor, remainder, place)
        remainder, place = remainder[count:], place + count


def set_aside(descriptor: int, path: Path, end: int) -> dict[str, Any]:
    """Copy what follows `end` to a new file `NAME.torn-END` beside the journal; tells its name, SHA-256 and,
    where it could not be written, why.
    """
    size = os.fstat(descriptor).st_size
    data = os.pread(descriptor, size - end, end)
    fields: dict[str, Any] = {"torn_sha256": hashlib.sha256(data).hexdigest(), "torn_file": None}
    for number in range(_ASIDE_TRIES):
        place = path.with_name(f"{path.name}.torn-{end}" + (f"-{number}" if number else ""))
        try:
            with place.open("xb") as handle:
                handle.write(data)
                handle.flush()
                os.fsync(handle.fileno())
        except FileExistsError:
            continue
        except OSError as error:
            return {**fields, "torn_kept": f"not kept: {error.strerror}"}
        return {**fields, "torn_file": place.name}
    return {**fields, "torn_kept": "not kept: too many files of its name"}
