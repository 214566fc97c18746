"""What decoding a rationale gives."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..rationale.parse import Rationale
    from ..stages import Stage

__all__ = ["Decoded", "Finish", "Piece", "Stream"]


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


Stream = Generator[Piece, None, Decoded]
