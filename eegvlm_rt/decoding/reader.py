"""A language model that reads tokens one after another and remembers what it read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..backends.base import KVCache, LanguageModel

__all__ = ["Reader"]

Float32 = NDArray[np.float32]


class Reader:
    """Collects tokens and runs the model only when its opinion on the next one is asked for
    (jump-forward).
    """

    def __init__(self, lm: LanguageModel, cache: KVCache, ids: Sequence[int] = ()) -> None:
        self._lm = lm
        self._cache = cache
        self._pending = list(ids)
        self._last: Float32 | None = None
        self.steps = 0

    def feed(self, ids: Sequence[int]) -> None:
        """Append tokens, without running the model."""
        self._pending += ids

    def logits(self) -> Float32:
        """Logits (V,) of the token that follows all that was fed. At least one token must have been fed."""
        # All tokens since the last question go through the model in one run.
        if self._pending:
            self._last, self._cache = self._run(self._pending, self._cache)
            self._pending = []
        assert self._last is not None
        return self._last

    def peek(self, ids: Sequence[int]) -> Float32:
        """Logits (V,) as they would be after `ids`; what was fed does not change."""
        current = self.logits()
        return self._run(ids, self._cache)[0] if ids else current

    def _run(self, ids: Sequence[int], cache: KVCache) -> tuple[Float32, KVCache]:
        self.steps += 1
        return self._lm.next_logits(self._lm.embed(ids), cache)
