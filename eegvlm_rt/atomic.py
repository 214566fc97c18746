"""Files that are either the old one or the whole new one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from .errors import RecordingError

__all__ = ["write_file"]


def write_file(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write `data` beside `path`, then rename it there; a link is followed, its target replaced.

    Raises RecordingError where that cannot be, and for a folder, device or pipe: renaming would replace it.
    """
    target = Path(path)
    try:
        place = target.resolve()
        if place.exists() and not place.is_file():
            what = "a folder" if place.is_dir() else "not a regular file"
            raise RecordingError(
                "path", str(target), f"this is {what}; name a file to write", path=str(target)
            )
        descriptor, name = tempfile.mkstemp(prefix=".eegvlm-", dir=place.parent)
        staged = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(data)
            staged.chmod(0o644)
            staged.replace(place)
        except BaseException:
            staged.unlink()
            raise
    except RecordingError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise RecordingError("path", str(target), f"cannot be written: {why}", path=str(target)) from error
    return target
