"""The fixed shape of a rationale: literals and slots. Every rationale is one path through it.

The shape has versions, because a model can only write the one it was trained on. A bundle names its version
in its prompt (`PromptSpec.grammar`); `GRAMMARS` has them all. Version 2 has a step of context, which a text
about an epoch alone lacks.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ..errors import InputError, RationaleError
from ..findings.model import Rhythm
from ..stages import STAGES
from .criteria import Course, Reason, Rule
from .first_version import FIRST_PARTS, FIRST_REASONS, FIRST_RULES
from .parts import Literal, Slot, spaced
from .rules import REASONS, RULES

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ALPHA_WORDS",
    "GRAMMAR",
    "GRAMMARS",
    "GRAMMAR_VERSION",
    "K_COMPLEX_WORDS",
    "NIGHT_GRAMMAR",
    "SLOTS",
    "SPINDLE_WORDS",
    "Grammar",
    "Literal",
    "Parts",
    "Slot",
    "grammar_of",
    "parse_choices",
    "read_choices",
    "segments",
]

Parts = tuple[Literal | Slot, ...]

GRAMMAR_VERSION: Final = "2"
NO_STAGE: Final = "no stage"

ALPHA_WORDS: Final = ("less than 10 %", "10 to 50 %", "50 % or more")
SPINDLE_WORDS: Final = ("no spindle", "a doubtful spindle", "one or two spindles", "three or more spindles")
K_COMPLEX_WORDS: Final = ("no K-complex", "a doubtful K-complex", "one or more K-complexes")
_EXCLUDED: Final = spaced(*REASONS)

_FINDINGS: Final[Parts] = (
    Literal("Background:"),
    Slot("rhythm", spaced(*Rhythm)),
    Literal(" activity, alpha in"),
    Slot("alpha", spaced(*ALPHA_WORDS)),
    Literal(".\nEvents:"),
    Slot("spindles", spaced(*SPINDLE_WORDS)),
    Literal(";"),
    Slot("k_complexes", spaced(*K_COMPLEX_WORDS)),
    Literal(".\nSlow waves: about"),
    Slot("slow_wave_pct", spaced(*range(0, 101, 5))),
    Literal(" %; amplitude about"),
    Slot("amplitude_uv", spaced(*range(10, 201, 10))),
)
_CONTEXT: Final[Parts] = (
    Literal(" µV.\nContext: after"),
    Slot("previous", spaced(*(stage.name for stage in STAGES), NO_STAGE)),
    Literal(";"),
    Slot("course", spaced(*Course)),
    Literal(".\nRule:"),
)
_CONCLUSION: Final[Parts] = (
    Slot("rule", spaced(*(rule.text for rule in RULES.values()))),
    Literal(". Excluded:"),
    Slot("excluded_1", _EXCLUDED),
    Literal(";"),
    Slot("excluded_2", _EXCLUDED),
    Literal(".\nStage:"),
    Slot("stage", spaced(*(stage.name for stage in STAGES))),
    Literal("."),
)

GRAMMAR: Final[Parts] = (*_FINDINGS, Literal(" µV.\nRule:"), *_CONCLUSION)
"""Parts of a text about an epoch alone."""

NIGHT_GRAMMAR: Final[Parts] = (*_FINDINGS, *_CONTEXT, *_CONCLUSION)
"""Parts of a text about an epoch of a night, with its step of context."""

SLOTS: Final[Mapping[str, Slot]] = MappingProxyType(
    {part.name: part for part in NIGHT_GRAMMAR if isinstance(part, Slot)}
)


@dataclass(frozen=True, slots=True)
class Grammar:
    """One version: parts of a text about an epoch alone, parts of one with context (None: it has no such
    step), its rules by id and its reasons by text.
    """

    version: str
    parts: Parts
    night_parts: Parts | None
    rules: Mapping[str, Rule]
    reasons: Mapping[str, Reason]


GRAMMARS: Final[Mapping[str, Grammar]] = MappingProxyType(
    {
        "1": Grammar("1", FIRST_PARTS, None, FIRST_RULES, FIRST_REASONS),
        GRAMMAR_VERSION: Grammar(GRAMMAR_VERSION, GRAMMAR, NIGHT_GRAMMAR, RULES, REASONS),
    }
)


def grammar_of(version: str) -> Grammar:
    """Grammar of a version; raises InputError for one that this runtime does not know."""
    if version not in GRAMMARS:
        raise InputError(
            "prompt.grammar", version, f"this runtime knows {sorted(GRAMMARS)}; use a newer runtime or bundle"
        )
    return GRAMMARS[version]


def segments(choices: Mapping[str, str]) -> list[str]:
    """Texts of the grammar's parts in order, slots filled by `choices`; joined they are the rationale.

    The text has a step of context where `choices` fills its slots, and the first version's shape where they
    are that version's.

    Raises:
        RationaleError: a slot without a choice, or a choice that the slot does not have.
    """
    texts = []
    parts = FIRST_PARTS if "alpha_pct" in choices else NIGHT_GRAMMAR if "previous" in choices else GRAMMAR
    for part in parts:
        if isinstance(part, Literal):
            texts.append(part.text)
            continue
        choice = choices.get(part.name)
        if choice not in part.choices:
            raise RationaleError(part.name, choice, f"choose one of {part.choices}")
        texts.append(choice)
    return texts


def parse_choices(text: str) -> dict[str, str]:
    """Choice of every slot of a rationale. Space around the text is ignored; all else must fit.

    Raises:
        RationaleError: the text is no path of the grammar; `position` is where it leaves it.
    """
    return read_choices(text)[1]


def read_choices(text: str) -> tuple[Grammar, dict[str, str]]:
    """The version of the grammar that a text follows, and the choice of every slot; raises as
    `parse_choices` does. The error of a text that follows none is that of the version it follows furthest.
    """
    furthest: RationaleError | None = None
    for grammar in reversed(tuple(GRAMMARS.values())):
        for parts in (grammar.parts, grammar.night_parts):
            if parts is None:
                continue
            try:
                return grammar, _choices_of(text, parts)
            except RationaleError as error:
                # Without its traceback, which would keep this frame, and the callers' caches, until a garbage
                # collection.
                if furthest is None or error.position > furthest.position:
                    furthest = error.with_traceback(None)
    assert furthest is not None
    raise furthest


def _choices_of(text: str, parts: Parts) -> dict[str, str]:
    position = len(text) - len(text.lstrip())
    end = len(text.rstrip())
    choices: dict[str, str] = {}
    for index, part in enumerate(parts):
        if isinstance(part, Literal):
            if not text.startswith(part.text, position):
                raise _off_grammar("rationale", text, position, repr(part.text))
            position += len(part.text)
            continue
        after = parts[index + 1]
        following = after.text if isinstance(after, Literal) else ""
        choice = next((c for c in part.choices if text.startswith(c + following, position)), None)
        if choice is None:
            raise _off_grammar(
                part.name, text, position, f"one of {part.choices[:4]}... and then {following!r}"
            )
        choices[part.name] = choice
        position += len(choice)
    if position != end:
        raise _off_grammar("rationale", text, position, "the end of the text")
    return choices


def _off_grammar(field: str, text: str, position: int, expected: str) -> RationaleError:
    shown = text[position : position + 40]
    return RationaleError(field, repr(shown), f"at character {position} the grammar has {expected}", position)
