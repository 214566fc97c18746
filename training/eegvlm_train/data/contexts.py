"""What the record of each training night says before each epoch, as the runtime would keep it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eegvlm_rt.rationale import NightContext
from eegvlm_rt.stages import STAGES

from .findings import FindingsTable

__all__ = ["contexts_of"]


def contexts_of(
    table: FindingsTable, teacher: NDArray[np.float32], night: NDArray[np.int32]
) -> list[NightContext]:
    """Context of every epoch, in order; the stages before are the most probable ones of the teacher (n, 5).

    `night` (n,) names the night of each epoch; a night begins with an empty context.
    """
    stages = teacher.argmax(axis=1)
    contexts: list[NightContext] = []
    context = NightContext()
    for place in range(len(night)):
        if place == 0 or night[place] != night[place - 1]:
            context = NightContext()
        contexts.append(context)
        context = context.after(table.row(place), STAGES[int(stages[place])])
    return contexts
