"""What a reader left out of a file or took for granted: said in words, in JSON, and as a Python warning."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ..errors import RecordingWarning

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Remark", "RemarkKind", "warn_of"]


class RemarkKind(StrEnum):
    """What a remark is about.

    RECORDS: data records that are missing, cut or beyond what the header promises. CLOCK: times of data
    records that cannot be read or do not fit. ANNOTATIONS: entries that are no annotation. START: a start
    that cannot be read. ALIGNMENT: two recordings or hypnograms whose distance in time is not known.
    """

    RECORDS = "records"
    CLOCK = "clock"
    ANNOTATIONS = "annotations"
    START = "start"
    ALIGNMENT = "alignment"


@dataclass(frozen=True, slots=True)
class Remark:
    """One sentence for a person. `records` and `seconds` count the data that are left out of the result."""

    kind: RemarkKind
    text: str
    records: int = 0
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields."""
        return asdict(self) | {"kind": str(self.kind)}


def warn_of(name: str, remarks: Iterable[Remark], stacklevel: int = 2) -> None:
    """Give each remark about the file `name` as a RecordingWarning of the caller's caller."""
    for remark in remarks:
        warnings.warn(f"{name}: {remark.text}", RecordingWarning, stacklevel=stacklevel + 1)
