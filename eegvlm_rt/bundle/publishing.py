"""Folders that appear whole: staged beside their place, made durable, then put there in one step.

On Linux an older folder is swapped for the new one by `renameat2(RENAME_EXCHANGE)`: at every instant there is
one whole folder under the name. Where the file system cannot swap, two renames follow one another; a crash
between them leaves the older folder beside its place, as `.NAME.old-*`, and nothing under the name.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["exchange", "publish_folder", "staging_folder", "synchronise"]

_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2
_NO_EXCHANGE: Final = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM}


@contextmanager
def staging_folder(target: Path) -> Iterator[Path]:
    """An empty folder beside `target`, removed afterwards with whatever it then holds.

    It is locked while in use, so that the folders which killed processes left behind are told from those at
    work; they are removed here.
    """
    prefix = f".{target.name}.staging-"
    for leftover in target.parent.glob(f"{prefix}*"):
        _remove_abandoned(leftover)
    staging = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
    descriptor = _lock(staging)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


def publish_folder(staging: Path, target: Path) -> None:
    """Put `staging` at `target` and make that durable; an older folder there is removed afterwards."""
    # Content first, name last: after a power cut there is the old folder or the new one, and never a name
    # without its files.
    synchronise(staging)
    staging.chmod(0o755)
    if not os.path.lexists(target):
        staging.rename(target)
    elif not exchange(staging, target):
        _rename_twice(staging, target)
    _fsync(target.parent)


def exchange(first: Path, second: Path) -> bool:
    """Swap two names in one step; False where this system or file system cannot. Raises OSError."""
    # Linux can swap two names in one step, so there is no moment without a bundle. Elsewhere two renames
    # leave a short one.
    call = _renameat2()
    if call is None:
        return False
    if call(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NO_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(second))


def synchronise(folder: Path) -> None:
    """Make every file and folder below `folder` durable."""
    for place, _, names in os.walk(folder):
        for name in names:
            _fsync(Path(place) / name)
        _fsync(Path(place))


def _renameat2() -> ctypes._NamedFuncPointer | None:
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    call.restype = ctypes.c_int
    return call


def _rename_twice(staging: Path, target: Path) -> None:
    # The old one steps aside and comes back if the new one cannot take its place.
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.old-", dir=target.parent))
    old = aside / target.name
    target.rename(old)
    try:
        staging.rename(target)
    except BaseException:
        old.rename(target)
        aside.rmdir()
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    with suppress(OSError):
        descriptor = _lock(folder)
        if descriptor is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(descriptor)


def _lock(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock until it is closed; None where somebody else does."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _fsync(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
