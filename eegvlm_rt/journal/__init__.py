"""The journal of a night: an append-only file whose records are framed, chained and proof against a crash.

Format and guarantees: docs/journal.md.
"""

from __future__ import annotations

from .frames import Record, RecordKind
from .reader import Finding, JournalReport, Trouble, read
from .resume import NightState, night_state
from .writer import Journal

__all__ = [
    "Finding",
    "Journal",
    "JournalReport",
    "NightState",
    "Record",
    "RecordKind",
    "Trouble",
    "night_state",
    "read",
]
