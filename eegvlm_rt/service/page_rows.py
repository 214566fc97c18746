"""The decisions of a night as the page shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..hypnogram.night_rows import row_of_record
from ..stages import STAGES

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["row_of"]


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
