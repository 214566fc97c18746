"""Lights off and on among the annotations of an EDF+ recording."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import EegVlmError
from .edf import read_annotation_file

if TYPE_CHECKING:
    import os

__all__ = ["read_lights"]

_OFF = re.compile(r"lights?[ _-]*(off|out)", re.IGNORECASE)
_ON = re.compile(r"lights?[ _-]*on", re.IGNORECASE)


def read_lights(path: str | os.PathLike[str]) -> tuple[float | None, float | None]:
    """Seconds from the start of a recording to "Lights off" (or "out") and "Lights on"; None where there is
    none.

    Of several, the first "off" and the last "on" count: what lies between is the night. A file without
    annotations, or with ones that cannot be read, has neither.
    """
    try:
        annotations = read_annotation_file(path).annotations
    except EegVlmError:
        return None, None
    off = [a.onset_s for a in annotations if _OFF.fullmatch(a.text.strip())]
    on = [a.onset_s for a in annotations if _ON.fullmatch(a.text.strip())]
    return min(off, default=None), max(on, default=None)
