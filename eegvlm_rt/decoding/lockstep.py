"""Many texts decoded side by side, in step: every run reads as many tokens of each.

A model that reads several texts in one run wants them all of one length (`ManyTexts`). So a run reads as many
tokens as the text with the fewest waiting has. That text then asks its question, and the others go on reading
what they know already. No text is padded in its middle; one that is complete waits for the last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from .result import Piece
from .stopping import Stop, StoppedError, never

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from ..backends.base import ManyTexts
    from .reader import Intake
    from .result import Beginning, Float32, Question

__all__ = ["Lockstep"]

T = TypeVar("T")


class _Row(Generic[T]):
    """One of the texts. `question` is what it asks next, None where it has come to its `result`: a value, or
    the error that ended it."""

    def __init__(self, intake: Intake, talk: Generator[Piece | Question, Any, T]) -> None:
        self.intake, self._talk = intake, talk
        self.question: Question | None = ()
        self.result: T | Exception | None = None
        self.logits: Float32 | None = None
        self.go_on(None)

    def go_on(self, answer: Float32 | None) -> None:
        """Send the answer to a question, and go on to the next question that needs a run."""
        try:
            while True:
                item = self._talk.send(answer)
                answer = None
                if isinstance(item, Piece):
                    continue
                if item or self.intake.pending:
                    self.question = item
                    return
                # Nothing was fed since the last run, so that its logits are the answer.
                answer = self.logits
        except StopIteration as end:
            self.question, self.result = None, end.value
        except Exception as error:
            # The other texts go on; who asked for this one is told.
            self.question, self.result = None, error

    def end(self, reason: StoppedError) -> None:
        """Have the text come to its end now."""
        try:
            while True:
                self._talk.throw(reason)
        except StopIteration as end:
            self.question, self.result = None, end.value
        except Exception as error:
            self.question, self.result = None, error


class Lockstep:
    """Texts that begin with `beginnings`, all of one length, have room for `room` tokens more, and go on side
    by side. Raises BackendError where a run fails.

    Attributes:
        runs: runs of the model behind the beginnings.
        places: tokens that these runs read, of all texts.
        useful: those of them that a text asked for.
    """

    def __init__(self, lm: ManyTexts, beginnings: Sequence[Beginning], room: int) -> None:
        self._lm, self._texts = lm, lm.texts(beginnings, room)
        self.runs = self.places = self.useful = 0

    def results(
        self, talks: Sequence[tuple[Intake, Generator[Piece | Question, Any, T]]], stop: Stop = never
    ) -> list[T | Exception]:
        """What each talk comes to, in order: talk i is about text i, and its intake is not empty. An error
        that ends one text takes its place. The texts are longer afterwards.

        Once there is a reason to `stop`, every talk is told so and ends. Raises BackendError where a run
        fails.
        """
        rows = [_Row(intake, talk) for intake, talk in talks]
        while active := [row for row in rows if row.question is not None]:
            reason = stop()
            if reason is not None:
                for row in active:
                    row.end(StoppedError(reason))
                break
            # Who wants to look ahead has read all that was fed, and must be answered before the texts grow.
            curious = [row for row in active if row.question and not row.intake.pending]
            if curious:
                self._look_ahead(rows, curious)
            else:
                self._read(rows, active)
        return [row.result for row in rows]  # type: ignore[misc]

    def _read(self, rows: list[_Row[T]], active: list[_Row[T]]) -> None:
        count = min(len(row.intake.pending) for row in active)
        logits = self._texts.read(self._embeds(rows, {row: row.intake.pending[:count] for row in active}))
        for row, answer in zip(rows, logits, strict=True):
            if row.question is None:
                continue
            intake = row.intake
            intake.pending = intake.pending[count:]
            if intake.pending:
                continue
            row.logits = answer
            if not row.question:
                row.go_on(answer)

    def _look_ahead(self, rows: list[_Row[T]], curious: list[_Row[T]]) -> None:
        # The logits of the last token alone come back: the shortest questions are answered together.
        count = min(len(row.question or ()) for row in curious)
        asking = {row: row.question for row in curious if row.question and len(row.question) == count}
        logits = self._texts.peek(self._embeds(rows, asking))
        for row, answer in zip(rows, logits, strict=True):
            if row in asking:
                row.go_on(answer)

    def _embeds(self, rows: list[_Row[T]], tokens: dict[_Row[T], Sequence[int]]) -> Float32:
        """Embeddings (B, T, D) of the tokens of some rows; those of the others count nothing."""
        count = len(next(iter(tokens.values())))
        ids = np.zeros((len(rows), count), dtype=np.int64)
        for i, row in enumerate(rows):
            if row in tokens:
                ids[i] = tokens[row]
                row.intake.steps += 1
        self.runs += 1
        self.places += ids.size
        self.useful += len(tokens) * count
        return self._lm.embed(ids.ravel()).reshape(len(rows), count, -1)  # type: ignore[arg-type]
