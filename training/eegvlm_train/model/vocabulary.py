"""A foreign byte-level BPE cut down to what the questions and the grammar need.

Every text of a corpus is cut into the same tokens as before; what is dropped are tokens it never reaches. Any
other text still has tokens, down to the single bytes that it knew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import AddedToken, Tokenizer, pre_tokenizers

__all__ = ["add_words", "pruned"]


def pruned(tokenizer: Tokenizer, texts: Iterable[str], special: Sequence[str]) -> tuple[Tokenizer, list[int]]:
    """The smaller tokenizer, and the old id of each of its ids in order: `special` tokens first.

    A token is kept where a text has it, where one that is kept is merged from it, or where it is one byte.
    Merges that are never applied to a text change nothing about it when they are gone.

    Raises ValueError for another model than byte-level BPE, and for a `special` token it does not have.
    """
    fields: dict[str, Any] = json.loads(tokenizer.to_str())
    model = fields["model"]
    if model["type"] != "BPE" or '"ByteLevel"' not in json.dumps(fields["pre_tokenizer"]):
        raise ValueError(f"tokenizer: {model['type']} over other units than bytes; use a byte-level BPE")
    lacking = [token for token in special if tokenizer.token_to_id(token) is None]
    if lacking:
        raise ValueError(f"tokenizer: no token {', '.join(lacking)}; use one of a chat model (ChatML)")
    reached = set(pre_tokenizers.ByteLevel.alphabet()) & set(model["vocab"])
    for text in texts:
        reached.update(tokenizer.encode(text, add_special_tokens=False).tokens)
    reached -= set(special)
    merges = [_pair(merge) for merge in model["merges"]]
    survivors = []
    for left, right in reversed(merges):
        if left + right in reached:
            reached |= {left, right}
            survivors.append([left, right])
    words = sorted(reached, key=model["vocab"].__getitem__)
    places = tokenizer.get_vocab()
    old = [places[token] for token in (*special, *words)]
    model["vocab"] = {token: place for place, token in enumerate((*special, *words))}
    model["merges"] = survivors[::-1]
    by_name = {token["content"]: token for token in fields["added_tokens"]}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    fields["added_tokens"] = [
        {"content": token, **plain} | by_name.get(token, {}) | {"id": place}
        for place, token in enumerate(special)
    ]
    fields["post_processor"] = None
    return Tokenizer.from_str(json.dumps(fields)), old


def _pair(merge: str | Sequence[str]) -> tuple[str, str]:
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


def add_words(tokenizer: Tokenizer, words: Iterable[str]) -> list[str]:
    """Make each of `words` one token of its own, in place; returns those that were not."""
    old_ids: set[int] = set()
    new = []
    for word in words:
        ids = tokenizer.encode(word, add_special_tokens=False).ids
        if len(ids) != 1 or ids[0] in old_ids:
            new.append(word)
        old_ids.update(ids[:1] if len(ids) == 1 else ())
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in new])
    return new
