"""Hypnograms as EDF+ annotations, the form sleep software exchanges."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, RecordingError
from ..files.outputs import write_file
from ..files.seal import SEAL
from ..signal.units import EPOCH_S
from ..sources.annotation_file import read_annotation_file
from ..sources.remark_warning import warn_of
from ..stages import edf_text
from .model import DRAFT_TEXT, STAGE_PREFIXES, from_annotations, is_stage_annotation

if TYPE_CHECKING:
    import os

    from ..sources.remark import Remark
    from .model import Hypnogram

__all__ = ["read_edf", "read_scoring", "write_edf"]

_LOST = tuple(prefix.encode() for prefix in STAGE_PREFIXES)


def write_edf(
    hypnogram: Hypnogram, path: str | os.PathLike[str], *, rk: bool = False, overwrite: bool = False
) -> Path:
    """Write an annotation-only EDF+C file: one "Sleep stage W|N1|N2|N3|R|?" of 30 s per epoch, or with `rk`
    "Sleep stage W|1|2|3|R|?".

    Texts: EDF+ standard texts (edfplus.info/specs/edftexts.html). A draft of a model is named by a text of
    its own at 0 s, and marked in the recording field. Probabilities are not part of this file. A
    start that is unknown is written as EDF+'s hidden date, 1 January 1985 00:00:00. Raises InputError for an
    empty hypnogram or a start outside 1985..2084, OutputError for a file of another that is there (unless
    `overwrite`), RecordingError where it cannot be written.
    """
    from edfio import Edf, EdfAnnotation, Recording

    if not hypnogram.stages:
        raise InputError("stages", "0 epochs", "an EDF+ file needs at least one epoch")
    start = hypnogram.start
    if start is not None and not 1985 <= start.year <= 2084:
        raise InputError("start", start.isoformat(), "EDF+ knows the years 1985 to 2084")
    edf = Edf(
        [],
        recording=Recording(
            startdate=None if start is None else start.date(),
            equipment_code=SEAL.split()[0],
            additional=(SEAL.split()[1], *(["draft"] if hypnogram.draft else [])),
        ),
        starttime=None if start is None else start.time().replace(tzinfo=None),
        annotations=[
            *([EdfAnnotation(0.0, None, f"{DRAFT_TEXT}{hypnogram.draft}")] if hypnogram.draft else []),
            *(
                EdfAnnotation(EPOCH_S * i, EPOCH_S, edf_text(stage, rk=rk))
                for i, stage in enumerate(hypnogram.stages)
            ),
        ],
    )
    stream = io.BytesIO()
    edf.write(stream)
    return write_file(path, stream.getvalue(), overwrite=overwrite)


def read_edf(path: str | os.PathLike[str]) -> Hypnogram:
    """Read the stages among the annotations of an EDF+ file, AASM or R&K texts, coalesced or per epoch.

    An entry that is no annotation is left out, and given as a RecordingWarning; the epochs of a stage in it
    are unscored. Raises RecordingError for a file that is damaged or holds no stages, and where such a stage
    could be covered by the one before it, which has no duration.
    """
    hypnogram, remarks = read_scoring(path)
    warn_of(Path(path).name, remarks)
    return hypnogram


def read_scoring(path: str | os.PathLike[str]) -> tuple[Hypnogram, tuple[Remark, ...]]:
    """As `read_edf`: the hypnogram, and what was left out of the file, without a warning."""
    file = read_annotation_file(path)
    lost = next((entry for entry in file.odd if any(word in entry.lower() for word in _LOST)), None)
    if lost is not None and any(is_stage_annotation(a) and not a.duration_s for a in file.annotations):
        cure = "this stage cannot be read, and the one before it has no duration; correct the hypnogram"
        raise RecordingError("annotation", lost, cure, path=str(path))
    return from_annotations(file.annotations, file.start, path=str(path)), file.remarks
