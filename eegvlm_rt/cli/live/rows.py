"""The rows of a streamed night, as small as a hypnogram needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...hypnogram import Hypnogram
from ...hypnogram.model import MAX_EPOCHS
from ...journal.export import hypnogram_of
from ...stages import STAGES
from ..present import scored_stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from ...journal import Record
    from ...prediction import StagePrediction
    from ...stages import Stage

__all__ = ["NightRows", "believed", "staged"]


def staged(prediction: StagePrediction) -> Stage | None:
    """The stage that goes into the hypnogram, of `believed`; None where the epoch is unscored."""
    if scored_stage(prediction) is None:
        return None
    found = believed(prediction)
    return max(STAGES, key=found.__getitem__)


def believed(prediction: StagePrediction) -> Mapping[Stage, float]:
    """The smoothed probabilities where there are some, else those of the epoch alone."""
    return prediction.probabilities if prediction.smoothed is None else prediction.smoothed


class NightRows:
    """Stages, probabilities and latencies of the night so far, by epoch.

    What a journal holds of the night before it was gone on with is part of it. At most a week is kept, as in
    every hypnogram; `beyond` counts the epochs after that.
    """

    def __init__(self, earlier: Sequence[Record] = (), *, smooth: bool = False) -> None:
        before = hypnogram_of(earlier)
        self._stages: list[Stage | None] = list(before.stages)
        self._rows: list[tuple[float, ...] | None] = list(before.probabilities or ())
        self._stage_ms: list[float] = []
        self._total_ms: list[float] = []
        self.beyond = 0
        if smooth:
            self._smooth(earlier)

    def add(self, prediction: StagePrediction) -> None:
        """Take a final prediction."""
        if prediction.index >= MAX_EPOCHS:
            self.beyond += 1
            return
        missing = prediction.index + 1 - len(self._stages)
        self._stages.extend([None] * missing)
        self._rows.extend([None] * missing)
        stage, found = staged(prediction), believed(prediction)
        self._stages[prediction.index] = stage
        self._rows[prediction.index] = None if stage is None else tuple(found[s] for s in STAGES)
        if prediction.timing.stage_ms:
            self._stage_ms.append(prediction.timing.stage_ms)
        if prediction.rationale_text:
            self._total_ms.append(prediction.timing.total_ms)

    def __len__(self) -> int:
        return len(self._stages)

    def hypnogram(self, start: datetime | None) -> Hypnogram:
        """The whole night."""
        return Hypnogram(tuple(self._stages), start, tuple(self._rows) if self._rows else None)

    def latest(self, count: int) -> tuple[int, tuple[Stage | None, ...]]:
        """Number of the first of the latest `count` epochs, and their stages."""
        first = max(0, len(self._stages) - count)
        return first, tuple(self._stages[first:])

    def latencies(self) -> dict[str, float | None]:
        """Milliseconds from the conditioned epoch to its stage, and to its whole reasoning: median, p99."""
        return {
            f"{name}_ms_{part}": round(float(np.quantile(values, share)), 3) if values else None
            for name, values in (("stage", self._stage_ms), ("rationale", self._total_ms))
            for part, share in (("median", 0.5), ("p99", 0.99))
        }

    def _smooth(self, earlier: Sequence[Record]) -> None:
        for record in earlier:
            index, found = record.body.get("index"), record.body.get("smoothed")
            if record.kind != "prediction" or not isinstance(index, int) or not isinstance(found, dict):
                continue
            if 0 <= index < len(self._stages) and self._stages[index] is not None:
                row = tuple(float(found[stage.name]) for stage in STAGES if _share(found.get(stage.name)))
                if len(row) == len(STAGES) and abs(sum(row) - 1) < 1e-3:
                    self._stages[index] = STAGES[int(np.argmax(row))]
                    self._rows[index] = row


def _share(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1
