"""The decisions of a night as the page shows them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from ..hypnogram.night_rows import row_of_record
from ..journal.frames import decode_body, encode_body
from ..stages import STAGES

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MOST_ROWS", "PageRows", "row_of"]

MOST_ROWS: Final = 3000


class PageRows:
    """The latest decisions of a night, as JSON: their objects would take four times as much memory."""

    def __init__(self) -> None:
        self._texts: deque[bytes] = deque(maxlen=MOST_ROWS)

    def add(self, body: Mapping[str, Any]) -> None:
        """Take the record of the next decision."""
        self._texts.append(encode_body(row_of(body)))

    def last(self) -> dict[str, Any] | None:
        """The latest row, None before the first."""
        return decode_body(self._texts[-1]) if self._texts else None

    def to_json(self) -> bytes:
        """All rows as one JSON array."""
        return b"[" + b",".join(list(self._texts)) + b"]"


def row_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """A decision as the page shows it, from its record."""
    index = body.get("index")
    row = row_of_record(index if isinstance(index, int) else 0, body)
    # What the night counts; of an epoch that it does not count, the model's opinion.
    counted = row["stage"] >= 0
    code, p = (row["stage"], row["proba"]) if counted else (row["raw_stage"], row["raw_proba"])
    quality, head, timing = body.get("quality") or {}, body.get("head") or {}, body.get("timing") or {}
    return {
        "index": body.get("index"),
        "stage": None if code < 0 else STAGES[code].name,
        "counted": bool(counted),
        "outcome": body.get("outcome", "scored"),
        "p": [round(float(value), 4) if value == value else 0.0 for value in p],
        "head": head.get("stage"),
        "text": body.get("rationale_text", ""),
        "checks": [[c.get("kind"), c.get("value"), c.get("verdict")] for c in body.get("checks") or ()],
        "consistent": body.get("consistent"),
        "flags": sorted(map(str, quality.get("flags") or ())),
        "missing": quality.get("missing_share"),
        "lag_s": body.get("lag_s"),
        "stage_ms": timing.get("stage_ms"),
        "total_ms": timing.get("total_ms"),
        "error": body.get("error", ""),
    }
