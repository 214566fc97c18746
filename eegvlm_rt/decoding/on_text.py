"""The user's `on_text` function, for a single epoch and for a stream alike."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypeAlias, cast

from ..errors import InputError

__all__ = ["TextCallback", "epoch_and_text"]

TextCallback: TypeAlias = Callable[[int, str], None] | Callable[[str], None]
"""Called with each piece of the reasoning as it is decided: (index of the epoch, text), or the text alone
where the function takes one argument only."""


def epoch_and_text(on_text: object) -> Callable[[int, str], None] | None:
    """`on_text` as a function of (index, text); None stays None.

    Raises:
        InputError: not a function of one or two arguments.
    """
    if on_text is None:
        return None
    cure = "give a function of (index, text), or of the text alone"
    if not callable(on_text):
        raise InputError("on_text", type(on_text).__name__, cure)
    try:
        signature = inspect.signature(on_text)
    except ValueError:
        # Some functions written in C do not say what they take.
        return cast("Callable[[int, str], None]", on_text)
    if _takes(signature, 2):
        return cast("Callable[[int, str], None]", on_text)
    if _takes(signature, 1):
        text_only = cast("Callable[[str], None]", on_text)
        return lambda _, text: text_only(text)
    raise InputError("on_text", f"{getattr(on_text, '__name__', type(on_text).__name__)}{signature}", cure)


def _takes(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True
