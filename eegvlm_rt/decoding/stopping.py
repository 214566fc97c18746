"""Reasons to stop decoding early, and where a text may be cut."""

from __future__ import annotations

import re
from collections.abc import Callable
from time import perf_counter

from .result import Finish

__all__ = ["Stop", "StoppedError", "check", "cut", "never", "stop_when"]

Stop = Callable[[], Finish | None]

_SENTENCE_END = re.compile(r"\.(?=\s|$)")


class StoppedError(Exception):
    """Raised between two runs of the model; `finish` says why."""

    def __init__(self, finish: Finish) -> None:
        super().__init__(finish)
        self.finish = finish


def stop_when(cancelled: Callable[[], bool] | None = None, deadline: float | None = None) -> Stop:
    """A function that says why to stop now, if at all.

    CANCELLED once `cancelled()` is true, DEADLINE once `time.perf_counter()` has reached `deadline`.
    """

    def stop() -> Finish | None:
        if cancelled is not None and cancelled():
            return Finish.CANCELLED
        return Finish.DEADLINE if deadline is not None and perf_counter() >= deadline else None

    return stop


def never() -> Finish | None:
    """A `Stop` that never stops."""
    return None


def check(stop: Stop) -> None:
    """Raise StoppedError where there is a reason to."""
    reason = stop()
    if reason is not None:
        raise StoppedError(reason)


def cut(text: str) -> str:
    """`text` up to its last whole sentence: a full stop before white space or the end."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return text[: ends[-1]] if ends else ""
