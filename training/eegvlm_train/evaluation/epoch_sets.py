"""Epochs to evaluate on: real scored recordings, or nights of a training folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ..data.nightset import Split
from .recordings import ScoredRecording, load_recordings

__all__ = ["EvaluationSet", "load_set"]


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """n conditioned epochs: `x_uv` float32 (n, 3000), `stages` int64 (n,) reference 0..4, `soft` float64
    (n, 5) the reference's probabilities, `recordings` and `subjects` (n,) names, `places` int64 (n,) number
    of the epoch in its recording, `purity` float32 (n,): the share of the epoch that the scorer gave this
    stage (1 where not known)."""

    x_uv: NDArray[np.float32]
    stages: NDArray[np.int64]
    soft: NDArray[np.float64]
    recordings: NDArray[np.str_]
    subjects: NDArray[np.str_]
    places: NDArray[np.int64]
    purity: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.stages)

    def subset(self, index: NDArray[np.integer] | NDArray[np.bool_]) -> EvaluationSet:
        return EvaluationSet(*(getattr(self, field.name)[index] for field in fields(self)))

    def spread(self, limit: int | None) -> EvaluationSet:
        """At most `limit` epochs, evenly spread."""
        if limit is None or limit >= len(self):
            return self
        return self.subset(np.linspace(0, len(self) - 1, limit).astype(np.int64))

    @classmethod
    def of(
        cls,
        recordings: Sequence[ScoredRecording],
        epochs_of: Callable[[ScoredRecording], NDArray[np.float32]] = ScoredRecording.epochs,
    ) -> EvaluationSet:
        """The scored epochs of some recordings; `epochs_of` conditions one, (n_epochs, 3000)."""
        parts = []
        for one in recordings:
            scored = np.flatnonzero(one.stages >= 0)
            n = len(scored)
            parts.append(
                (
                    epochs_of(one)[scored],
                    one.stages[scored],
                    one.soft[scored],
                    np.full(n, one.name),
                    np.full(n, one.subject),
                    scored.astype(np.int64),
                    one.purity[scored],
                )
            )
        return cls(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def load_set(source: str, split: Split | None = None) -> EvaluationSet:
    """The scored epochs of `load_recordings(source)`."""
    return EvaluationSet.of(load_recordings(source, split))
