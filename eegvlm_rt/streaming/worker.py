"""From an epoch to its prediction: at once, or the stage at once and the reasons from their own thread."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from ..decoding.result import Finish
from ..decoding.stopping import stop_when
from ..prediction import Outcome, StagePrediction, outcome_of
from ..prompt import Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..memory.night_memory import Remembered
    from ..memory.state import MemoryState
    from ..pipeline.pipeline import Pipeline
    from ..pipeline.seen_epoch import SeenEpoch
    from ..signal.epochs import GridEpoch

__all__ = ["Answer", "EpochWorker"]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """A prediction, the epoch it is for, and when (`time.perf_counter()`) that was complete on the wire."""

    prediction: StagePrediction
    epoch: GridEpoch
    arrived: float


@dataclass(slots=True, eq=False)
class _Pending:
    epoch: GridEpoch
    arrived: float
    due: float
    work: Future[StagePrediction] | None
    look: SeenEpoch | None
    remembered: Remembered | None
    answer: StagePrediction | None


class EpochWorker:
    """Answers epochs, in their order.

    Without a deadline every epoch is answered before `answer` returns. With one, `answer` gives the stage of
    the head at once, and the reasoning goes on in a thread until it is done or due; `finished` gives what is.

    `memory` is the night memory before the first epoch; None stages every epoch alone. It takes one step an
    epoch, in order, before anything is asked of the language model; an opinion off the grid takes none.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        mode: Mode,
        *,
        constrained: bool,
        deadline_s: float | None,
        on_text: Callable[[int, str], None] | None,
        memory: MemoryState | None = None,
    ) -> None:
        self._pipeline, self._mode, self._constrained = pipeline, mode, constrained
        self._memory = memory
        self._deadline_s, self._on_text = deadline_s, on_text
        self._pool: ThreadPoolExecutor | None = None
        self.pending: deque[_Pending] = deque()
        self._cancelled = threading.Event()
        self._given_up = False

    def answer(self, epochs: Sequence[GridEpoch], arrived: float) -> list[Answer]:
        """Answers to `epochs`, in order; with a deadline, to those that are ready, and provisional ones."""
        if self._deadline_s is None:
            predictions = self._at_once(epochs)
            return [Answer(p, epoch, arrived) for p, epoch in zip(predictions, epochs, strict=True)]
        answers: list[Answer] = []
        for epoch in epochs:
            early = self._in_time(epoch, arrived)
            answers += [Answer(early, epoch, arrived)] if early is not None else []
            answers += self.finished()
        return answers

    def finished(self, *, wait: bool = False) -> list[Answer]:
        """Final answers that are ready, in order; with `wait` those too that are not, once they are due."""
        answers: list[Answer] = []
        while self.pending:
            first = self.pending[0]
            if first.answer is None and first.work is not None:
                # Answers leave in the order of their epochs: one that is ready waits for the ones before it,
                # which have at most until they are due.
                late = perf_counter() >= first.due
                if not first.work.done() and not late:
                    if not wait:
                        break
                    self._await(first)
                first.answer = self._collected(first)
            assert first.answer is not None
            answers.append(Answer(first.answer, first.epoch, first.arrived))
            self.pending.popleft()
        return answers

    def cancel(self) -> None:
        """End the reasoning that is going on, at its last whole sentence."""
        self._cancelled.set()

    def close(self) -> None:
        """End the threads; what a model still computes is waited for and thrown away."""
        self._given_up = True
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def _at_once(self, epochs: Sequence[GridEpoch]) -> list[StagePrediction]:
        """Look at the epochs, side by side where that helps; remember them in order; then answer them."""
        # After a gap or a long chunk many epochs come at once: the networks look at them side by side. The
        # memory takes them one by one, since each needs the state after the one before.
        several = len(epochs) > 1 and self._pipeline.workers > 1 and self._on_text is None
        work = list(self._threads(self._pipeline.workers).map(self._look, epochs)) if several else None
        answers: list[StagePrediction | Future[StagePrediction]] = []
        for place, epoch in enumerate(epochs):
            look = work[place] if work is not None else self._look(epoch)
            try:
                remembered = self._remembered(epoch, None if isinstance(look, StagePrediction) else look)
            except Exception as error:
                look, remembered = self._failed(epoch, error), None
            if isinstance(look, StagePrediction):
                state = None if remembered is None else remembered.state
                answers.append(look if state is None else replace(look, memory=state))
            elif several:
                answers.append(self._threads(1).submit(self._whole, epoch, look, remembered))
            else:
                answers.append(self._whole(epoch, look, remembered))
        return [one.result() if isinstance(one, Future) else one for one in answers]

    def _mode_of(self, epoch: GridEpoch) -> Mode:
        return self._mode if epoch.final else Mode.HEAD

    def _failed(self, epoch: GridEpoch, error: Exception) -> StagePrediction:
        mode = self._mode_of(epoch)
        return StagePrediction.unanswered(epoch, mode, Outcome.FAILED, error=_text(error))

    def _look(self, epoch: GridEpoch) -> SeenEpoch | StagePrediction:
        """What the vision networks say of an epoch, or the prediction of one that cannot be looked at."""
        if not np.isfinite(epoch.x).any():
            # Samples may have come of which none has a neighbour: that is no gap.
            return StagePrediction.unanswered(epoch, self._mode_of(epoch), outcome_of(epoch.quality))
        try:
            return self._pipeline.see([epoch], self._mode_of(epoch))[0]
        except Exception as error:
            return self._failed(epoch, error)

    def _remembered(self, epoch: GridEpoch, look: SeenEpoch | None) -> Remembered | None:
        """The epoch with its night in mind; only an epoch of the grid moves the night on."""
        memory = self._pipeline.memory
        if self._memory is None or memory is None:
            return None
        remembered = (
            memory.pass_over(self._memory) if look is None else self._pipeline.remember(look, self._memory)
        )
        if epoch.final:
            self._memory = remembered.state
        return remembered

    def _whole(self, epoch: GridEpoch, look: SeenEpoch, remembered: Remembered | None) -> StagePrediction:
        try:
            return self._reasoned(look, self._mode_of(epoch), None, remembered)
        except Exception as error:
            failed = self._failed(epoch, error)
            return failed if remembered is None else replace(failed, memory=remembered.state)

    def _reasoned(
        self, look: SeenEpoch, mode: Mode, due: float | None, remembered: Remembered | None
    ) -> StagePrediction:
        index, on_text = look.row.index, self._on_text
        self._cancelled.clear()
        return self._pipeline.answer(
            look,
            mode,
            constrained=self._constrained,
            on_text=None if on_text is None else lambda text: on_text(index, text),
            stop=stop_when(lambda: self._given_up or self._cancelled.is_set(), due),
            stage_first=due is not None,
            remembered=remembered,
        )

    def _in_time(self, epoch: GridEpoch, arrived: float) -> StagePrediction | None:
        """The provisional answer to an epoch, if there is one; a final one is put among the pending."""
        assert self._deadline_s is not None
        # The deadline counts from when the epoch was whole on the wire. What is late already is not looked
        # at: it would make the next epochs late as well.
        due, mode = arrived + self._deadline_s, self._mode_of(epoch)
        look: SeenEpoch | StagePrediction
        if perf_counter() >= due and np.isfinite(epoch.x).any():
            look = StagePrediction.unanswered(epoch, mode, Outcome.LATE)
        else:
            look = self._look(epoch)
        try:
            remembered = self._remembered(epoch, None if isinstance(look, StagePrediction) else look)
            if isinstance(look, StagePrediction):
                answer = look if remembered is None else replace(look, memory=remembered.state)
            else:
                answer = self._pipeline.answer(look, Mode.HEAD, remembered=remembered)
                if perf_counter() >= due:
                    answer = answer.with_fields(outcome=Outcome.LATE, mode=mode)
        except Exception as error:
            answer, remembered = self._failed(epoch, error), None
        if not epoch.final:
            return answer
        # The stage is known now. Where there is nothing to reason about, or no time for it, this answer is
        # the final one; else it is given as provisional, and the reasons get a thread and the rest of the
        # time.
        unseen = isinstance(look, StagePrediction)
        if unseen or mode is Mode.HEAD or answer.outcome in (Outcome.LATE, Outcome.FAILED):
            self.pending.append(_Pending(epoch, arrived, due, None, None, None, answer))
            return None
        assert not isinstance(look, StagePrediction)
        work = self._threads(1).submit(self._reasoned, look, mode, due, remembered)
        self.pending.append(_Pending(epoch, arrived, due, work, look, remembered, None))
        return answer.with_fields(provisional=True)

    def _await(self, pending: _Pending) -> None:
        assert pending.work is not None
        try:
            pending.work.exception(max(0.0, pending.due - perf_counter()))
        except TimeoutError:
            return

    def _collected(self, pending: _Pending) -> StagePrediction:
        assert pending.work is not None
        assert pending.look is not None
        if not pending.work.done():
            pending.work.cancel()
            return self._pipeline.answer(
                pending.look, self._mode, stop=lambda: Finish.DEADLINE, remembered=pending.remembered
            )
        try:
            return pending.work.result()
        except Exception as error:
            return StagePrediction.unanswered(pending.epoch, self._mode, Outcome.FAILED, error=_text(error))

    def _threads(self, n: int) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(n, thread_name_prefix="eegvlm-stream")
        return self._pool


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
