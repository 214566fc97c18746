"""From the text of a rationale to its typed claims."""

from __future__ import annotations

from dataclasses import dataclass

from ..stages import Stage
from .grammar import K_COMPLEX_WORDS, SPINDLE_WORDS, parse_choices
from .rules import REASONS, RULES, Reason, Rule

__all__ = ["Claim", "Rationale", "parse"]


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement of a rationale.

    `kind` is rhythm, alpha_pct, spindles, k_complexes, slow_wave_pct, amplitude_uv, rule or excluded. `value`
    is the rhythm's name, the number (counts: the highest means "or more"), the rule's id or the reason's
    text.
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
    """Read a rationale. Time is linear in the length of the text.

    Raises:
        RationaleError: the text is no path of the grammar; `position` is where it leaves it.
    """
    found = parse_choices(text)
    rule = RULES[found["rule"][1:].partition(":")[0]]
    excluded = (REASONS[found["excluded_1"][1:]], REASONS[found["excluded_2"][1:]])
    claims = (
        Claim("rhythm", found["rhythm"][1:]),
        Claim("alpha_pct", int(found["alpha_pct"])),
        Claim("spindles", SPINDLE_WORDS.index(found["spindles"])),
        Claim("k_complexes", K_COMPLEX_WORDS.index(found["k_complexes"])),
        Claim("slow_wave_pct", int(found["slow_wave_pct"])),
        Claim("amplitude_uv", int(found["amplitude_uv"])),
        Claim("rule", rule.id),
        *(Claim("excluded", reason.text) for reason in excluded),
    )
    return Rationale(text.strip(), claims, rule, excluded, Stage[found["stage"][1:]])
