"""A token trie over the choices of one slot."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TrieNode", "build_trie"]


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

    def narrowed(self, keep: frozenset[int]) -> TrieNode:
        """The same trie with only the choices in `keep`."""
        children = {
            token: child.narrowed(keep) for token, child in self.children.items() if keep & set(child.members)
        }
        choice = self.choice if self.choice in keep else None
        end = self.end if choice is not None and children else None
        return TrieNode(children, choice, end, [member for member in self.members if member in keep])


def build_trie(name: str, choices: Sequence[Sequence[int]], following: int) -> TrieNode:
    """Trie of the token sequences of a slot's choices; `following` is the first token after the slot.

    Raises:
        InputError: no choice, an empty one, two equal ones, or a choice that goes on, after another one, with
            the very token that would end it: the text could then be read in two ways.
    """
    root = TrieNode()
    for index, tokens in enumerate(choices):
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
        if following in node.children:
            raise InputError(
                f"slot {name}", f"token {following}", "it may both end the choice and prolong it"
            )
        node.end = following
    for child in node.children.values():
        _mark_ends(name, child, following)
