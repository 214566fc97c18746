"""A hidden Markov model of the night over the model's probabilities.

States are the stages, transitions those of real nights. The model's probability of a stage divided by its
share in training is proportional to how well the stage explains the picture (the "scaled likelihood" of
Bourlard & Morgan 1994, Connectionist Speech Recognition); its power `evidence` allows for neighboring epochs
erring together. An epoch without an answer is a step of prediction without evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from ..stages import STAGES, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["CausalSmoother", "Smoother", "Smoothing", "viterbi"]

_LEAST = 1e-12
Probabilities = dict[Stage, float]


class Smoothing(StrEnum):
    """Which epochs a smoothed stage may know of.

    CAUSAL: this one and those before (the forward algorithm), as on the device. VITERBI: the whole recording,
    by its most probable course. CYCLES: the whole recording too, by the cycles of a night (`cycles`), after
    the night memory.
    """

    CAUSAL = "causal"
    VITERBI = "viterbi"
    CYCLES = "cycles"


@dataclass(frozen=True, slots=True)
class Smoother:
    """`transitions[i][j]`: probability that stage j follows stage i after 30 s, rows sum to 1. `prior`: share
    of each stage in what the model was trained on. `initial`: probability of each stage before the first
    epoch. `evidence`: power of the scaled likelihood, 0..1."""

    transitions: tuple[tuple[float, ...], ...]
    prior: tuple[float, ...]
    initial: tuple[float, ...]
    evidence: float = 1.0

    def likelihood(self, probabilities: Mapping[Stage, float] | None) -> NDArray[np.float64]:
        """(5,) scaled likelihood of an epoch; ones where there is no answer."""
        if probabilities is None:
            return np.ones(len(STAGES))
        # Bayes turned round: the model says p(stage | picture), the hidden Markov model needs p(picture |
        # stage), which is proportional to the first divided by the share in training.
        answered = np.maximum([probabilities[stage] for stage in STAGES], _LEAST)
        ratio = answered / np.maximum(self.prior, _LEAST)
        return np.asarray((ratio / ratio.max()) ** self.evidence, dtype=np.float64)


class CausalSmoother:
    """The forward algorithm, one epoch at a time. `before` is what it gave for the epoch before the first."""

    def __init__(self, smoother: Smoother, before: Mapping[Stage, float] | None = None) -> None:
        self._smoother = smoother
        self._transitions = np.asarray(smoother.transitions, dtype=np.float64)
        self._state = np.asarray(smoother.initial, dtype=np.float64)
        if before is not None:
            self._state = np.asarray([before[stage] for stage in STAGES], dtype=np.float64)

    def update(self, probabilities: Mapping[Stage, float] | None, *, epochs: int = 1) -> Probabilities:
        """Probabilities of the stages given this epoch and all before it; they sum to 1.

        Args:
            probabilities: the model's answer, or None for an epoch that has none (a gap, an artefact).
            epochs: epochs since the last call, 1 for the next one; those between had no answer.
        """
        # Predict by the transitions, one step for each epoch, also those without an answer; then weigh by
        # what this epoch says.
        for _ in range(min(max(epochs, 0), 1000)):
            self._state = self._state @ self._transitions
        state = self._state * self._smoother.likelihood(probabilities)
        self._state = state / state.sum()
        return dict(zip(STAGES, self._state.tolist(), strict=True))

    def reset(self) -> None:
        """Forget the night."""
        self._state = np.asarray(self._smoother.initial, dtype=np.float64)


def viterbi(smoother: Smoother, answers: Sequence[Mapping[Stage, float] | None]) -> list[Stage]:
    """The most probable course of a whole recording, one stage an epoch (Viterbi 1967)."""
    if not answers:
        return []
    # In logarithms, since the product over a night is beyond floating point.
    transitions = np.log(np.maximum(smoother.transitions, _LEAST))
    evidence = np.log(np.maximum([smoother.likelihood(answer) for answer in answers], _LEAST))
    best = np.log(np.maximum(np.asarray(smoother.initial) @ np.asarray(smoother.transitions), _LEAST))
    best = best + evidence[0]
    came_from = np.zeros((len(answers), len(STAGES)), dtype=np.intp)
    # Forward: the best way to each stage, and from which stage it came.
    for epoch in range(1, len(answers)):
        ways = best[:, None] + transitions
        came_from[epoch] = ways.argmax(axis=0)
        best = ways.max(axis=0) + evidence[epoch]
    # Backward: follow those notes from the best last stage.
    path = [int(best.argmax())]
    for epoch in range(len(answers) - 1, 0, -1):
        path.append(int(came_from[epoch, path[-1]]))
    return [STAGES[stage] for stage in reversed(path)]
