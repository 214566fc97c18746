"""Decoding along the grammar: the model decides the slots, nothing else."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ..rationale import parse
from ..stages import STAGES, Stage
from .compiled import CompiledGrammar, FixedText
from .result import Decoded, Finish, Piece, Stream
from .scoring import group_probabilities
from .stopping import Stop, StoppedError, check, cut

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .reader import Reader
    from .trie import TrieNode

__all__ = ["rule_probabilities", "stream_constrained"]

NOTHING_KNOWN: Final[Mapping[str, str]] = MappingProxyType({})


def stream_constrained(
    reader: Reader, grammar: CompiledGrammar, stop: Stop, known: Mapping[str, str] = NOTHING_KNOWN
) -> Stream:
    """Pieces of the most probable path of the grammar, slot by slot; returns a `Decoded`.

    `known` fills slots from the night's record; the model reads them and chooses the others.
    """
    text, tokens = "", 0
    probabilities: dict[Stage, float] | None = None
    finish = Finish.COMPLETE
    try:
        for part in grammar.segments:
            if isinstance(part, FixedText):
                piece, count = part.text, len(part.ids)
                reader.feed(part.ids)
            else:
                trie = part.trie
                if part.name == "rule":
                    check(stop)
                    probabilities = rule_probabilities(reader, grammar)
                    trie = _rules_of(max(STAGES, key=probabilities.__getitem__), grammar)
                if part.name in known:
                    index = part.choices.index(known[part.name])
                    reader.feed(part.ids[index])
                else:
                    index = _choose(reader, trie, stop)
                piece, count = part.choices[index], len(part.ids[index])
            text += piece
            tokens += count
            yield Piece(piece, count, probabilities)
    except StoppedError as stopped:
        finish = stopped.finish
    complete = finish is Finish.COMPLETE
    return Decoded(
        text if complete else cut(text),
        parse(text) if complete else None,
        probabilities,
        finish,
        tokens,
        reader.steps,
    )


def rule_probabilities(reader: Reader, grammar: CompiledGrammar) -> dict[Stage, float]:
    """Stage probabilities at the slot `rule`, the next thing `reader` reads: the sum over the rules of
    each stage.
    """
    found = group_probabilities(reader, grammar.rule_slot.trie, grammar.rule_stages)
    return {stage: found.get(stage, 0.0) for stage in STAGES}


def _rules_of(stage: Stage, grammar: CompiledGrammar) -> TrieNode:
    keep = frozenset(i for i, owner in enumerate(grammar.rule_stages) if owner is stage)
    return grammar.rule_slot.trie.narrowed(keep)


def _choose(reader: Reader, node: TrieNode, stop: Stop) -> int:
    while True:
        options = node.options
        if not options:
            break
        token = next(iter(options))
        if len(options) > 1:
            check(stop)
            logits = reader.logits()
            token = max(options, key=lambda candidate: float(logits[candidate]))
        following = options[token]
        if following is None:
            break
        reader.feed([token])
        node = following
    assert node.choice is not None
    return node.choice
