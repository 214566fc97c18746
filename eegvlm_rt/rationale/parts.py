"""What a grammar is made of: fixed texts and slots."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Literal", "Slot", "spaced"]


@dataclass(frozen=True, slots=True)
class Literal:
    """Text that never varies."""

    text: str


@dataclass(frozen=True, slots=True)
class Slot:
    """A place filled by exactly one of `choices`; each carries its own leading space."""

    name: str
    choices: tuple[str, ...]


def spaced(*words: object) -> tuple[str, ...]:
    """Each word with a space before it."""
    return tuple(f" {word}" for word in words)
