"""Hypnogram: one stage, or none, per 30 s of a night."""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..errors import InputError, RecordingError
from ..signal.units import EPOCH_S
from ..sources.remark_warning import warn_of
from ..stages import STAGES, Stage
from .alignment import align

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..sources.edf_annotations import Annotation

__all__ = [
    "DRAFT_TEXT",
    "MAX_EPOCHS",
    "STAGE_PREFIXES",
    "Hypnogram",
    "from_annotations",
    "is_model_name",
    "is_stage_annotation",
]

MAX_EPOCHS = 7 * 24 * 120

DRAFT_TEXT = "Draft model "
"""Begins the text at 0 s that names the draft of a model, in every form that is made of texts."""

STAGE_PREFIXES = ("sleep stage", "movement time")
"""How a text about a stage begins, in lower case."""

_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Hypnogram:
    """Stages of consecutive 30 s epochs.

    `stages` has one entry per epoch, None where the epoch is unscored. `start` is the clock time of the
    first epoch. `probabilities` holds, per epoch, p(W), p(N1), p(N2), p(N3), p(R), or None for an epoch
    without them; the whole is None where nothing is known. `draft` names the draft of a model that staged
    them, and every file says so; it is empty for any other. Raises InputError for lengths that differ,
    probabilities that are none, a name of other characters than letters, digits and "._+-", or more than a
    week of epochs.
    """

    stages: tuple[Stage | None, ...]
    start: datetime | None = None
    probabilities: tuple[tuple[float, ...] | None, ...] | None = None
    draft: str = ""

    def __post_init__(self) -> None:
        if self.draft and not is_model_name(self.draft):
            raise InputError("draft", self.draft, "give the name of a model")
        if len(self.stages) > MAX_EPOCHS:
            raise InputError(
                "stages", f"{len(self.stages)} epochs", f"a hypnogram holds at most {MAX_EPOCHS} (a week)"
            )
        if self.probabilities is None:
            return
        if len(self.probabilities) != len(self.stages):
            raise InputError(
                "probabilities",
                f"{len(self.probabilities)} rows",
                f"give one row per epoch: {len(self.stages)}",
            )
        for i, row in enumerate(self.probabilities):
            if row is not None and not _is_distribution(row):
                raise InputError(
                    f"probabilities[{i}]", row, "give five probabilities W N1 N2 N3 R that sum to 1"
                )

    def __len__(self) -> int:
        return len(self.stages)

    @classmethod
    def of(
        cls,
        stages: Iterable[Stage | int | None],
        start: datetime | None = None,
        probabilities: Sequence[Mapping[Stage, float] | None] | None = None,
    ) -> Hypnogram:
        """Build from stages (integers 0..4; negative ones are unscored) and stage -> p mappings.

        Raises InputError for a stage that is none of these or a mapping that lacks a stage.
        """
        rows = None
        if probabilities is not None:
            rows = tuple(None if p is None else _row(i, p) for i, p in enumerate(probabilities))
        return cls(tuple(_stage(i, stage) for i, stage in enumerate(stages)), start, rows)

    def to_yasa(self) -> Any:
        """A `yasa.Hypnogram` of the same stages; see `hypnogram.yasa.to_yasa`."""
        from .yasa import to_yasa

        return to_yasa(self)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return EPOCH_S * len(self.stages)

    def clock(self, epoch: int) -> datetime | None:
        """Clock time at which an epoch begins, None where the start is unknown."""
        return None if self.start is None else self.start + timedelta(seconds=EPOCH_S * epoch)

    def window(self, first: int, count: int) -> Hypnogram:
        """`count` epochs from epoch `first`; epochs outside the hypnogram are unscored."""
        inside = [i if 0 <= i < len(self.stages) else None for i in range(first, first + count)]
        rows = self.probabilities
        return Hypnogram(
            tuple(None if i is None else self.stages[i] for i in inside),
            self.clock(first),
            None if rows is None else tuple(None if i is None else rows[i] for i in inside),
            self.draft,
        )

    def aligned_to(self, other: Hypnogram, offset_s: float | None = None) -> Hypnogram:
        """The part of this hypnogram that covers `other`, epoch for epoch.

        `offset_s` is how many seconds later `other` begins; None takes it from the clock times of both, by
        the time of day where one hides its date. Where a start is unknown they are taken to begin together.
        Both are given as a RecordingWarning. Raises InputError where the starts are no whole number of epochs
        apart, to within a second.
        """
        alignment = align(self.start, other.start, offset_s)
        if alignment.remark is not None:
            warn_of("hypnogram", (alignment.remark,))
        return self.window(alignment.epochs, len(other))


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
    marks = sorted(filter(is_stage_annotation, annotations), key=lambda a: a.onset_s)
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


def is_stage_annotation(annotation: Annotation) -> bool:
    """Whether an annotation is about a stage, one that is known or not."""
    return annotation.text.lower().startswith(STAGE_PREFIXES)


def _epoch_at(seconds: float) -> int:
    """Index of the first epoch whose middle is not before `seconds`."""
    return -int(-(seconds - 0.5 * EPOCH_S) // EPOCH_S)


def is_model_name(name: str) -> bool:
    """Whether a text can be the name of a model, as a manifest has it."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}", name) is not None


def _stage(epoch: int, code: Stage | int | None) -> Stage | None:
    if code is None:
        return None
    try:
        index = operator.index(code)
    except TypeError:
        index = len(STAGES)
    if index >= len(STAGES):
        cure = "use 0 W, 1 N1, 2 N2, 3 N3, 4 R; None or a negative number where it is unscored"
        raise InputError(f"stages[{epoch}]", code, cure)
    return None if index < 0 else STAGES[index]


def _row(epoch: int, probabilities: Mapping[Stage, float]) -> tuple[float, ...]:
    try:
        return tuple(float(probabilities[stage]) for stage in STAGES)
    except (KeyError, TypeError, ValueError) as error:
        cure = "give a mapping of the five stages to probabilities"
        raise InputError(f"probabilities[{epoch}]", probabilities, cure) from error


def _is_distribution(row: Sequence[float]) -> bool:
    return (
        len(row) == len(STAGES)
        and all(math.isfinite(p) and -_SUM_TOLERANCE <= p <= 1.0 + _SUM_TOLERANCE for p in row)
        and abs(sum(row) - 1.0) <= _SUM_TOLERANCE
    )
