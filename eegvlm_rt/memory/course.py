"""The memory along a recording: one step an epoch, and what passes between epochs that do not follow each
other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .night_memory import EPOCH_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..pipeline.seen_epoch import SeenEpoch
    from .night_memory import NightMemory, Remembered
    from .state import MemoryState

__all__ = ["Course"]


class Course:
    """Takes the epochs of one night in order. Without a `memory` nothing is remembered."""

    def __init__(
        self, memory: NightMemory | None, step: Callable[[SeenEpoch, MemoryState], Remembered]
    ) -> None:
        self._memory, self._step = memory, step
        self._state = None if memory is None else memory.start()
        self._next_s: float | None = None

    def remember(self, look: SeenEpoch) -> Remembered | None:
        """The epoch with its night in mind; None without a memory. Raises what the step raises."""
        if self._memory is None or self._state is None:
            return None
        start_s = look.row.start_s
        if self._next_s is not None:
            self._state = self._memory.after_pause(self._state, start_s - self._next_s)
        self._next_s = start_s + EPOCH_S
        remembered = self._step(look, self._state)
        self._state = remembered.state
        return remembered
