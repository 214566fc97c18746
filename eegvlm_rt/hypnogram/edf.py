"""Hypnograms as EDF+ annotations, the form sleep software exchanges."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, RecordingError
from ..files import write_file
from ..seal import SEAL
from ..signal.units import EPOCH_S
from ..sources.edf import read_annotation_file
from ..sources.remark import warn_of
from ..stages import Stage, edf_text
from .model import MAX_EPOCHS, Hypnogram, is_model_name

if TYPE_CHECKING:
    import os
    from datetime import datetime

    from ..sources.edf_annotations import Annotation
    from ..sources.remark import Remark

__all__ = ["DRAFT_TEXT", "from_annotations", "read_edf", "read_scoring", "write_edf"]

DRAFT_TEXT = "Draft model "
"""Begins the text at 0 s that names the draft of a model, in every form that is made of texts."""

_PREFIXES = ("sleep stage", "movement time")
_LOST = tuple(prefix.encode() for prefix in _PREFIXES)


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
    if lost is not None and any(_is_stage(a) and not a.duration_s for a in file.annotations):
        cure = "this stage cannot be read, and the one before it has no duration; correct the hypnogram"
        raise RecordingError("annotation", lost, cure, path=str(path))
    return from_annotations(file.annotations, file.start, path=str(path)), file.remarks


def from_annotations(
    annotations: tuple[Annotation, ...], start: datetime | None = None, *, path: str = ""
) -> Hypnogram:
    """Put stage annotations on a 30 s grid that begins at 0 s.

    An epoch has the stage of the annotation over its middle; where none is, it is unscored. "Sleep stage ?"
    and "Movement time" are unscored. An annotation without a duration lasts to the next stage, the last one
    30 s. "Draft model NAME" marks the whole; other annotations ("Lights off") are passed over.

    Raises RecordingError for no stages at all, an unknown stage text, two stages over the same epoch, or
    stages before 0 s or after a week.
    """
    marks = sorted(filter(_is_stage, annotations), key=lambda a: a.onset_s)
    if not marks:
        raise RecordingError(
            "annotations", len(annotations), "none is a sleep stage; give a hypnogram", path=path
        )
    stages: list[Stage | None] = []
    for i, mark in enumerate(marks):
        duration_s = mark.duration_s
        if not duration_s:
            duration_s = marks[i + 1].onset_s - mark.onset_s if i + 1 < len(marks) else EPOCH_S
        first, last = _epoch_at(mark.onset_s), _epoch_at(mark.onset_s + duration_s)
        if mark.onset_s < 0.0 or last > MAX_EPOCHS:
            raise RecordingError(
                "annotation onset", f"{mark.onset_s:g} s", "stages lie within a week from 0 s", path=path
            )
        if first < min(last, len(stages)):
            raise RecordingError(
                "annotation",
                mark.text,
                f"epoch {first + 1} has two stages; correct the hypnogram",
                path=path,
            )
        try:
            stage = Stage.parse(mark.text)
        except ValueError as error:
            raise RecordingError(
                "annotation", mark.text, "no sleep stage that is known", path=path
            ) from error
        stages.extend([None] * (first - len(stages)))
        stages.extend([stage] * (last - first))
    texts = (a.text.removeprefix(DRAFT_TEXT) for a in annotations if a.text.startswith(DRAFT_TEXT))
    return Hypnogram(tuple(stages), start, draft=next(filter(is_model_name, texts), ""))


def _is_stage(annotation: Annotation) -> bool:
    return annotation.text.lower().startswith(_PREFIXES)


def _epoch_at(seconds: float) -> int:
    """Index of the first epoch whose middle is not before `seconds`."""
    return -int(-(seconds - 0.5 * EPOCH_S) // EPOCH_S)
