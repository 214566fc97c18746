"""The stages of a recording given the cycles of a night: an offline step after the night memory.

A semi-Markov model of wake, NREM sleep and R. Its states know the time since sleep onset or since the last R:
R a few minutes after sleep onset is as rare as it is in real nights, and a single epoch of R in wake or N2 is
no beginning of a REM period. R at sleep onset stays possible: it needs evidence that lasts. N1, N2 and N3
share what the model gives NREM sleep in the proportions that the epoch itself has: how deep a person sleeps
is not taken from other people. The table `cycles.json` says where its numbers come from;
`eegvlm_train fit-cycles` writes it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..stages import STAGES, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from scipy.sparse import csr_array

__all__ = ["AGES", "AGE_EPOCHS", "DWELLS", "GROUP_OF", "CycleModel", "age_of", "cycle_model", "cycle_stages"]

WAKE, NREM, REM = range(3)
GROUP_OF: Final = np.array([WAKE, NREM, NREM, NREM, REM])
"""Group of each stage W, N1, N2, N3, R."""
AGE_EPOCHS: Final = 4
"""An age counts in steps of 2 min."""
AGES: Final = 45
"""Ages that are told apart: up to 90 min, the last stands for all longer ones."""
DWELLS: Final = 10
"""Epochs of R in a row that are told apart; the last stands for all longer ones."""

NUMBERS: Final = ("begins", "evidence_rem", "evidence_wake", "odds_rem", "odds_wake")

_LEAST: Final = 1e-4
_NREM_STAGES: Final = slice(Stage.N1, Stage.R)


@dataclass(frozen=True)
class CycleModel:
    """Transitions between wake, NREM and R, in this order, and what an epoch's probabilities count.

    `before` (3,): what follows wake before sleep onset. `first` and `later` (AGES, 2, 3): what follows wake
    and NREM by their age, the time since sleep onset in the first cycle and since the last R in later ones.
    `rem` (DWELLS, 3): what follows R by its epochs in a row. Rows sum to 1. `begins`: probability that a
    recording begins before sleep onset; the rest is spread over all states. `evidence_rem`: power of the odds
    that an epoch gives R, `evidence_wake` of those that it gives wake against NREM, less than 1 because
    neighbors err together; `odds_rem` and `odds_wake` are added to their logarithms.
    """

    before: NDArray[np.float64]
    first: NDArray[np.float64]
    later: NDArray[np.float64]
    rem: NDArray[np.float64]
    begins: float
    evidence_rem: float
    evidence_wake: float
    odds_rem: float
    odds_wake: float

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> CycleModel:
        """The model of a table as `cycles.json` holds it."""
        before, first, later, rem = (
            np.asarray(table[name], dtype=np.float64) for name in ("before", "first", "later", "rem")
        )
        return cls(before, first, later, rem, *(float(table[name]) for name in NUMBERS))

    def probabilities(self, answers: NDArray[np.floating]) -> NDArray[np.float64]:
        """(n, 5) probabilities of the stages given all epochs, of the epochs' own (n, 5); rows sum to 1.

        Rows of NaN are epochs without an answer: what their neighbors say counts there, with equal shares of
        N1, N2 and N3. The forward-backward algorithm (Rabiner 1989, Proceedings of the IEEE 77:257); takes
        0.8 kB an epoch.
        """
        own = np.asarray(answers, dtype=np.float64)
        # The model knows wake, NREM and R only: that is what has cycles. N1, N2 and N3 share what NREM gets
        # as the epoch itself says.
        groups = self._groups(self._likelihood(own))
        nrem = np.maximum(np.nan_to_num(own[:, _NREM_STAGES], nan=1.0), _LEAST)
        parts = nrem / nrem.sum(axis=1, keepdims=True)
        return np.concatenate([groups[:, :1], groups[:, NREM, None] * parts, groups[:, REM:]], axis=1)

    def _likelihood(self, answers: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 3) what each epoch says for each group, at most 1; ones where it says nothing."""
        wake, nrem, rem = (
            np.maximum(answers[:, group == GROUP_OF].sum(axis=1), _LEAST) for group in (WAKE, NREM, REM)
        )
        # Two questions: R or not, and if not, wake or NREM.
        logs = np.empty((len(answers), 3))
        logs[:, REM] = self.evidence_rem * np.log(rem / (wake + nrem)) + self.odds_rem
        logs[:, WAKE] = self.evidence_wake * np.log(wake / (wake + nrem)) + self.odds_wake
        logs[:, NREM] = self.evidence_wake * np.log(nrem / (wake + nrem))
        return np.asarray(np.nan_to_num(np.exp(logs - logs.max(axis=1, keepdims=True)), nan=1.0))

    def _groups(self, likelihood: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 3) probabilities of the groups given all epochs."""
        n, groups = len(likelihood), self._group_of_state
        forward = np.empty((n, len(groups)), dtype=np.float32)
        state = self._start
        # Forward: each state given the epochs so far.
        for epoch in range(n):
            if epoch:
                state = self._backward[_ages_grow(epoch)] @ state
            state = state * likelihood[epoch, groups]
            state /= state.sum()
            forward[epoch] = state
        # Backward: what the epochs to come say of each state.
        shares = np.empty((n, 3))
        coming = np.ones(len(groups))
        for epoch in range(n - 1, -1, -1):
            # Both directions meet here. Each is rescaled as it goes, since the product over a night is beyond
            # floating point, and only the shares count.
            weights = np.bincount(groups, forward[epoch] * coming, 3)
            shares[epoch] = weights / weights.sum()
            if epoch:
                coming = self._forward[_ages_grow(epoch)] @ (coming * likelihood[epoch, groups])
                coming /= coming.max()
        return shares

    @cached_property
    def _group_of_state(self) -> NDArray[np.intp]:
        """(states,) group of each state: before sleep, first cycle by age, later ones, R by dwell."""
        aged = np.tile([WAKE, NREM], 2 * AGES)
        return np.concatenate([[WAKE], aged, np.full(DWELLS, REM)])

    @cached_property
    def _start(self) -> NDArray[np.float64]:
        """(states,) probabilities at the first epoch."""
        states = len(self._group_of_state)
        start = np.full(states, (1.0 - self.begins) / (states - 1))
        start[0] = self.begins
        return start

    @cached_property
    def _forward(self) -> tuple[csr_array, csr_array]:
        """(states, states) transitions from row to column, without and with growing ages. Sparse: three from
        a state at most, and no threads of a matrix library, whose number would change the last bits.
        """
        from scipy.sparse import csr_array

        return csr_array(self._transitions(older=0)), csr_array(self._transitions(older=1))

    @cached_property
    def _backward(self) -> tuple[csr_array, csr_array]:
        """The same from column to row."""
        from scipy.sparse import csr_array

        same, older = self._forward
        return csr_array(same.T), csr_array(older.T)

    def _transitions(self, older: int) -> NDArray[np.float64]:
        """(states, states) transitions in which the ages grow by `older` steps."""
        onset, after_rem, rem = 1, 1 + 2 * AGES, 1 + 4 * AGES
        table = np.zeros((rem + DWELLS, rem + DWELLS))
        # Before sleep: wake goes on, or sleep begins at age 0.
        table[0, [0, onset + NREM, rem]] = self.before
        for begin, rows in ((onset, self.first), (after_rem, self.later)):
            for age in range(AGES):
                here = begin + 2 * age
                then = begin + 2 * min(age + older, AGES - 1)
                table[here : here + 2, then : then + 2] = rows[age, :, :REM]
                table[here : here + 2, rem] = rows[age, :, REM]
        # R goes on, or something else follows, whose age is 0 again.
        for dwell in range(DWELLS):
            table[rem + dwell, rem + min(dwell + 1, DWELLS - 1)] = self.rem[dwell, REM]
            table[rem + dwell, after_rem : after_rem + 2] = self.rem[dwell, :REM]
        return table


def _ages_grow(epoch: int) -> bool:
    """Whether ages grow with the step into an epoch: all do together, every `AGE_EPOCHS` epochs."""
    return epoch % AGE_EPOCHS == 0


def age_of(epochs: int) -> int:
    """The age that so many epochs are."""
    return min(epochs // AGE_EPOCHS, AGES - 1)


@cache
def cycle_model() -> CycleModel:
    """The model of this package's table."""
    text = files(__package__).joinpath("cycles.json").read_text(encoding="utf-8")
    return CycleModel.from_dict(json.loads(text))


def cycle_stages(answers: Sequence[Mapping[Stage, float] | None]) -> list[dict[Stage, float]]:
    """`CycleModel.probabilities` of the package's model for answers by stage, None where there is none."""
    empty = [np.nan] * len(STAGES)
    table = np.array([empty if row is None else [row[stage] for stage in STAGES] for row in answers])
    rows = cycle_model().probabilities(table.reshape(-1, len(STAGES)))
    return [dict(zip(STAGES, row, strict=True)) for row in rows.tolist()]
