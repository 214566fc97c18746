"""The rows of a recording staged side by side, their predictions given in order."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..decoding.stopping import stop_when
from ..errors import BackendError
from ..memory.course import Course
from ..prompt import Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..decoding.stopping import Stop
    from ..memory.night_memory import Remembered
    from ..prediction import StagePrediction
    from ..signal.epochs import GridEpoch
    from .pipeline import Pipeline
    from .seen_epoch import MeasuredEpoch, SeenEpoch

__all__ = ["predictions_of_rows"]

T = TypeVar("T")

_FIRST_BATCH: Final = 4
_HEAD_BATCH: Final = 16
"""Epochs that a thread takes at a time where a head of its own answers: at first few, so that every thread
has some of a short recording; then more, which are handed over less often."""
_MEASURE_BATCH: Final = 8
"""Epochs that are measured together: one at a time takes four times as long."""
_AHEAD: Final = 3
"""Batches a thread that are cut before the first of them is answered."""


class _OwnThread(Executor):
    """Does the work where it is handed over, in the thread that asks: one thread means one."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **more: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work(*args, **more))
        except Exception as error:
            future.set_exception(error)
        return future


class _NoThread(Executor):
    """Leaves the work to whoever waits for it."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **more: Any) -> Future[Any]:  # noqa: ARG002
        return Future()


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
    course = Course(pipeline.memory if remembering else None, pipeline.remember)
    if mode is Mode.HEAD:
        grow = pipeline.has_head
        batches = _growing_batches(rows, max(batch, _HEAD_BATCH)) if grow else _batches(rows, batch)
        return _by_head(pipeline, batches, stop, course)

    def answer(look: SeenEpoch, remembered: Remembered | None) -> StagePrediction:
        return pipeline.answer(look, mode, constrained=constrained, stop=stop, remembered=remembered)

    return _by_language(pipeline, rows, mode, batch, stop, course, answer)


def _by_head(
    pipeline: Pipeline, batches: Iterator[list[GridEpoch]], stop: Stop, course: Course
) -> Iterator[StagePrediction]:
    """Predictions of the stage head.

    The thread that asks for them looks at epochs too, where it would wait for others: one thread more than
    there are processors would only take turns with them.
    """
    began_in = os.getpid()
    others = 0 if pipeline.single_thread else max(1, pipeline.workers - 1)
    pool: Executor = ThreadPoolExecutor(others, thread_name_prefix="eegvlm") if others else _NoThread()
    ahead: deque[tuple[list[GridEpoch], Future[list[SeenEpoch]]]] = deque()
    try:
        while True:
            _check_process(began_in)
            # More batches than there are threads, so that none waits while this one looks or remembers.
            more = islice(batches, _AHEAD * (others + 1) - len(ahead))
            ahead.extend((some, pool.submit(pipeline.see, some, Mode.HEAD)) for some in more)
            if not ahead:
                return
            # Until the first batch is seen, the first one that no other thread has begun is looked at here.
            place = 0
            while not ahead[0][1].done():
                if others >= pipeline.workers or place == len(ahead):
                    wait([ahead[0][1]])
                elif ahead[place][1].cancel():
                    some = ahead[place][0]
                    ahead[place] = some, _OwnThread().submit(pipeline.see, some, Mode.HEAD)
                else:
                    place += 1
            # The memory reads the epochs in order; the head has answered already.
            for look in ahead.popleft()[1].result():
                prediction = pipeline.answer(look, Mode.HEAD, stop=stop, remembered=course.remember(look))
                if stop() is not None:
                    return
                yield prediction
    finally:
        if os.getpid() == began_in:
            pool.shutdown(wait=True, cancel_futures=True)


def _by_language(
    pipeline: Pipeline,
    rows: Iterator[GridEpoch],
    mode: Mode,
    batch: int,
    stop: Stop,
    course: Course,
    answer: Callable[[SeenEpoch, Remembered | None], StagePrediction],
) -> Iterator[StagePrediction]:
    """Predictions of the language model, which is asked by the same threads that look at epochs. Measured are
    more epochs at a time than go through the tower.
    """
    # One batch more than workers is looked at, so that none waits while an epoch is remembered.
    began_in = os.getpid()
    pool: Executor = (
        _OwnThread()
        if pipeline.single_thread
        else ThreadPoolExecutor(pipeline.workers, thread_name_prefix="eegvlm")
    )
    answers: deque[Future[StagePrediction]] = deque()
    measured = (
        pair
        for some in _batches(rows, max(batch, _MEASURE_BATCH))
        for pair in zip(some, pipeline.measure(some, mode), strict=True)
    )
    batches = _batches(measured, batch)

    def see(some: list[tuple[GridEpoch, MeasuredEpoch]]) -> list[SeenEpoch]:
        return pipeline.see([row for row, _ in some], mode, [of_signal for _, of_signal in some])

    try:
        looks = deque(pool.submit(see, some) for some in islice(batches, pipeline.workers + 1))
        while looks or answers:
            _check_process(began_in)
            # The memory reads the epochs in order: this is the one place where they wait for each other.
            if looks:
                for look in looks.popleft().result():
                    answers.append(pool.submit(answer, look, course.remember(look)))
                looks.extend(pool.submit(see, some) for some in islice(batches, 1))
            # Some answers may be on their way while the next epochs are looked at; at the end all are
            # awaited.
            while len(answers) > (pipeline.workers if looks else 0):
                prediction = answers.popleft().result()
                if stop() is not None:
                    return
                yield prediction
    finally:
        if os.getpid() == began_in:
            pool.shutdown(wait=True, cancel_futures=True)


def _batches(items: Iterator[T], size: int) -> Iterator[list[T]]:
    return iter(lambda: list(islice(items, size)), [])


def _growing_batches(rows: Iterator[GridEpoch], most: int) -> Iterator[list[GridEpoch]]:
    size = _FIRST_BATCH
    while some := list(islice(rows, size)):
        yield some
        size = min(2 * size, most)


def _check_process(began_in: int) -> None:
    if os.getpid() != began_in:
        cure = "a forked process has none of its threads; begin an iteration of its own"
        raise BackendError("process", os.getpid(), cure)
