"""Files that are read: regular ones, and errors that say what else is there."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from ..errors import RecordingError

__all__ = ["open_regular"]


def open_regular(path: str | os.PathLike[str]) -> tuple[Path, BinaryIO, int]:
    """Open a regular file for reading: (path, file, size in bytes).

    Raises RecordingError where there is no such file, it is a folder or a device, or may not be read.
    """
    target = Path(path)
    try:
        if not stat.S_ISREG(target.stat().st_mode):
            what = "a folder" if target.is_dir() else "not a regular file"
            raise RecordingError("path", str(target), f"this is {what}; give an EDF file", path=str(target))
        handle = target.open("rb")
    except RecordingError:
        raise
    except FileNotFoundError as error:
        raise RecordingError("path", str(target), "there is no such file", path=str(target)) from error
    except PermissionError as error:
        raise RecordingError(
            "path", str(target), "this file may not be read; check its rights", path=str(target)
        ) from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not the name of a file"
        raise RecordingError(
            "path", str(target), f"this file cannot be opened: {why}", path=str(target)
        ) from error
    return target, handle, os.fstat(handle.fileno()).st_size
