"""Hypnograms as the annotation list that EDFbrowser imports."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING

from ..errors import RecordingError
from ..files import write_file
from ..signal.units import EPOCH_S
from ..sources.edf_annotations import Annotation
from ..sources.edf_header import open_regular
from ..stages import edf_text
from .edf import from_annotations

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from .model import Hypnogram

__all__ = ["read_edfbrowser", "write_edfbrowser"]

_COLUMNS = ("Onset", "Duration", "Annotation")
_MAX_BYTES = 1 << 24


def write_edfbrowser(hypnogram: Hypnogram, path: str | os.PathLike[str]) -> Path:
    """Write Onset, Duration (both in s) and Annotation ("Sleep stage N2", "Sleep stage ?"), commas between.

    In EDFbrowser: Tools, Import annotations/events, ASCII: separator comma, data starts at line 2, columns
    onset 1, duration 2, annotation 3, time coding in seconds.
    """
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for i, stage in enumerate(hypnogram.stages):
        writer.writerow((f"{EPOCH_S * i:.3f}", f"{EPOCH_S:.3f}", edf_text(stage)))
    return write_file(path, stream.getvalue().encode())


def read_edfbrowser(path: str | os.PathLike[str]) -> Hypnogram:
    """Read what `write_edfbrowser` wrote, or EDFbrowser exported with these columns in seconds.

    Other annotations are passed over. Raises RecordingError, naming the row, for anything else.
    """
    target, handle, size = open_regular(path)
    with handle:
        raw = handle.read(_MAX_BYTES + 1)
    marks: list[Annotation] = []
    number = 0
    try:
        if size > _MAX_BYTES:
            raise ValueError(f"{size} bytes, at most {_MAX_BYTES} are read")
        table = csv.reader(io.StringIO(raw.decode("utf-8"), newline=""))
        for number, row in enumerate(table):
            if number == 0:
                if tuple(name.strip() for name in row[:3]) != _COLUMNS:
                    raise ValueError(f"the columns are not {', '.join(_COLUMNS)}")
            elif row:
                onset_s, duration_s = float(row[0]), float(row[1]) if row[1].strip() else None
                if not all(math.isfinite(t) for t in (onset_s, duration_s or 0.0)):
                    raise ValueError("a time is not finite")
                marks.append(Annotation(onset_s, duration_s, row[2]))
    except (ValueError, IndexError, csv.Error) as error:
        raise RecordingError("row", number + 1, f"no annotation: {error}", path=str(target)) from error
    return from_annotations(tuple(marks), path=str(target))
