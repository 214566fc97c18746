"""What became of an epoch of the night. Every epoch has exactly one outcome."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .epoch import Quality

__all__ = ["Outcome", "outcome_of"]

_MOSTLY = 0.5


class Outcome(StrEnum):
    """What became of an epoch.

    SCORED: a stage, from a signal good enough to score. ARTEFACT: a disturbance obscures more than half of
    the signal (AASM). GAP: not one sample came. UNSCORABLE: some samples came, but more than half are
    missing, or they are unlike any sleep recording (`ood_score` above 1). LATE: its stage was not there
    within the deadline. FAILED: the model raised an error.

    With ARTEFACT and UNSCORABLE the model's stage is kept as an opinion; do not score with it.
    """

    SCORED = "scored"
    ARTEFACT = "artefact"
    GAP = "gap"
    UNSCORABLE = "unscorable"
    LATE = "late"
    FAILED = "failed"


def outcome_of(quality: Quality) -> Outcome:
    """The outcome that the raw signal alone decides: SCORED, ARTEFACT, GAP or UNSCORABLE."""
    if quality.missing_share == 1.0:
        return Outcome.GAP
    if quality.scorable:
        return Outcome.SCORED
    return Outcome.UNSCORABLE if quality.missing_share > _MOSTLY else Outcome.ARTEFACT
