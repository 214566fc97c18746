"""Probabilities from logits: over some tokens, and over groups of a slot's choices."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ..errors import BackendError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .grammar_tokens import TrieNode
    from .result import Asking

__all__ = ["group_probabilities", "token_probabilities"]

Group = TypeVar("Group", bound=Hashable)


def token_probabilities(logits: NDArray[np.float32], tokens: Iterable[int]) -> NDArray[np.float64]:
    """Softmax of `logits` (V,) over `tokens` alone. Raises BackendError where the model gave no finite
    numbers.
    """
    few = logits[list(tokens)].astype(np.float64)
    if not np.isfinite(few).all():
        raise BackendError("llm.logits", few.tolist(), "the model gave no finite logits")
    weights = np.exp(few - few.max())
    return np.asarray(weights / weights.sum())


def group_probabilities(trie: TrieNode, group_of: Sequence[Group]) -> Asking[dict[Group, float]]:
    """Probability of each group of choices at a slot, the next thing that is read.

    The probability of a choice is the product, over its tokens, of the softmax over the tokens the trie
    allows there. A prefix whose choices are all of one group needs no further run: its probability is that of
    the group.
    """
    shares: dict[Group, float] = dict.fromkeys(group_of, 0.0)
    yield from _share_out(trie, group_of, [], 1.0, shares)
    return shares


def _share_out(
    node: TrieNode,
    group_of: Sequence[Group],
    path: list[int],
    mass: float,
    sums: dict[Group, float],
) -> Asking[None]:
    groups = {group_of[member] for member in node.members}
    # All choices below are of one group: its share is known without another run.
    if len(groups) == 1:
        sums[groups.pop()] += mass
        return
    # A token that must follow has probability 1; else the softmax over those that may.
    options = node.options
    shares = [1.0] if len(options) == 1 else token_probabilities((yield path), options)
    for (token, child), share in zip(options.items(), shares, strict=True):
        if child is not None:
            yield from _share_out(child, group_of, [*path, token], mass * float(share), sums)
        elif node.choice is not None:
            sums[group_of[node.choice]] += mass * float(share)
