"""What a reader left out of a file or took for granted: in words and in JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Remark", "RemarkKind"]


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
