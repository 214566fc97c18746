"""Optimisation profiles: the shapes that a plan is made for, from the manifest alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..backends.embedding import cache_names
from ..backends.rooms import TEXT_TOKENS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..bundle.manifest import LanguageModelShape, Manifest

__all__ = [
    "BATCH",
    "STEP_TOKENS",
    "TEXT_TOKENS",
    "Range",
    "Shapes",
    "language_shapes",
    "shapes_digest",
    "tower_shapes",
]

BATCH: Final = 8
"""Pictures in one pass of the tower, at most."""

STEP_TOKENS: Final = 64
"""Tokens of one step after the picture: the question, or the text between two choices of a reasoning."""

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """Smallest, usual and largest shape of one input."""

    low: Shape
    usual: Shape
    high: Shape


Shapes = tuple["Mapping[str, Range]", ...]
"""One mapping from inputs to ranges for each profile."""


def tower_shapes(manifest: Manifest) -> Shapes:
    """One profile: 1 to `BATCH` pictures, one at a time as a rule."""
    picture = (3, int(manifest.render["height"]), int(manifest.render["width"]))
    return ({"pixel_values": Range((1, *picture), (1, *picture), (BATCH, *picture))},)


def language_shapes(lm: LanguageModelShape, hidden_size: int, visual_tokens: int) -> Shapes:
    """Two profiles: reading a picture (many tokens after none), and steps (few tokens after a picture).

    Either takes up to all visual tokens and `TEXT_TOKENS` of question and answer.
    """
    longest = visual_tokens + TEXT_TOKENS
    reading = _language(lm, hidden_size, (1, visual_tokens, longest), (0, 0, longest - 1))
    steps = _language(lm, hidden_size, (1, 1, STEP_TOKENS), (0, visual_tokens, longest - 1))
    return (reading, steps)


def _language(
    lm: LanguageModelShape, hidden_size: int, tokens: tuple[int, int, int], past: tuple[int, int, int]
) -> Mapping[str, Range]:
    embeds = Range(*((1, n, hidden_size) for n in tokens))
    positions = Range(*((1, n) for n in tokens))
    cache = Range(*((1, lm.num_kv_heads, n, lm.head_dim) for n in past))
    names = cache_names("past_key_values", lm.num_layers)
    return {"inputs_embeds": embeds, "position_ids": positions, **dict.fromkeys(names, cache)}


def shapes_digest(shapes: Shapes) -> str:
    """SHA-256 of the profiles."""
    listed = [
        {name: [entry.low, entry.usual, entry.high] for name, entry in profile.items()} for profile in shapes
    ]
    return hashlib.sha256(json.dumps(listed, sort_keys=True).encode()).hexdigest()
