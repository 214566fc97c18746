"""The annotations of an EDF+ or BDF+ file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ..errors import RecordingError
from ..files.inputs import open_regular
from .edf_annotations import Annotation, parse_record
from .edf_clock import start_shift
from .edf_header import read_header
from .edf_records import record_bytes, records
from .remark import Remark, RemarkKind
from .remark_warning import warn_of

if TYPE_CHECKING:
    import os
    from datetime import datetime
    from pathlib import Path

__all__ = ["AnnotationFile", "read_annotation_file", "read_annotations"]

_MAX_ANNOTATIONS = 1_000_000


@dataclass(frozen=True, slots=True)
class AnnotationFile:
    """The annotations of an EDF+ file in file order.

    `start` is the clock time from which onsets count, None where it is unknown. `odd` are the entries that
    are no annotation, `remarks` say what was left out.
    """

    path: Path
    start: datetime | None
    annotations: tuple[Annotation, ...]
    odd: tuple[bytes, ...] = ()
    remarks: tuple[Remark, ...] = ()


def read_annotation_file(path: str | os.PathLike[str]) -> AnnotationFile:
    """Read the annotations of an EDF+ file; entries that are none are left out, and counted.

    Raises RecordingError for a file that is no EDF+ file.
    """
    target, handle, size = open_regular(path)
    annotations: list[Annotation] = []
    odd: list[bytes] = []
    with handle:
        header = read_header(target, handle, size)
        columns = [signal for signal in header.signals if signal.is_annotations]
        if not columns:
            raise RecordingError(
                "file", target.name, "this file has no annotations; give an EDF+ file", path=str(target)
            )
        shift_s = start_shift(handle, header)
        for block in records(handle, header):
            for record in block:
                for signal in columns:
                    entries, others = parse_record(record_bytes(record, signal))
                    annotations.extend(entries)
                    odd.extend(others)
                if len(annotations) + len(odd) > _MAX_ANNOTATIONS:
                    raise RecordingError(
                        "annotations",
                        len(annotations) + len(odd),
                        f"more than {_MAX_ANNOTATIONS}; the file is damaged",
                        path=str(target),
                    )
    remarks = header.remarks
    if odd:
        text = f"{len(odd)} entries are no annotation and are left out, the first is {odd[0][:60]!r}"
        remarks += (Remark(RemarkKind.ANNOTATIONS, text),)
    return AnnotationFile(
        target,
        None if header.start is None else header.start + timedelta(seconds=shift_s),
        tuple(Annotation(round(a.onset_s - shift_s, 9), a.duration_s, a.text) for a in annotations),
        tuple(odd),
        remarks,
    )


def read_annotations(path: str | os.PathLike[str]) -> tuple[datetime | None, tuple[Annotation, ...]]:
    """Start and annotations of an EDF+ file in file order; onsets count from that start.

    What is left out is given as a RecordingWarning. Raises RecordingError for a file that is no EDF+ file.
    """
    file = read_annotation_file(path)
    warn_of(file.path.name, file.remarks)
    return file.start, file.annotations
