"""The fixed shape of a rationale: literals and slots. Every rationale is one path through it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ..errors import RationaleError
from ..evidence import Rhythm
from ..stages import STAGES
from .rules import REASONS, RULES

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GRAMMAR", "SLOTS", "Literal", "Slot", "parse_choices", "segments"]


@dataclass(frozen=True, slots=True)
class Literal:
    """Text that never varies."""

    text: str


@dataclass(frozen=True, slots=True)
class Slot:
    """A place filled by exactly one of `choices`; each carries its own leading space."""

    name: str
    choices: tuple[str, ...]


def _spaced(*words: object) -> tuple[str, ...]:
    return tuple(f" {word}" for word in words)


SPINDLE_WORDS: Final = _spaced(
    "no spindle", "one spindle", "two spindles", "three spindles", "four or more spindles"
)
K_COMPLEX_WORDS: Final = _spaced("no K-complex", "one K-complex", "several K-complexes")
_EXCLUDED: Final = _spaced(*REASONS)

GRAMMAR: Final[tuple[Literal | Slot, ...]] = (
    Literal("Step 1, background:"),
    Slot("rhythm", _spaced(*Rhythm)),
    Literal(" activity, alpha in about"),
    Slot("alpha_pct", _spaced(*range(0, 101, 10))),
    Literal(" % of the epoch.\nStep 2, events:"),
    Slot("spindles", SPINDLE_WORDS),
    Literal(";"),
    Slot("k_complexes", K_COMPLEX_WORDS),
    Literal(".\nStep 3, slow waves: about"),
    Slot("slow_wave_pct", _spaced(*range(0, 101, 5))),
    Literal(" % of the epoch; amplitude about"),
    Slot("amplitude_uv", _spaced(*range(10, 201, 10))),
    Literal(" µV.\nStep 4, rule:"),
    Slot("rule", _spaced(*(rule.text for rule in RULES.values()))),
    Literal(". Excluded:"),
    Slot("excluded_1", _EXCLUDED),
    Literal(";"),
    Slot("excluded_2", _EXCLUDED),
    Literal(".\nStep 5, conclusion: the stage is"),
    Slot("stage", _spaced(*(stage.name for stage in STAGES))),
    Literal("."),
)

SLOTS: Final[Mapping[str, Slot]] = MappingProxyType(
    {part.name: part for part in GRAMMAR if isinstance(part, Slot)}
)


def segments(choices: Mapping[str, str]) -> list[str]:
    """Texts of the grammar's parts in order, slots filled by `choices`; joined they are the rationale.

    Raises:
        RationaleError: a slot without a choice, or a choice that the slot does not have.
    """
    parts = []
    for part in GRAMMAR:
        if isinstance(part, Literal):
            parts.append(part.text)
            continue
        choice = choices.get(part.name)
        if choice not in part.choices:
            raise RationaleError(part.name, choice, f"choose one of {part.choices}")
        parts.append(choice)
    return parts


def parse_choices(text: str) -> dict[str, str]:
    """Choice of every slot of a rationale. Space around the text is ignored; all else must fit.

    Raises:
        RationaleError: the text is no path of the grammar; `position` is where it leaves it.
    """
    position = len(text) - len(text.lstrip())
    end = len(text.rstrip())
    found: dict[str, str] = {}
    for index, part in enumerate(GRAMMAR):
        if isinstance(part, Literal):
            if not text.startswith(part.text, position):
                raise _off_grammar("rationale", text, position, repr(part.text))
            position += len(part.text)
            continue
        after = GRAMMAR[index + 1]
        following = after.text if isinstance(after, Literal) else ""
        choice = next((c for c in part.choices if text.startswith(c + following, position)), None)
        if choice is None:
            raise _off_grammar(
                part.name, text, position, f"one of {part.choices[:4]}... and then {following!r}"
            )
        found[part.name] = choice
        position += len(choice)
    if position != end:
        raise _off_grammar("rationale", text, position, "the end of the text")
    return found


def _off_grammar(field: str, text: str, position: int, expected: str) -> RationaleError:
    shown = text[position : position + 40]
    return RationaleError(field, repr(shown), f"at character {position} the grammar has {expected}", position)
