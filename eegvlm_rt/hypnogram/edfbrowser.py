"""Hypnograms as the annotation list that EDFbrowser imports."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from ..errors import RecordingError
from ..files.outputs import write_file
from ..signal.units import EPOCH_S
from ..sources.edf_annotations import Annotation
from ..stages import edf_text
from .model import DRAFT_TEXT, from_annotations
from .table import Row, read_text

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from .model import Hypnogram

__all__ = ["read_edfbrowser", "write_edfbrowser"]

_COLUMNS = ("Onset", "Duration", "Annotation")


def write_edfbrowser(hypnogram: Hypnogram, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write Onset, Duration (both in s) and Annotation ("Sleep stage N2", "Sleep stage ?"), commas between.

    The draft of a model is named in a row of its own.

    In EDFbrowser: Tools, Import annotations/events, ASCII: separator comma, data starts at line 2, columns
    onset 1, duration 2, annotation 3, time coding in seconds.
    """
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    if hypnogram.draft:
        writer.writerow(("0.000", "0.000", f"{DRAFT_TEXT}{hypnogram.draft}"))
    for i, stage in enumerate(hypnogram.stages):
        writer.writerow((f"{EPOCH_S * i:.3f}", f"{EPOCH_S:.3f}", edf_text(stage)))
    return write_file(path, stream.getvalue().encode(), overwrite=overwrite)


def read_edfbrowser(path: str | os.PathLike[str]) -> Hypnogram:
    """Read what `write_edfbrowser` wrote, or EDFbrowser exported with these columns in seconds.

    Other annotations are passed over. Raises RecordingError, naming the row, for anything else.
    """
    target, text = read_text(path)
    try:
        lines = list(csv.reader(io.StringIO(text.replace("\0", ""), newline="")))
    except csv.Error as error:
        raise RecordingError(
            "file", target.name, "no comma-separated table; export it again", path=str(target)
        ) from error
    names = tuple(name.strip() for name in lines[0][:3]) if lines else ()
    if names != _COLUMNS:
        raise RecordingError("columns", ",".join(names), f"must be {','.join(_COLUMNS)}", path=str(target))
    marks: list[Annotation] = []
    for row in (Row(target, i, _COLUMNS, tuple(cells)) for i, cells in enumerate(lines[1:], 2) if cells):
        duration_s = row.number("Duration") if row.text("Duration") else None
        marks.append(Annotation(row.number("Onset"), duration_s, row.text("Annotation")))
    return from_annotations(tuple(marks), path=str(target))
