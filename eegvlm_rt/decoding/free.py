"""Decoding without the grammar: the most probable token, whatever it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import RationaleError
from ..rationale import Rationale, parse
from .constrained import rule_probabilities
from .result import Decoded, Finish, Piece, Stream
from .stopping import Stop, StoppedError, check, cut

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..stages import Stage
    from .compiled import CompiledGrammar
    from .reader import Reader

__all__ = ["stream_free"]


def stream_free(
    reader: Reader,
    again: Callable[[], Reader],
    grammar: CompiledGrammar,
    detokenize: Callable[[list[int]], str],
    *,
    eos: int,
    limit: int,
    stop: Stop,
) -> Stream:
    """Pieces of greedy text up to `eos` or `limit` tokens; returns a `Decoded`.

    `again` gives a fresh reader at the same place, with which a valid text is read up to its rule.
    """
    ids: list[int] = []
    text = ""
    finish = Finish.LENGTH
    try:
        while len(ids) < limit:
            check(stop)
            token = int(np.argmax(reader.logits()))
            if token == eos:
                finish = Finish.COMPLETE
                break
            ids.append(token)
            reader.feed([token])
            whole = detokenize(ids)
            piece = "" if whole.endswith("\ufffd") else whole[len(text) :]
            text += piece
            yield Piece(piece, 1)
    except StoppedError as stopped:
        finish = stopped.finish
    if finish is not Finish.COMPLETE:
        shown = text if finish is Finish.LENGTH else cut(text)
        return Decoded(shown, None, None, finish, len(ids), reader.steps)

    text = detokenize(ids)
    rationale = _parsed(text)
    if rationale is None:
        return Decoded(text, None, None, Finish.INVALID, len(ids), reader.steps)
    probabilities, steps = _reread(again(), grammar, text)
    return Decoded(text, rationale, probabilities, finish, len(ids), reader.steps + steps)


def _parsed(text: str) -> Rationale | None:
    try:
        return parse(text)
    except RationaleError:
        return None


def _reread(reader: Reader, grammar: CompiledGrammar, text: str) -> tuple[dict[Stage, float], int]:
    reader.feed(grammar.tokens_before_rule(text))
    return rule_probabilities(reader, grammar), reader.steps
