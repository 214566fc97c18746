"""The rationale grammar in tokens; the choices of a slot as a trie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from ..errors import InputError
from ..rationale.grammar import GRAMMAR_VERSION, Grammar, grammar_of, parse_choices
from ..rationale.parts import Literal
from ..rationale.worth import worth_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ..rationale.grammar import Parts
    from ..stages import Stage

__all__ = [
    "CompiledGrammar",
    "FixedText",
    "SlotTokens",
    "TrieNode",
    "build_trie",
    "compile_grammar",
]


@dataclass(slots=True, eq=False)
class TrieNode:
    """A token prefix shared by some choices.

    `children` maps the next token to the longer prefix. `choice` is the choice that ends here, or None. Where
    choices go on after one that ends here, `end` is the token by which the text leaves the slot.
    """

    children: dict[int, TrieNode] = field(default_factory=dict)
    choice: int | None = None
    end: int | None = None
    members: list[int] = field(default_factory=list)

    @property
    def options(self) -> dict[int, TrieNode | None]:
        """Tokens that may follow: to a longer prefix, or to None where the choice ends."""
        ends: dict[int, TrieNode | None] = {} if self.end is None else {self.end: None}
        return {**self.children, **ends}

    def options_among(self, keep: frozenset[int]) -> dict[int, TrieNode | None]:
        """Tokens that may follow on the way to a choice in `keep`, as `options` has them."""
        children = {
            token: child for token, child in self.children.items() if not keep.isdisjoint(child.members)
        }
        ends: dict[int, TrieNode | None] = {}
        if children and self.end is not None and self.choice in keep:
            ends[self.end] = None
        return {**children, **ends}

    @property
    def at_once(self) -> bool:
        """Whether the first token alone decides the choice."""
        return all(child is not None and len(child.members) == 1 for child in self.options.values())


def build_trie(name: str, choices: Sequence[Sequence[int]], following: int) -> TrieNode:
    """Trie of the token sequences of a slot's choices; `following` is the first token after the slot.

    Raises:
        InputError: no choice, an empty one, two equal ones, or a choice that goes on, after another one, with
            the very token that would end it: the text could then be read in two ways.
    """
    root = TrieNode()
    for index, tokens in enumerate(choices):
        # Walk down, adding what is not there; each node knows the choices that pass through it.
        node = root
        node.members.append(index)
        for token in tokens:
            node = node.children.setdefault(token, TrieNode())
            node.members.append(index)
        if node is root or node.choice is not None:
            raise InputError(f"slot {name}", f"choice {index}", "every choice has tokens of its own")
        node.choice = index
    if not root.members:
        raise InputError(f"slot {name}", "no choices", "give at least one")
    _mark_ends(name, root, following)
    return root


def _mark_ends(name: str, node: TrieNode, following: int) -> None:
    if node.choice is not None and node.children:
        # The token that ends the shorter choice must not begin the rest of a longer one.
        if following in node.children:
            raise InputError(
                f"slot {name}", f"token {following}", "it may both end the choice and prolong it"
            )
        node.end = following
    for child in node.children.values():
        _mark_ends(name, child, following)


Encode = Callable[[str], list[int]]


@dataclass(frozen=True, slots=True)
class FixedText:
    """Text that every rationale has at this place."""

    text: str
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SlotTokens:
    """A place where the model chooses: the choices as texts, as tokens, and as a trie.

    `worth` (n, n) is what stating choice i is worth where j is true; None where the most probable token is
    taken, one after another.
    """

    name: str
    choices: tuple[str, ...]
    ids: tuple[tuple[int, ...], ...]
    trie: TrieNode
    worth: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class CompiledGrammar:
    """Fixed texts and slots in order; `rule_stages` gives the stage of each choice of the slot `rule`.

    `night` is the same with the step of context, None where the version has no such step. `reasoned`: the
    rules are those whose conditions a text can agree with or deny; the first version's are not.
    """

    segments: tuple[FixedText | SlotTokens, ...]
    rule_stages: tuple[Stage, ...]
    night: CompiledGrammar | None = None
    reasoned: bool = True

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

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest rationale, with the step of context where the version has one."""
        own = sum(
            len(part.ids) if isinstance(part, FixedText) else max(map(len, part.ids))
            for part in self.segments
        )
        return own if self.night is None else max(own, self.night.longest)

    @cached_property
    def rules_of(self) -> dict[Stage, frozenset[int]]:
        """The choices of the slot `rule` that are of one stage, by stage."""
        stages = self.rule_stages
        return {
            stage: frozenset(i for i, owner in enumerate(stages) if owner is stage) for stage in set(stages)
        }

    def tokens_before_rule(self, text: str) -> list[int]:
        """Tokens, segment by segment, of what a text of the grammar says before its rule.

        Raises:
            RationaleError: the text is no path of the grammar.
        """
        choices = parse_choices(text)
        if "previous" in choices and self.night is not None:
            return self.night.tokens_before_rule(text)
        ids: list[int] = []
        for part in self.segments[: self.rule_index]:
            ids += (
                part.ids if isinstance(part, FixedText) else part.ids[part.choices.index(choices[part.name])]
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
    reasoned = grammar.version == GRAMMAR_VERSION
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
        # The token that ends a choice is the first one of the fixed text behind it.
        following = ids[i + 1][0][0] if i + 1 < len(parts) else eos
        trie = build_trie(part.name, ids[i], following)
        # Weighing choices needs the probabilities of all of them: one run has them only where the first token
        # decides.
        worth = worth_of(part.name) if reasoned and trie.at_once else None
        segments.append(SlotTokens(part.name, part.choices, tuple(map(tuple, ids[i])), trie, worth))
    compiled = CompiledGrammar(tuple(segments), (), night, reasoned)
    rules = tuple(
        grammar.rules[choice.strip().partition(":")[0]].stage for choice in compiled.rule_slot.choices
    )
    return replace(compiled, rule_stages=rules)
