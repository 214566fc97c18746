"""What a statement about a finding is worth, given what is true: so that the best one can be chosen.

A model that is unsure whether there is a K-complex or none says more truth on average if it weighs its
choices by what each would be worth, instead of writing the most probable one (minimum Bayes risk decoding:
Kumar & Byrne 2004, HLT-NAACL). The worth of a statement is half of whether it is the very choice that the
measurement gives (`strict`) and half of whether the check supports it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from .check import TOLERANCES
from .grammar import SLOTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["worth_of"]

_WORDS: Final[Mapping[str, list[list[float]]]] = {
    "alpha": [[1.0, 0.4, 0.0], [0.1, 1.0, 0.6], [0.0, 0.1, 1.0]],
    "spindles": [[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.7, 0.1], [0.0, 1.0, 1.0, 1.0], [0.0, 0.1, 0.4, 1.0]],
    "k_complexes": [[1.0, 1.0, 0.0], [0.0, 1.0, 0.75], [0.0, 1.0, 1.0]],
}
"""Share of epochs in which the check supports a class (row), by the class that is measured (column): 2,880
simulated epochs. A test counts again."""


@cache
def worth_of(slot: str) -> NDArray[np.float64] | None:
    """(n, n) worth of stating choice i where choice j is true, 0 to 1; None for a slot without tolerance."""
    if slot == "rhythm":
        # Other words than the most probable one make no more rhythms true, of 2,160 simulated epochs.
        worth = np.eye(len(SLOTS[slot].choices))
    elif (supported := _supported(slot)) is not None:
        worth = 0.5 * (supported + np.eye(len(supported)))
    else:
        return None
    worth.setflags(write=False)
    return worth


def _supported(slot: str) -> NDArray[np.float64] | None:
    """(n, n) probability that the check supports choice i where choice j is the one that is measured."""
    if slot in _WORDS:
        return np.array(_WORDS[slot])
    if slot not in ("slow_wave_pct", "amplitude_uv"):
        return None
    values = np.array([float(choice) for choice in SLOTS[slot].choices])
    off = np.abs(values[:, None] - values[None, :])
    if slot == "slow_wave_pct":
        allowed = np.full_like(values, TOLERANCES.slow_wave_points)
    else:
        allowed = np.maximum(TOLERANCES.amplitude_uv, TOLERANCES.amplitude_share * values)
    # What is measured may lie anywhere within half a step of its choice.
    step = values[1] - values[0]
    return np.asarray(np.clip((allowed + 0.5 * step - off) / step, 0.0, 1.0))
