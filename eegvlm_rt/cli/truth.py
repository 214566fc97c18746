"""A hypnogram to compare a staged recording with, epoch for epoch, and how far apart the two begin."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, RecordingWarning
from ..hypnogram.alignment import Alignment, Basis, align
from ..hypnogram.edf import read_scoring
from .staging import epochs_of

if TYPE_CHECKING:
    from datetime import datetime

    from ..hypnogram.model import Hypnogram
    from ..sources.edf import Recording
    from ..sources.remark import Remark

__all__ = ["Truth", "read_truth"]


@dataclass(frozen=True, slots=True)
class Truth:
    """A reference for a recording.

    Attributes:
        hypnogram: one entry for each epoch of the recording.
        file: where it was read from.
        start: its own start, None where unknown.
        alignment: how much later the recording begins, and how that is known.
        remarks: what was left out of the file, or taken for granted.
    """

    hypnogram: Hypnogram
    file: str
    start: datetime | None
    alignment: Alignment
    remarks: tuple[Remark, ...] = ()

    @property
    def doubt(self) -> str:
        """What follows a figure of agreement where the distance in time is not known; empty where it is."""
        if self.alignment.basis is Basis.UNKNOWN:
            return "both taken to begin together: a start is unknown"
        if self.alignment.basis is Basis.TIME_OF_DAY:
            return "aligned by the time of day: a date is hidden"
        return ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields."""
        return {
            "file": os.fsencode(self.file).decode("utf-8", errors="replace"),
            "start": None if self.start is None else self.start.isoformat(),
            "alignment": self.alignment.to_dict(),
            "remarks": [remark.to_dict() for remark in self.remarks],
        }


def read_truth(path: str, recording: Recording, offset_s: float | None = None) -> Truth:
    """Read an EDF+ hypnogram that covers a recording; `offset_s` is how many seconds later the recording
    begins, None goes by the clocks. What was left out or taken for granted is a RecordingWarning.

    Raises InputError, before anything is staged, where they start between epochs of each other or have no
    scored epoch in common, and what `read_edf` raises.
    """
    hypnogram, left_out = read_scoring(path)
    alignment = align(hypnogram.start, recording.start, offset_s)
    covered = hypnogram.window(alignment.epochs, epochs_of(recording))
    if not any(stage is not None for stage in covered.stages):
        value = f"starts {hypnogram.start}" if offset_s is None else f"{offset_s:g} s before the recording"
        raise InputError("truth", value, f"no scored epoch in common; the recording starts {recording.start}")
    remarks = (*left_out, *(() if alignment.remark is None else (alignment.remark,)))
    name = Path(path).name
    for remark in remarks:
        warnings.warn(f"{name}: {remark.text}", RecordingWarning, stacklevel=2)
    return Truth(covered, name, hypnogram.start, alignment, remarks)
