"""What decoding a rationale gives."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..devices.buffers import DeviceArray
    from ..rationale.parse import Rationale
    from ..stages import Stage

__all__ = ["Asking", "Beginning", "Decoded", "Finish", "Float32", "Piece", "Question", "Stream", "Talk"]

T = TypeVar("T")

Float32 = NDArray[np.float32]

Beginning: TypeAlias = "list[Float32 | DeviceArray]"
"""The pieces of a text up to its question: (1, T, D) on the host, (V, D) there or on a device."""

Question: TypeAlias = Sequence[int]
"""Tokens, none as a rule, behind all that was fed to a text. The answer are the logits (V,) of the token that
would follow them."""

Asking: TypeAlias = Generator[Question, Float32, T]
"""Asks its questions, is sent the answers, and returns what they come to. Whoever sends them reads one text
alone, or many side by side."""


class Finish(StrEnum):
    """Why a rationale ended.

    COMPLETE: at its end. DEADLINE, CANCELLED: cut at the last whole sentence. LENGTH: free text that did not
        end.
    INVALID: free text that is no path of the grammar. NONE: no rationale was asked for.
    """

    COMPLETE = "complete"
    DEADLINE = "deadline"
    CANCELLED = "cancelled"
    LENGTH = "length"
    INVALID = "invalid"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text of a rationale as it is decided, with the stage probabilities once they are known."""

    text: str
    tokens: int
    probabilities: Mapping[Stage, float] | None = None


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded rationale.

    `probabilities` are read at the slot `rule` and None where the text never came there. `tokens` counts the
    tokens of the text, `steps` the runs of the model that decided them.
    """

    text: str
    rationale: Rationale | None
    probabilities: Mapping[Stage, float] | None
    finish: Finish
    tokens: int
    steps: int


Talk = Generator[Piece | Question, Float32 | None, Decoded]
"""The decoding of a text: pieces of it as they are decided, to which nothing is sent, and questions."""

Stream = Generator[Piece, None, Decoded]
"""The decoding of a text whose questions are answered already."""
