"""From the text of a rationale to its typed claims."""

from __future__ import annotations

from dataclasses import dataclass

from ..stages import Stage
from .criteria import Reason, Rule
from .first_version import K_COMPLEX_WORDS, SPINDLE_WORDS
from .grammar import read_choices

__all__ = ["Claim", "Rationale", "parse"]

_COUNTS = {"spindles": SPINDLE_WORDS, "k_complexes": K_COMPLEX_WORDS}
_WORDS = ("rhythm", "alpha", "spindles", "k_complexes", "previous", "course")
_NOT_CLAIMS = ("rule", "excluded_1", "excluded_2", "stage")


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement of a rationale.

    `kind` is rhythm, alpha, spindles, k_complexes, slow_wave_pct, amplitude_uv, previous, course, rule,
    excluded or argument (that no number of the text argues for another stage, which the text does not
    exclude). `value` is the words or the number as stated, the rule's id, the reason's text, or the stage.
    Texts of the first version state alpha_pct, and the counts of spindles and k_complexes as numbers (the
    highest means "or more").
    """

    kind: str
    value: str | int


@dataclass(frozen=True, slots=True)
class Rationale:
    """A parsed rationale. `consistent`: the rule is of the stated stage, which is not excluded."""

    text: str
    claims: tuple[Claim, ...]
    rule: Rule
    excluded: tuple[Reason, ...]
    stage: Stage

    @property
    def excluded_stages(self) -> tuple[Stage, ...]:
        """Stages that the text excludes."""
        return tuple(reason.stage for reason in self.excluded)

    @property
    def consistent(self) -> bool:
        """Whether rule, exclusions and conclusion agree with each other."""
        return self.rule.stage is self.stage and self.stage not in self.excluded_stages


def parse(text: str) -> Rationale:
    """Read a rationale of any version. Time is linear in the length of the text.

    Raises:
        RationaleError: the text is no path of the grammar; `position` is where it leaves it.
    """
    grammar, choices = read_choices(text)
    first = grammar.version == "1"
    rule = grammar.rules[choices["rule"][1:].partition(":")[0]]
    excluded = (grammar.reasons[choices["excluded_1"][1:]], grammar.reasons[choices["excluded_2"][1:]])
    stage = Stage[choices["stage"][1:]]
    claims = [
        Claim(slot, _value(slot, choice, first))
        for slot, choice in choices.items()
        if slot not in _NOT_CLAIMS
    ]
    claims.append(Claim("rule", rule.id))
    claims += [Claim("excluded", reason.text) for reason in excluded]
    if not first:
        claims.append(Claim("argument", stage.name))
    return Rationale(text.strip(), tuple(claims), rule, excluded, stage)


def _value(slot: str, choice: str, first: bool) -> str | int:
    if first and slot in _COUNTS:
        return _COUNTS[slot].index(choice)
    return choice[1:] if slot in _WORDS else int(choice)
