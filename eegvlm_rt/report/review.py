"""A reviewer's stages merged into a night: from draft to reviewed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InputError
from ..hypnogram.edf import read_edf
from ..hypnogram.model import Hypnogram

if TYPE_CHECKING:
    import os

    from ..night.night import Night

__all__ = ["Review", "review_of"]


@dataclass(frozen=True, slots=True)
class Review:
    """A night after a person went through it.

    `hypnogram` has the reviewer's stage wherever there is one, else the model's. `reviewed` are the epochs
    that the reviewer scored, `changed` those among them whose stage is another than the model's.
    """

    hypnogram: Hypnogram
    reviewer: str
    reviewed: tuple[int, ...]
    changed: tuple[int, ...]

    @property
    def complete(self) -> bool:
        """Whether the reviewer scored every epoch."""
        return len(self.reviewed) == len(self.hypnogram)


def review_of(
    night: Night, scored: Hypnogram | str | os.PathLike[str], *, reviewer: str = "not named"
) -> Review:
    """Merge stages that a person gave, a hypnogram or an EDF+ file of annotations, into a night.

    They are aligned by clock time where both starts are known, else from the first epoch on. A stage that is
    a person's
    is certain: it takes no probabilities along.

    Raises InputError where no epoch of the night is scored, or the two start between epochs of each other.
    """
    draft = night.hypnogram
    theirs = (scored if isinstance(scored, Hypnogram) else read_edf(scored)).aligned_to(draft)
    reviewed = tuple(i for i, stage in enumerate(theirs.stages) if stage is not None)
    if not reviewed:
        raise InputError(
            "review", f"starts {theirs.start}", f"no epoch in common; the night starts {draft.start}"
        )
    stages = list(draft.stages)
    rows = list(draft.probabilities) if draft.probabilities is not None else [None] * len(stages)
    changed = tuple(i for i in reviewed if stages[i] is not theirs.stages[i])
    for i in reviewed:
        stages[i], rows[i] = theirs.stages[i], None
    return Review(
        Hypnogram(tuple(stages), draft.start, tuple(rows), draft.draft), reviewer, reviewed, changed
    )
