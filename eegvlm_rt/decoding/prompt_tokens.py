"""The parts of a prompt in tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..prompt import Mode

if TYPE_CHECKING:
    from ..prompt import PromptSpec, TextTokenizer

__all__ = ["PromptTokens", "prompt_tokens"]


@dataclass(frozen=True, slots=True)
class PromptTokens:
    """Token ids of a prompt's parts; `eos` ends an answer."""

    before_image: tuple[int, ...]
    behind_image: tuple[int, ...]
    direct: tuple[int, ...]
    reasoning: tuple[int, ...]
    eos: int


def prompt_tokens(prompt: PromptSpec, tokenizer: TextTokenizer) -> PromptTokens:
    """Tokenise the parts of a prompt; raises InputError where the tokenizer lacks a special token."""

    def ids(segments: list[str]) -> tuple[int, ...]:
        return tuple(prompt.encode(tokenizer, segments))

    return PromptTokens(
        before_image=ids(prompt.prefix_segments()),
        behind_image=ids(prompt.night_segments()),
        direct=ids([prompt.question(Mode.DIRECT)]),
        reasoning=ids([prompt.question(Mode.COT)]),
        eos=prompt.token_id(tokenizer, prompt.eos),
    )
