"""The rationale grammar in tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ..errors import InputError
from ..rationale import GRAMMAR_VERSION, Grammar, Literal, grammar_of, parse_choices
from .trie import TrieNode, build_trie

if TYPE_CHECKING:
    from ..rationale.grammar import Parts
    from ..stages import Stage

__all__ = ["CompiledGrammar", "FixedText", "SlotTokens", "compile_grammar"]

Encode = Callable[[str], list[int]]


@dataclass(frozen=True, slots=True)
class FixedText:
    """Text that every rationale has at this place."""

    text: str
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SlotTokens:
    """A place where the model chooses: the choices as texts, as tokens, and as a trie."""

    name: str
    choices: tuple[str, ...]
    ids: tuple[tuple[int, ...], ...]
    trie: TrieNode


@dataclass(frozen=True, eq=False)
class CompiledGrammar:
    """Fixed texts and slots in order; `rule_stages` gives the stage of each choice of the slot `rule`.

    `night` is the same with the step of context, None where the version has no such step.
    """

    segments: tuple[FixedText | SlotTokens, ...]
    rule_stages: tuple[Stage, ...]
    night: CompiledGrammar | None = None

    @cached_property
    def rule_index(self) -> int:
        """Position of the slot `rule` among the segments."""
        return next(
            i for i, part in enumerate(self.segments) if isinstance(part, SlotTokens) and part.name == "rule"
        )

    @property
    def rule_slot(self) -> SlotTokens:
        """The slot `rule`."""
        slot = self.segments[self.rule_index]
        assert isinstance(slot, SlotTokens)
        return slot

    def tokens_before_rule(self, text: str) -> list[int]:
        """Tokens, segment by segment, of what a text of the grammar says before its rule.

        Raises:
            RationaleError: the text is no path of the grammar.
        """
        chosen = parse_choices(text)
        if "previous" in chosen and self.night is not None:
            return self.night.tokens_before_rule(text)
        ids: list[int] = []
        for part in self.segments[: self.rule_index]:
            ids += (
                part.ids if isinstance(part, FixedText) else part.ids[part.choices.index(chosen[part.name])]
            )
        return ids


def compile_grammar(encode: Encode, eos: int, version: str = GRAMMAR_VERSION) -> CompiledGrammar:
    """Tokenise a version of the grammar segment by segment with `encode`; `eos` follows the last segment.

    Raises:
        InputError: the tokenizer makes two choices of a slot equal, or a text that could be read in two ways;
            or the version is unknown.
    """
    grammar = grammar_of(version)
    night = None if grammar.night_parts is None else _compile(encode, eos, grammar, grammar.night_parts, None)
    return _compile(encode, eos, grammar, grammar.parts, night)


def _compile(
    encode: Encode, eos: int, grammar: Grammar, parts: Parts, night: CompiledGrammar | None
) -> CompiledGrammar:
    ids = [
        [encode(part.text)] if isinstance(part, Literal) else [encode(choice) for choice in part.choices]
        for part in parts
    ]
    segments: list[FixedText | SlotTokens] = []
    for i, part in enumerate(parts):
        if isinstance(part, Literal):
            segments.append(FixedText(part.text, tuple(ids[i][0])))
            continue
        if i + 1 < len(parts) and not isinstance(parts[i + 1], Literal):
            raise InputError(f"slot {part.name}", "another slot follows", "put fixed text between two slots")
        following = ids[i + 1][0][0] if i + 1 < len(parts) else eos
        trie = build_trie(part.name, ids[i], following)
        segments.append(SlotTokens(part.name, part.choices, tuple(map(tuple, ids[i])), trie))
    compiled = CompiledGrammar(tuple(segments), (), night)
    rules = tuple(
        grammar.rules[choice.strip().partition(":")[0]].stage for choice in compiled.rule_slot.choices
    )
    return CompiledGrammar(compiled.segments, rules, night)
