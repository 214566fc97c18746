"""Missing samples: where they are, and how they are bridged wherever a measure needs a whole signal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["bridge_gaps", "mean_gap"]

Number = TypeVar("Number", np.float32, np.float64)


def bridge_gaps(x: NDArray[Number], present: NDArray[np.bool_]) -> NDArray[Number]:
    """`x` with a straight line from the last sample before each gap to the first one after it.

    (n, m) signals and the mask of the samples that are there. A gap at an edge takes the sample next to it; a
    signal without a sample stays as it is. What is bridged is for measures; the picture leaves gaps open.
    """
    bridged = x.copy()
    index = np.arange(x.shape[-1])
    for row in np.flatnonzero(~present.all(axis=-1)):
        there = present[row]
        if there.any():
            bridged[row] = np.interp(index, index[there], x[row, there])
    return bridged


def mean_gap(missing: NDArray[Any]) -> float:
    """Length of a gap in samples, on average; 0 where nothing is missing."""
    gaps = np.count_nonzero(missing & ~np.concatenate([[False], missing[:-1]]))
    return float(np.count_nonzero(missing)) / gaps if gaps else 0.0
