"""Files that are either the old one or the whole new one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from .errors import RecordingError

__all__ = ["write_file"]


def write_file(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write `data` beside `path`, then rename it there. Raises RecordingError where that cannot be."""
    target = Path(path)
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        staged = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(data)
            staged.chmod(0o644)
            staged.replace(target)
        except BaseException:
            staged.unlink()
            raise
    except OSError as error:
        raise RecordingError(
            "path", str(target), f"cannot be written: {error.strerror}", path=str(target)
        ) from error
    return target
