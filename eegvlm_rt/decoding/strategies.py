"""Two ways to decode a rationale: along the grammar, where the model decides the slots alone, or free."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import RationaleError
from ..rationale.consistency import consistent_choices
from ..rationale.parse import Rationale, parse
from ..rationale.sureness import grounds_of
from ..stages import STAGES, Stage
from .grammar_tokens import CompiledGrammar, FixedText
from .probabilities import group_probabilities, token_probabilities
from .result import Decoded, Finish, Piece
from .stopping import Stop, StoppedError, check, cut

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from ..rationale.sureness import Grounds
    from .grammar_tokens import SlotTokens, TrieNode
    from .reader import Intake, Reader
    from .result import Asking, Stream, Talk

__all__ = ["rule_probabilities", "stream_free", "talk_constrained"]

NOTHING_KNOWN: Final[Mapping[str, str]] = MappingProxyType({})


def talk_constrained(
    intake: Intake, grammar: CompiledGrammar, stop: Stop, record: Mapping[str, str] = NOTHING_KNOWN
) -> Talk:
    """Feeds `intake` the best path of the grammar, slot by slot; returns a `Decoded`.

    `record` fills slots from the night's record; the model reads them and chooses the others: a finding by
    what its statement is worth on average, all else by probability, among what the text leaves open.
    """
    text, tokens = "", 0
    choices: dict[str, str] = {}
    shares: dict[str, NDArray[np.float64]] = {}
    probabilities: dict[Stage, float] | None = None
    stage: Stage | None = None
    finish = Finish.COMPLETE
    try:
        for part in grammar.segments:
            if isinstance(part, FixedText):
                piece, count = part.text, len(part.ids)
                # Fixed text is fed without a run: it is read together with the next question.
                intake.feed(part.ids)
            else:
                left = None
                if part.name == "rule":
                    # The stage is decided here, by the sum over its rules; then the rule among those of that
                    # stage.
                    check(stop)
                    probabilities = yield from rule_probabilities(grammar)
                    stage = max(STAGES, key=probabilities.__getitem__)
                    left = grammar.rules_of[stage]
                # A text does not contradict itself: what follows agrees with what was said.
                if stage is not None and grammar.reasoned:
                    left = consistent_choices(part.name, choices, stage)
                # What the record knows is not asked; the model reads it like its own words.
                if part.name in record:
                    index = part.choices.index(record[part.name])
                    intake.feed(part.ids[index])
                elif part.worth is not None:
                    index, shares[part.name] = yield from _weigh(intake, part, part.worth, stop)
                else:
                    # A rule or reason that its own statements hardly carry gives way to one that they do.
                    grounds = None if left is None else grounds_of(part.name, shares)
                    index = yield from _choose(intake, part.trie, left, stop, grounds)
                choices[part.name] = piece = part.choices[index]
                count = len(part.ids[index])
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
        intake.steps,
    )


def rule_probabilities(grammar: CompiledGrammar) -> Asking[dict[Stage, float]]:
    """Stage probabilities at the slot `rule`, the next thing that is read: the sum over the rules of each
    stage.
    """
    shares = yield from group_probabilities(grammar.rule_slot.trie, grammar.rule_stages)
    return {stage: shares.get(stage, 0.0) for stage in STAGES}


def _weigh(
    intake: Intake, slot: SlotTokens, worth: NDArray[np.float64], stop: Stop
) -> Asking[tuple[int, NDArray[np.float64]]]:
    """The choice that is worth most on average, by the probabilities (n,) of all choices, and these."""
    check(stop)
    logits = yield ()
    options = slot.trie.options
    shares = np.empty(len(worth))
    members = [child.members[0] for child in options.values() if child is not None]
    shares[members] = token_probabilities(logits, options)
    index = int(np.argmax(worth @ shares))
    intake.feed(slot.ids[index])
    return index, shares


def _choose(
    intake: Intake,
    node: TrieNode,
    left: frozenset[int] | None,
    stop: Stop,
    grounds: Grounds | None = None,
) -> Asking[int]:
    """The most probable choice, token by token, of those that are `left`; None: of all.

    Where the most probable token leads to nothing but unsure grounds, one that leads to a sure ground is
    taken, else one that leads to none.
    """
    while True:
        options = node.options if left is None else node.options_among(left)
        if not options:
            break
        token = next(iter(options))
        # Where one token alone may follow there is nothing to ask.
        if len(options) > 1:
            check(stop)
            logits = yield ()
            token = max(options, key=lambda candidate: float(logits[candidate]))
            if grounds is not None and left is not None and _members(options[token]) & left <= grounds.unsure:
                token = _instead(token, options, logits, left, grounds)
        following = options[token]
        if following is None:
            break
        intake.feed([token])
        node = following
    assert node.choice is not None
    return node.choice


def _instead(
    token: int,
    options: Mapping[int, TrieNode | None],
    logits: NDArray[np.float32],
    left: frozenset[int],
    grounds: Grounds,
) -> int:
    """The most probable token that leads to a sure ground; else to no ground at all; else `token` itself."""
    for better in (grounds.sure, grounds.silent):
        leading = [option for option, child in options.items() if _members(child) & left & better]
        if leading:
            return max(leading, key=lambda candidate: float(logits[candidate]))
    return token


def _members(node: TrieNode | None) -> frozenset[int]:
    """Choices behind a token; none where it ends the slot, as it does in no slot of rules or reasons."""
    return frozenset() if node is None else frozenset(node.members)


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
            # A character may be made of several tokens: half of one is held back.
            piece = "" if whole.endswith("\ufffd") else whole[len(text) :]
            text += piece
            yield Piece(piece, 1)
    except StoppedError as stopped:
        finish = stopped.finish
    if finish is not Finish.COMPLETE:
        shown = text if finish is Finish.LENGTH else cut(text)
        return Decoded(shown, None, None, finish, len(ids), reader.steps)

    text = detokenize(ids)
    # A free text gives no probabilities on the way. Where it is a path of the grammar it is read again up to
    # its rule, where they can be asked for as in a constrained one.
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
    return reader.answer(rule_probabilities(grammar)), reader.steps
