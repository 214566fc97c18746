"""Epochs of a recording whose texts are decoded side by side, their predictions given in order.

What a GPU needs to be worth its while: one run of the language model reads tokens of many epochs.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from threading import Event
from time import perf_counter
from typing import TYPE_CHECKING, Final

from ..decoding.result import Decoded
from ..decoding.stopping import Stop, stop_when
from ..errors import BackendError
from ..memory.course import Course
from ..prediction import AnsweredBy, StagePrediction
from ..prompt import Mode
from ..signal.quality import mostly_missing
from .answers import Answer, prediction_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..memory.night_memory import Remembered
    from ..signal.epochs import GridEpoch
    from .pipeline import Pipeline
    from .seen_epoch import Probabilities, SeenEpoch

__all__ = ["answers_of_group", "predictions_of_groups"]

_PICTURES: Final = 16
"""Pictures that go through the tower together, at least: texts that share runs are rounded anyway."""

Epoch = tuple["SeenEpoch", "Remembered | None"]


def predictions_of_groups(
    pipeline: Pipeline,
    rows: Iterator[GridEpoch],
    mode: Mode,
    batch: int,
    cancelled: Callable[[], bool] | None,
    *,
    remembering: bool,
) -> Iterator[StagePrediction]:
    """Look at epochs (side by side), remember them (in order), answer them (in groups). While one group is
    answered, the next one is looked at.

    Raises BackendError in a forked child: the threads are in the process that began.
    """
    # Who leaves the iteration early does not wait for the texts of a whole group.
    over = Event()
    stop = stop_when(lambda: over.is_set() or (cancelled is not None and cancelled()))
    began_in = os.getpid()
    size = pipeline.text_batch
    batches = iter(lambda: list(islice(rows, max(batch, min(size, _PICTURES)))), [])
    course = Course(pipeline.memory if remembering else None, pipeline.remember)
    # One thread more than those that look: it asks the language model.
    pool = ThreadPoolExecutor(pipeline.workers + 1, thread_name_prefix="eegvlm")

    def epochs() -> Iterator[Epoch | Exception]:
        looks = deque(pool.submit(pipeline.see, some, mode) for some in islice(batches, pipeline.workers + 1))
        try:
            while looks:
                for look in looks.popleft().result():
                    yield look, course.remember(look)
                looks.extend(pool.submit(pipeline.see, some, mode) for some in islice(batches, 1))
        except Exception as error:
            # It is raised behind the predictions of the epochs before.
            yield error

    in_order = epochs()
    running: Future[list[StagePrediction | Exception]] | None = None
    try:
        while True:
            if os.getpid() != began_in:
                cure = "a forked process has none of its threads; begin an iteration of its own"
                raise BackendError("process", os.getpid(), cure)
            group = list(islice(in_order, size))
            # One group at a time has its keys and values in memory, and the next one begins before the
            # predictions of the last one are handed out.
            answers = [] if running is None else running.result()
            running = pool.submit(answers_of_group, pipeline, group, mode, stop) if group else None
            for answer in answers:
                if stop() is not None:
                    return
                if isinstance(answer, Exception):
                    raise answer
                yield answer
            if running is None:
                return
    finally:
        over.set()
        if os.getpid() == began_in:
            pool.shutdown(wait=True, cancel_futures=True)


def answers_of_group(
    pipeline: Pipeline, group: list[Epoch | Exception], mode: Mode, stop: Stop
) -> list[StagePrediction | Exception]:
    """The constrained predictions of some epochs, in order; an error of one epoch takes its place.

    Time that the language model took is shared out evenly among the epochs that it was asked about. Raises
    BackendError where a run fails.
    """
    questions = {
        i: epoch
        for i, epoch in enumerate(group)
        if not isinstance(epoch, Exception)
        and epoch[0].head is not None
        and not mostly_missing(epoch[0].row.quality)
    }
    answers = dict(zip(questions, _ask(pipeline, [*questions.values()], mode, stop), strict=True))
    results: list[StagePrediction | Exception] = []
    for i, epoch in enumerate(group):
        if isinstance(epoch, Exception):
            results.append(epoch)
            continue
        (look, remembered), answer = epoch, answers.get(i)
        if answer is None:
            # There is nothing to ask about, or the text was stopped before it came to a stage.
            results.append(pipeline.answer(look, mode, stop=stop, remembered=remembered))
        elif isinstance(answer, Exception):
            results.append(answer)
        else:
            scoring, draft = pipeline.scoring, pipeline.draft
            results.append(prediction_of(look, mode, answer, answer.stage_ms, scoring, remembered, draft))
    return results


def _ask(pipeline: Pipeline, group: list[Epoch], mode: Mode, stop: Stop) -> list[Answer | Exception | None]:
    """The language model's answers; None where a text was stopped before it came to a stage."""
    if not group or stop() is not None:
        return [None] * len(group)
    decoder = pipeline.load_decoder()
    started = perf_counter()
    nights = [None if night is None or night.probabilities is None else night for _, night in group]
    beginnings = []
    for (look, _), night in zip(group, nights, strict=True):
        assert look.visual_tokens is not None
        beginnings.append(decoder.beginning(look.visual_tokens, None if night is None else night.token))
    lockstep = decoder.read_many(beginnings)
    prefill_ms = _share(started, group)
    answers: list[Decoded | Probabilities | Exception]
    if mode is Mode.DIRECT:
        answers = [*decoder.score_many(lockstep, len(group))]
    else:
        contexts = [None if night is None else night.context for night in nights]
        answers = [*decoder.reason_many(lockstep, contexts, stop=stop)]
    total_ms = _share(started, group)
    results: list[Answer | Exception | None] = []
    for answer, (look, _) in zip(answers, group, strict=True):
        if isinstance(answer, Exception):
            results.append(answer)
            continue
        decoded = answer if isinstance(answer, Decoded) else None
        probabilities = answer.probabilities if isinstance(answer, Decoded) else answer
        results.append(
            None
            if probabilities is None
            else Answer(
                dict(probabilities),
                AnsweredBy.DIRECT if decoded is None else AnsweredBy.RULE,
                decoded,
                prefill_ms,
                total_ms - prefill_ms,
                stage_ms=look.seen_ms + total_ms,
                steps=1 if decoded is None else decoded.steps,
            )
        )
    return results


def _share(started: float, group: list[Epoch]) -> float:
    """Each epoch's share of the time since then, in ms."""
    return 1e3 * (perf_counter() - started) / len(group)
