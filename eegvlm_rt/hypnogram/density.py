"""Probabilities over the night as areas that can be read: averaged where epochs are narrower than the
eye.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ..signal.units import EPOCH_S
from ..stages import STAGES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .model import Hypnogram

__all__ = ["Density", "density_of"]

NARROWEST: Final = 4.0
"""Pixels that one value needs to be seen as a value and not as a bar of a bar code."""


@dataclass(frozen=True, slots=True, eq=False)
class Density:
    """`proba` (k, 5), each row the mean of `epochs` epochs, NaN where none of them has probabilities;
    `edges_s` (k + 1,) in seconds from the start.
    """

    proba: NDArray[np.float64]
    edges_s: NDArray[np.float64]
    epochs: int

    @property
    def note(self) -> str:
        """What was averaged, empty where nothing was."""
        minutes = self.epochs * EPOCH_S / 60
        return "" if self.epochs == 1 else f"mean of {minutes:g} min"


def density_of(hypnogram: Hypnogram, width_px: float) -> Density:
    """The probabilities of a night for an area `width_px` wide; neighbors are averaged where it is
    narrow.
    """
    n = len(hypnogram)
    rows = hypnogram.probabilities or (None,) * n
    table = np.array([row if row is not None else (np.nan,) * len(STAGES) for row in rows], dtype=np.float64)
    epochs = max(1, int(np.ceil(n * NARROWEST / max(width_px, 1.0))))
    bins = -(-n // epochs)
    padded = np.full((bins * epochs, len(STAGES)), np.nan)
    padded[:n] = table.reshape(n, len(STAGES))
    groups = padded.reshape(bins, epochs, len(STAGES))
    present = ~np.isnan(groups).any(axis=2, keepdims=True)
    total = np.where(present, groups, 0.0).sum(axis=1)
    count = present.sum(axis=1)
    proba = np.full((bins, len(STAGES)), np.nan)
    np.divide(total, count, out=proba, where=count > 0)
    edges_s = np.minimum(np.arange(bins + 1) * epochs, n) * EPOCH_S
    return Density(proba, edges_s, epochs)
