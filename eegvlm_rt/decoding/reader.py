"""What a language model is fed of a text, and the reader that answers the questions of its decoding."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from .result import Piece

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..backends.base import KVCache, LanguageModel
    from .result import Asking, Float32, Stream, Talk

__all__ = ["Intake", "Reader"]

T = TypeVar("T")


class Intake:
    """Tokens of a text that were fed and not read by the model yet, and the runs it took so far."""

    def __init__(self, ids: Sequence[int] = ()) -> None:
        self.pending = list(ids)
        self.steps = 0

    def feed(self, ids: Sequence[int]) -> None:
        """Append tokens, without running the model."""
        self.pending += ids


class Reader(Intake):
    """One text and its model, which runs only when its opinion on the next token is asked for
    (jump-forward).
    """

    def __init__(self, lm: LanguageModel, cache: KVCache, ids: Sequence[int] = ()) -> None:
        super().__init__(ids)
        self._lm = lm
        self._cache = cache
        self._last: Float32 | None = None

    def logits(self) -> Float32:
        """Logits (V,) of the token that follows all that was fed. At least one token must have been fed."""
        # All tokens since the last question go through the model in one run.
        if self.pending:
            self._last, self._cache = self._run(self.pending, self._cache)
            self.pending = []
        assert self._last is not None
        return self._last

    def peek(self, ids: Sequence[int]) -> Float32:
        """Logits (V,) as they would be after `ids`; what was fed does not change."""
        current = self.logits()
        return self._run(ids, self._cache)[0] if ids else current

    def answer(self, asking: Asking[T]) -> T:
        """What `asking` comes to, its questions answered."""
        try:
            question = next(asking)
            while True:
                question = asking.send(self.peek(question))
        except StopIteration as end:
            result: T = end.value
            return result

    def stream(self, talk: Talk) -> Stream:
        """The pieces of a talk, its questions answered."""
        answer: Float32 | None = None
        while True:
            try:
                item = talk.send(answer)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            if isinstance(item, Piece):
                answer = None
                yield item
            else:
                answer = self.peek(item)

    def _run(self, ids: Sequence[int], cache: KVCache) -> tuple[Float32, KVCache]:
        self.steps += 1
        return self._lm.next_logits(self._lm.embed(ids), cache)
