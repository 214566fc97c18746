"""Hypnograms drawn from the stage transitions of real nights."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from ..stages import Stage

__all__ = ["sample_hypnogram", "transition_counts", "transition_matrices"]


def transition_counts() -> NDArray[np.float64]:
    """Stage transitions of whole nights, (5, 5) counts: from stage, to stage; see `transition_matrices`."""
    return np.asarray(_counts().sum(axis=0))


@cache
def _counts() -> NDArray[np.float64]:
    text = files(__package__).joinpath("transitions.json").read_text(encoding="utf-8")
    return np.asarray(json.loads(text)["counts"], dtype=np.float64)


@cache
def transition_matrices() -> NDArray[np.float64]:
    """Stage transition probabilities per 30 s, shape (3, 5, 5): night third, from stage, to stage.

    Counted on 39 nights of 20 people of the Sleep-EDF Database Expanded 1.0.0 (Kemp et al. 2000; Goldberger
    et al. 2000, ODC-By 1.0), wake trimmed to 30 min around sleep. Only these counts are shipped, no signal.
    """
    counts = _counts()
    smoothed = counts + 0.5 * (counts.sum(axis=0) > 0)
    matrices: NDArray[np.float64] = smoothed / smoothed.sum(axis=2, keepdims=True)
    return matrices


def sample_hypnogram(rng: np.random.Generator, n_epochs: int, *, wake_epochs: int = 20) -> NDArray[np.int8]:
    """One night of 30 s stages, shape (n_epochs,), values of `Stage`; begins and ends awake.

    `wake_epochs` is the wake before lights-off, kept as it is; the chain runs on from there.
    """
    if n_epochs < 1:
        raise ValueError(f"n_epochs: {n_epochs}; a night has at least one epoch")
    matrices = transition_matrices()
    stages = np.full(n_epochs, int(Stage.W), dtype=np.int8)
    draws = rng.random(n_epochs)
    cumulative = np.cumsum(matrices, axis=2)
    lead = min(wake_epochs, n_epochs)
    state = int(Stage.W)
    for i in range(lead, n_epochs):
        third = min(2, 3 * (i - lead) // max(1, n_epochs - lead))
        state = min(4, int(np.searchsorted(cumulative[third, state], draws[i], side="right")))
        stages[i] = state
    stages[max(0, n_epochs - wake_epochs // 4) :] = int(Stage.W)
    return stages
