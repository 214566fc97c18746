"""The rows of a recording staged side by side, their predictions given in order."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from ..decoding.stopping import stop_when
from ..errors import BackendError
from ..memory.course import Course
from ..prompt import Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..memory.night_memory import Remembered
    from ..prediction import StagePrediction
    from ..signal.epochs import GridEpoch
    from .pipeline import Pipeline
    from .seen_epoch import SeenEpoch

__all__ = ["predictions_of_rows"]

_HEAD_BATCH: Final = 8
"""Epochs that a thread takes at a time where a head of its own answers: fewer are handed over too often."""


class _OwnThread(Executor):
    """Does the work where it is handed over, in the thread that asks: one thread means one."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **more: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work(*args, **more))
        except Exception as error:
            future.set_exception(error)
        return future


def predictions_of_rows(
    pipeline: Pipeline,
    rows: Iterator[GridEpoch],
    mode: Mode,
    batch: int,
    cancelled: Callable[[], bool] | None,
    *,
    constrained: bool,
    remembering: bool,
) -> Iterator[StagePrediction]:
    """Three steps an epoch: look at it (side by side), remember it (in order), answer (side by side).

    Raises BackendError in a forked child: the threads are in the process that began.
    """
    stop = stop_when(cancelled)
    if mode is Mode.HEAD and pipeline.has_head:
        batch = max(batch, _HEAD_BATCH)
    batches = iter(lambda: list(islice(rows, batch)), [])
    course = Course(pipeline.memory if remembering else None, pipeline.remember)

    def answer(look: SeenEpoch, remembered: Remembered | None) -> StagePrediction:
        return pipeline.answer(look, mode, constrained=constrained, stop=stop, remembered=remembered)

    # One batch more than workers is looked at, so that none waits while an epoch is remembered.
    began_in = os.getpid()
    pool: Executor = (
        _OwnThread()
        if pipeline.single_thread
        else ThreadPoolExecutor(pipeline.workers, thread_name_prefix="eegvlm")
    )
    ahead = 0 if mode is Mode.HEAD else pipeline.workers
    answers: deque[StagePrediction | Future[StagePrediction]] = deque()
    try:
        looks = deque(pool.submit(pipeline.see, some, mode) for some in islice(batches, pipeline.workers + 1))
        while looks or answers:
            if os.getpid() != began_in:
                cure = "a forked process has none of its threads; begin an iteration of its own"
                raise BackendError("process", os.getpid(), cure)
            # The memory reads the epochs in order: this is the one place where they wait for each other.
            if looks:
                for look in looks.popleft().result():
                    remembered = course.remember(look)
                    # The stage head has answered already; a language model is asked in a thread.
                    answers.append(
                        answer(look, remembered)
                        if mode is Mode.HEAD
                        else pool.submit(answer, look, remembered)
                    )
                looks.extend(pool.submit(pipeline.see, some, mode) for some in islice(batches, 1))
            # Some answers may be on their way while the next epochs are looked at; at the end all are
            # awaited.
            while len(answers) > (ahead if looks else 0):
                first = answers.popleft()
                prediction = first.result() if isinstance(first, Future) else first
                if stop() is not None:
                    return
                yield prediction
    finally:
        if os.getpid() == began_in:
            pool.shutdown(wait=True, cancel_futures=True)
