"""Temperature scaling: probabilities that mean what they say (Guo et al. 2017, ICML)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..stages import STAGES, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

__all__ = ["temper", "tempered"]

_LEAST = 1e-12


def temper(probabilities: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """(..., 5) probabilities to the power 1 / `temperature`, rescaled to sum 1; the order never changes."""
    logs = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), _LEAST)) / temperature
    weights = np.exp(logs - logs.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def tempered(probabilities: Mapping[Stage, float], temperature: float) -> dict[Stage, float]:
    """`temper` of one epoch's probabilities; 1 leaves them as they are."""
    if temperature == 1.0:
        return dict(probabilities)
    values = temper([probabilities[stage] for stage in STAGES], temperature)
    return dict(zip(STAGES, values.tolist(), strict=True))
