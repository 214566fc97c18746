"""What a stream goes on with: memory and smoothed stage of the night so far, as its journal has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InputError
from ..memory.state import MemoryState
from ..stages import STAGES, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..journal.resume import NightState
    from ..pipeline.pipeline import Pipeline
    from .options import StreamOptions

__all__ = ["memory_of", "stages_of"]


def memory_of(pipeline: Pipeline, options: StreamOptions, resume: NightState | None) -> MemoryState | None:
    """The night memory at the first epoch to come: as the journal left it, or that of a new night.

    A journal whose memory is of another model, or was off, begins anew.
    """
    memory = pipeline.memory
    if memory is None or not options.memory:
        return None
    if resume is None or resume.memory is None:
        return memory.start()
    try:
        return memory.check(MemoryState.from_dict(resume.memory))
    except InputError:
        return memory.start()


def stages_of(smoothed: Mapping[str, float] | None) -> dict[Stage, float] | None:
    """Smoothed probabilities as a journal has them; None where it has none that are whole."""
    if smoothed is None or set(smoothed) != {stage.name for stage in STAGES}:
        return None
    return {stage: smoothed[stage.name] for stage in STAGES}
