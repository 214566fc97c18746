"""An epoch after the vision networks: what they gave, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..prediction import Outcome, outcome_of
from ..stages import STAGES, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..devices.buffers import DeviceArray
    from ..findings.model import Findings
    from ..prediction import Unmeasured
    from ..signal.epochs import GridEpoch

__all__ = ["MeasuredEpoch", "Probabilities", "SeenEpoch", "stage_probabilities"]

Probabilities = dict[Stage, float]


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredEpoch:
    """What the signal of an epoch says without the model, and the time that it took. `findings` are not
    measured yet where nothing asked for them; `ood_score` is None where the bundle cannot tell.
    """

    findings: Findings | Unmeasured
    ood_score: float | None
    measure_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class SeenEpoch:
    """An epoch after the vision networks. `head`, `stage_logits` (5,) and `high_level` (F,) are None where
    it has no sample at all; `visual_tokens` (V, D) also where no language model is to be asked.

    `head` is as the model answers, without a temperature; `findings` are not measured yet where nothing asked
    for them; `ood_score` is None where the bundle cannot tell.
    """

    row: GridEpoch
    findings: Findings | Unmeasured
    head: Probabilities | None
    visual_tokens: NDArray[np.float32] | DeviceArray | None
    measure_ms: float
    render_ms: float
    tower_ms: float
    ood_score: float | None = None
    stage_logits: NDArray[np.float32] | None = None
    high_level: NDArray[np.float32] | None = None

    @property
    def seen_ms(self) -> float:
        """Time spent on the epoch so far."""
        return self.measure_ms + self.render_ms + self.tower_ms

    @property
    def outcome(self) -> Outcome:
        """What became of the epoch, as far as its signal says."""
        outcome = outcome_of(self.row.quality)
        foreign = self.ood_score is not None and self.ood_score > 1.0
        return Outcome.UNSCORABLE if foreign and outcome is Outcome.SCORED else outcome


def stage_probabilities(logits: Sequence[NDArray[np.float32]]) -> list[Probabilities]:
    """Softmax of the stage logits (5,) of some epochs."""
    if not logits:
        return []
    numbers = np.stack(logits).astype(np.float64)
    weights = np.exp(numbers - numbers.max(axis=1, keepdims=True))
    shares = weights / weights.sum(axis=1, keepdims=True)
    return [dict(zip(STAGES, of_epoch, strict=True)) for of_epoch in shares.tolist()]
