"""Remarks as Python warnings."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from ..errors import RecordingWarning

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .remark import Remark

__all__ = ["warn_of"]


def warn_of(name: str, remarks: Iterable[Remark], stacklevel: int = 2) -> None:
    """Give each remark about the file `name` as a RecordingWarning of the caller's caller."""
    for remark in remarks:
        warnings.warn(f"{name}: {remark.text}", RecordingWarning, stacklevel=stacklevel + 1)
