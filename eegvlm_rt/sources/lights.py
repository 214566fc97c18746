"""Lights off and on among the annotations of a recording."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import EegVlmError
from .annotation_file import read_annotation_file

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from .edf import Recording

__all__ = ["lights_among", "lights_of", "read_lights"]

_OFF = re.compile(r"lights?[ _-]*(off|out)", re.IGNORECASE)
_ON = re.compile(r"lights?[ _-]*on", re.IGNORECASE)


def read_lights(path: str | os.PathLike[str]) -> tuple[float | None, float | None]:
    """Lights off and on of an EDF+ file, as `lights_among` its annotations. A file without annotations, or
    with ones that cannot be read, has neither.
    """
    try:
        annotations = read_annotation_file(path).annotations
    except EegVlmError:
        return None, None
    return lights_among((a.onset_s, a.text) for a in annotations)


def lights_of(recording: Recording | None) -> tuple[float | None, float | None]:
    """Lights off and on of a recording, in s from its start: its own, else those of its file."""
    if recording is None:
        return None, None
    if recording.lights_s is not None:
        return recording.lights_s
    return (None, None) if recording.path is None else read_lights(recording.path)


def lights_among(marks: Iterable[tuple[float, str]]) -> tuple[float | None, float | None]:
    """Onsets of "Lights off" (or "out") and "Lights on" among marks (onset, text); None where there is none.

    Of several, the first "off" and the last "on" count: what lies between is the night.
    """
    plain_marks = [(onset_s, text.strip()) for onset_s, text in marks]
    off = [onset_s for onset_s, text in plain_marks if _OFF.fullmatch(text)]
    on = [onset_s for onset_s, text in plain_marks if _ON.fullmatch(text)]
    return min(off, default=None), max(on, default=None)
