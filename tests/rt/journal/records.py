"""Bodies of the records that tests write to journals."""

from __future__ import annotations


def epoch(index: int, outcome: str = "scored", stage: str | None = "N2") -> dict:
    """A decided epoch."""
    return {
        "index": index,
        "outcome": outcome,
        "stage": stage,
        "last_timestamp_s": 100.0 + 30 * (index + 1),
        "probabilities": {"W": 0.1, "N1": 0.1, "N2": 0.6, "N3": 0.1, "R": 0.1},
    }
