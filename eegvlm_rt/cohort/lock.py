"""One run at a time in a folder of results: a lock that names its owner and ends with it."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from ..errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["folder_lock"]

LOCK: Final = ".eegvlm-lock"


@contextmanager
def folder_lock(out: Path, scope: str = "") -> Iterator[None]:
    """Hold the lock of a folder of results, or of a part of it (`scope`, such as a BIDS participant): parts
    may be held side by side, the whole only alone.

    The operating system frees it when the process ends, whatever ends it. On a network drive it works where
    the drive has POSIX locks (NFS 4 and later). Raises OutputError, naming the owner, where it is held.
    """
    with ExitStack() as stack:
        whole = out / LOCK
        if scope:
            stack.enter_context(_file_lock(whole, fcntl.LOCK_SH))
            stack.enter_context(_file_lock(out / f"{LOCK}-{scope}", fcntl.LOCK_EX))
        else:
            stack.enter_context(_file_lock(whole, fcntl.LOCK_EX))
        yield


@contextmanager
def _file_lock(path: Path, how: int) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except OSError as error:
            owner = _owner(descriptor)
            cure = f"another run writes there{owner}; wait for it, or name another folder"
            raise OutputError("folder", str(path.parent), cure) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(_self()).encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _self() -> dict[str, object]:
    user = ""
    with suppress(KeyError, OSError):
        user = getpass.getuser()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"host": socket.gethostname(), "pid": os.getpid(), "user": user, "since": now}


def _owner(descriptor: int) -> str:
    try:
        owner = json.loads(os.pread(descriptor, 4096, 0))
        return f" (process {owner['pid']} of {owner['user']} on {owner['host']}, since {owner['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
