"""From the state of a night and what was read of its next epoch to the next state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import InputError
from ..rationale.context import NightContext
from ..stages import STAGES
from .state import MemoryState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..backends.base import MemoryNetwork
    from ..findings.model import Findings
    from ..stages import Stage

__all__ = ["RESET_EPOCHS", "NightMemory", "Remembered"]

EPOCH_S: Final = 30.0
RESET_EPOCHS: Final = 30
"""Absent epochs in a row (15 min) after which nothing of the night before still holds; the network was
trained with absences up to this length."""


@dataclass(frozen=True, slots=True, eq=False)
class Remembered:
    """An epoch with its night in mind.

    Attributes:
        probabilities: of the stages, given the night so far; None for an epoch without a usable signal.
        token: (D,) the language model's token; None for such an epoch.
        context: what the record says of the epochs before this one.
        state: the memory after this epoch.
    """

    probabilities: dict[Stage, float] | None
    token: NDArray[np.float32] | None
    context: NightContext
    state: MemoryState


class NightMemory:
    """A causal memory with one state a night. It keeps nothing itself: who has the state has the night.

    Every epoch goes through the network on its own, so a state does not depend on how the night was cut into
    pieces.
    """

    def __init__(self, network: MemoryNetwork) -> None:
        self._network = network

    @property
    def state_size(self) -> int:
        """Numbers in a state."""
        return self._network.state_size

    def start(self) -> MemoryState:
        """The state before the first epoch of a night."""
        return MemoryState(np.zeros(self.state_size, np.float32))

    def check(self, state: MemoryState) -> MemoryState:
        """`state` if it is one of this model; raises InputError for another's."""
        if not isinstance(state, MemoryState):
            raise InputError("memory", type(state).__name__, "give a MemoryState, as `new_memory` makes")
        if len(state.numbers) != self.state_size:
            cure = f"this model's states have {self.state_size}; begin with `new_memory`"
            raise InputError("memory.numbers", f"{len(state.numbers)} numbers", cure)
        return state

    def read(
        self,
        state: MemoryState,
        high_level: NDArray[np.float32],
        stage_logits: NDArray[np.float32],
        findings: Findings | None,
    ) -> Remembered:
        """The next epoch, with what the head read of it: (F,) and (5,).

        The record goes on with the stage that the memory gives. Without `findings` it knows that stage alone.
        Raises BackendError where the network fails.
        """
        # The network sees this epoch and its own state, nothing else: what is past reaches it only through
        # the state, and so the answer is the same wherever the night was cut.
        output = self._network(high_level, stage_logits, state.numbers)
        shares = np.exp(output.night_logits.astype(np.float64))
        shares /= shares.sum()
        probabilities = dict(zip(STAGES, shares.tolist(), strict=True))
        stage = STAGES[int(shares.argmax())]
        context = state.context
        after = NightContext((stage,)) if findings is None else context.after(findings, stage)
        return Remembered(probabilities, output.night_token, context, MemoryState(output.next_state, after))

    def after_pause(self, state: MemoryState, pause_s: float) -> MemoryState:
        """The state after `pause_s` seconds without an epoch: whole epochs of it are passed over, and a
        time that runs backwards begins a night."""
        # Time that nobody recorded passes for the memory as epochs without signal, as it was trained; after a
        # long one, or a step back, what it knows is of another night.
        missing = round(pause_s / EPOCH_S)
        if missing < 0 or missing >= RESET_EPOCHS:
            return self.start()
        for _ in range(missing):
            state = self.pass_over(state).state
        return state

    def pass_over(self, state: MemoryState) -> Remembered:
        """The next epoch, which had no usable signal: time passes, and nothing is known of it.

        After `RESET_EPOCHS` of them in a row the night begins anew. Raises BackendError where the network
        fails.
        """
        if state.absent + 1 >= RESET_EPOCHS:
            fresh = replace(self.start(), absent=state.absent + 1)
            return Remembered(None, None, state.context, fresh)
        output = self._network(None, None, state.numbers)
        context = NightContext((*state.context.stages, None)[-3:])
        return Remembered(
            None, None, state.context, MemoryState(output.next_state, context, state.absent + 1)
        )
