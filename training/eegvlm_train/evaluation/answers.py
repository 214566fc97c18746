"""What a model answered about a set of epochs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from eegvlm_rt.calibration import Scoring
from eegvlm_rt.prompt import Mode
from eegvlm_rt.rationale import Rationale
from eegvlm_rt.stages import STAGES, Stage

from .metrics import INVALID

__all__ = ["Answerer", "Answers", "Reasoned", "Reasons", "reason_answers"]


@dataclass(frozen=True, slots=True)
class Answers:
    """`stages` int64 (n,): 0..4, or 5 for an invalid answer; `probabilities` float64 (n, 5), rows equal where
    unknown."""

    stages: NDArray[np.int64]
    probabilities: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reasoned:
    """One decoded text: `rationale` is None where it is not valid, `probabilities` are those at its rule."""

    rationale: Rationale | None
    probabilities: Mapping[Stage, float] | None
    tokens: int


@dataclass(frozen=True, slots=True)
class Reasons:
    """Answers with the decoded rationale behind each."""

    answers: Answers
    decoded: tuple[Reasoned, ...]


def reason_answers(decoded: list[Reasoned]) -> Reasons:
    """The stage of a rationale is the most probable one at its rule; without a valid text there is none."""
    n = len(decoded)
    stages = np.full(n, INVALID, dtype=np.int64)
    probabilities = np.full((n, len(STAGES)), 1.0 / len(STAGES))
    for row, one in enumerate(decoded):
        if one.probabilities is not None and one.rationale is not None:
            probabilities[row] = [one.probabilities[stage] for stage in STAGES]
            stages[row] = int(probabilities[row].argmax())
    return Reasons(Answers(stages, probabilities), tuple(decoded))


class Answerer(Protocol):
    """A model that can be asked in every mode; its temperatures are applied to what it answers."""

    scoring: Scoring

    def stage(self, x_uv: NDArray[np.float32], mode: Mode) -> Answers:
        """Head or direct answers about conditioned epochs (n, 3000)."""
        ...

    def reason(self, x_uv: NDArray[np.float32], *, constrained: bool) -> Reasons:
        """Rationales about conditioned epochs (n, 3000)."""
        ...
