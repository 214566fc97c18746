"""Slow model: for some epochs a real model is held up beyond its deadline, in one of three ways."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

from eegvlm_rt.decoding import Finish
from eegvlm_rt.journal import Journal, read
from eegvlm_rt.prediction import Outcome
from eegvlm_rt.signal.units import EPOCH_S
from eegvlm_rt.streaming.options import StreamOptions

from .compare import compare, expected_epochs, rows_of
from .outcome import NightResult
from .streaming import journal_rows, troubles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np

    from eegvlm_rt.backends.base import VisionTower
    from eegvlm_rt.pipeline import Pipeline
    from eegvlm_rt.prediction import StagePrediction
    from eegvlm_rt.streaming import StreamingStager

    from .signals import Signal
    from .streaming import Reference

__all__ = ["slow_night"]

HANG, CREEP, TOWER = "one run hangs", "every run is slow", "the vision tower is slow"
HANGING_RUN: Final = 2
POLL_S: Final = 0.01


def slow_night(
    number: int,
    rng: np.random.Generator,
    signal: Signal,
    faults: int,
    reference: Reference,
    folder: Path,
    deadline_s: float,
) -> NightResult:
    """A night in cot mode, an epoch at a time, as it comes at a bedside: the next one comes when the model is
    free again. A held up model may cost an epoch its reasons or make it late, and no other epoch anything.
    """
    slow = dict(
        zip(
            (int(i) for i in rng.choice(signal.epochs - 1, faults, replace=False)),
            rng.permutation([HANG, CREEP, TOWER, CREEP, HANG, TOWER])[:faults],
            strict=True,
        )
    )
    path = folder / f"slow-model-{number}.journal"
    brake = _Brake(deadline_s)
    returned: list[StagePrediction] = []
    on_push: dict[int, StagePrediction] = {}
    pipeline = reference.stager._pipeline
    with (
        brake.fitted(pipeline),
        Journal.create(path, {"channel": "Fpz"}) as journal,
        reference.stager.stream(
            signal.sfreq,
            channel="Fpz",
            mode="cot",
            journal=journal,
            options=StreamOptions(deadline_s=deadline_s),
        ) as stream,
    ):
        for index in range(signal.epochs):
            brake.on_for(str(slow.get(index, "")))
            for prediction in _one_epoch(stream, signal, index):
                on_push.setdefault(prediction.index, prediction)
                returned += [] if prediction.provisional else [prediction]
            brake.released()
    report = read(path)
    rows, expected = journal_rows(report), expected_epochs(len(signal.samples_uv), signal.sfreq)
    broken = troubles(report, stream.night, expected)
    for prediction in returned:
        broken += _verdict(prediction, on_push[prediction.index], slow.get(prediction.index))
    right = reference.predictions(signal, "cot")
    notes = [f"{slow[i]} in epoch {i}" for i in sorted(slow)]
    return NightResult.of(
        "slow model",
        number,
        signal,
        faults,
        notes,
        rows,
        expected,
        compare(rows_of(returned), right, set(slow), set()),
        broken,
        facts={
            "deadline_s": deadline_s,
            "late": sum(p.outcome is Outcome.LATE for p in returned),
            "cut": sum(p.finish is Finish.DEADLINE for p in returned),
            "worst_lag_s": stream.night.worst_lag_s,
        },
    )


class _Brake:
    """Holds up the language model or the tower of a pipeline while it is on."""

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._what = ""
        self._run = 0
        self._held = 0
        self._changed = threading.Condition()

    @contextmanager
    def fitted(self, pipeline: Pipeline) -> Iterator[None]:
        """Put between a pipeline and its models."""
        decoder = pipeline.load_decoder()
        lm, tower = decoder._lm, pipeline._tower
        decoder._lm = _Held(lm, self.before_a_run)
        pipeline._tower = cast("VisionTower", _Held(tower, self.before_the_tower))
        try:
            yield
        finally:
            decoder._lm, pipeline._tower = lm, tower

    def on_for(self, what: str) -> None:
        """Hold up what is named until `released`."""
        self._what, self._run = what, 0

    def released(self) -> None:
        """Wait for runs that are being held up; hold up no more."""
        self._what = ""
        with self._changed:
            self._changed.wait_for(lambda: self._held == 0)

    def before_a_run(self) -> None:
        """Called before each run of the language model."""
        self._run += 1
        if self._what == HANG and self._run == HANGING_RUN:
            self._hold(1.25 * self._deadline_s)
        elif self._what == CREEP:
            self._hold(self._deadline_s / 5)

    def before_the_tower(self) -> None:
        """Called before each run of the tower."""
        if self._what == TOWER:
            self._hold(1.1 * self._deadline_s)

    def _hold(self, seconds: float) -> None:
        with self._changed:
            self._held += 1
        time.sleep(seconds)
        with self._changed:
            self._held -= 1
            self._changed.notify_all()


class _Held:
    """A model, each run of which begins with a call of `before`."""

    def __init__(self, model: Any, before: Callable[[], None]) -> None:
        self._model, self._before = model, before

    def __call__(self, *arguments: Any) -> Any:
        self._before()
        return self._model(*arguments)

    def read(self, *arguments: Any) -> Any:
        self._before()
        return self._model.read(*arguments)

    def next_logits(self, *arguments: Any) -> Any:
        self._before()
        return self._model.next_logits(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def _one_epoch(stream: StreamingStager, signal: Signal, index: int) -> Iterator[StagePrediction]:
    """All predictions for an epoch, from the moment when what must follow it has come; at the end of the
    night `close` gives them.
    """
    ahead = round(stream.lookahead_s * signal.sfreq) + 2
    first, last = (round(i * EPOCH_S * signal.sfreq) + ahead * (i > 0) for i in (index, index + 1))
    done = False
    for prediction in stream.push(signal.samples_uv[first:last]):
        done |= not prediction.provisional
        yield prediction
    if last >= len(signal.samples_uv):
        yield from stream.close()
        return
    while not done:
        time.sleep(POLL_S)
        for prediction in stream.poll():
            done |= not prediction.provisional
            yield prediction


def _verdict(answer: StagePrediction, first: StagePrediction, what: str | None) -> list[str]:
    """What is wrong with the answer to an epoch whose model was held up in the way `what` tells, or not."""
    wrong = []
    if what == TOWER:
        if answer.outcome is not Outcome.LATE:
            wrong.append(f"epoch {answer.index}: {what}, and it is {answer.outcome}")
    elif what is not None:
        if answer.finish is not Finish.DEADLINE or answer.outcome is not Outcome.SCORED:
            wrong.append(
                f"epoch {answer.index}: {what}, and it is {answer.outcome}, its text {answer.finish}"
            )
        if answer.rationale_text and not answer.rationale_text.rstrip().endswith("."):
            wrong.append(f"epoch {answer.index}: its text is cut within a sentence")
    if what != TOWER and (first.head is None or answer.head is None or first.head != answer.head):
        wrong.append(f"epoch {answer.index}: no stage came at once")
    return wrong
