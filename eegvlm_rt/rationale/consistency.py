"""Which choices of a slot do not contradict what the text says already.

A language model that has written "no spindle" may still prefer the rule "spindle". Constrained decoding
offers it only what its own words leave open: a rule whose conditions the text does not deny, then reasons
against other stages, first against one that the text's numbers argue for. What the text does not speak of
(muscle activity, the half of the epoch) stays open. Nothing measured takes part: whether the words are true
is checked afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..stages import STAGES
from .argument import argued_stages
from .grammar import ALPHA_WORDS, K_COMPLEX_WORDS, SPINDLE_WORDS
from .rules import REASONS, RULES
from .values import CLEAR, NONE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..stages import Stage
    from .criteria import Condition, Reason

__all__ = ["consistent_choices"]

_RULES: Final = tuple(RULES.values())
_REASONS: Final = tuple(REASONS.values())
_STAGES: Final = tuple(stage.name for stage in STAGES)

_ALPHA_PCT: Final = (0.0, 10.0, 50.0)
"""Alpha that stands for each of its words, % of the epoch: rules have no bound within a class."""


def consistent_choices(slot: str, choices: Mapping[str, str], stage: Stage) -> frozenset[int] | None:
    """Indices of the choices of `slot` that agree with the text so far; None for a slot of a finding.

    `choices` has the text's choice of every slot before, `stage` is what its rule concludes.
    """
    if slot == "stage":
        return frozenset((_STAGES.index(stage.name),))
    if slot == "rule":
        statements = _Statements(choices)
        rules = enumerate(_RULES)
        return frozenset(
            i for i, rule in rules if rule.stage is stage and not _denied(statements, rule.conditions)
        )
    if slot in ("excluded_1", "excluded_2"):
        stages = {stage}
        if slot == "excluded_2":
            stages.add(REASONS[choices["excluded_1"].strip()].stage)
        return _reasons_left(_Statements(choices), stages)
    return None


def _reasons_left(statements: _Statements, stages: set[Stage]) -> frozenset[int]:
    """Reasons that the text leaves open, of none of `stages`: what it concludes and has excluded."""
    reasons = enumerate(_REASONS)
    left = {i for i, one in reasons if one.stage not in stages and not _denied(statements, one.conditions)}
    # A stage that the numbers argue for is excluded first, with a ground that overrides its rule where the
    # text states one.
    argued = argued_stages(
        statements.spindles, statements.k_complexes, statements.alpha, statements.slow_wave_pct
    )
    answers: set[int] = set()
    for stage in argued - stages:
        own = {i for i in left if _REASONS[i].stage is stage}
        answers |= {i for i in own if _is_stated_ground(_REASONS[i])} or own
    return frozenset(answers or left)


def _is_stated_ground(reason: Reason) -> bool:
    return reason.overrides and all(one.kind in _NUMBER for one in reason.conditions)


class _Statements:
    """What a text has stated: classes of events and alpha as indices of their words, and numbers."""

    def __init__(self, choices: Mapping[str, str]) -> None:
        self.rhythm = choices["rhythm"].strip()
        self.alpha = ALPHA_WORDS.index(choices["alpha"].strip())
        self.spindles = SPINDLE_WORDS.index(choices["spindles"].strip())
        self.k_complexes = K_COMPLEX_WORDS.index(choices["k_complexes"].strip())
        self.slow_wave_pct = float(choices["slow_wave_pct"])
        self.amplitude_uv = float(choices["amplitude_uv"])
        # A text about an epoch alone knows no epoch before.
        self.previous = choices.get("previous", "").strip()
        self.course = choices.get("course", "").strip()

    @property
    def clear_events(self) -> int:
        return (self.spindles >= CLEAR) + (self.k_complexes >= CLEAR)


_WORD: Final[Mapping[str, Callable[[_Statements], str]]] = {
    "rhythm": lambda statements: statements.rhythm,
    "previous": lambda statements: statements.previous,
    "course": lambda statements: statements.course,
}
_NUMBER: Final[Mapping[str, Callable[[_Statements], float]]] = {
    "alpha_pct": lambda statements: _ALPHA_PCT[statements.alpha],
    "slow_wave_pct": lambda statements: statements.slow_wave_pct,
    "amplitude_uv": lambda statements: statements.amplitude_uv,
    "clear_spindles": lambda statements: statements.spindles >= CLEAR,
    "clear_k_complexes": lambda statements: statements.k_complexes >= CLEAR,
    "possible_events": lambda statements: (statements.spindles > NONE) + (statements.k_complexes > NONE),
}


def _denied(statements: _Statements, conditions: Iterable[Condition]) -> bool:
    """Whether the text denies one of the conditions."""
    return any(_denies(statements, condition) for condition in conditions)


def _denies(statements: _Statements, condition: Condition) -> bool:
    kind = condition.kind
    if kind in _WORD:
        return _WORD[kind](statements) not in condition.among
    if kind in _NUMBER:
        return not condition.holds(_NUMBER[kind](statements))
    # Without a clear event there is none in the first half; alpha is one of the signs of wakefulness.
    if kind == "early_events" and not statements.clear_events:
        return not condition.holds(0)
    if kind == "waking_pct" and condition.below:
        return not condition.holds(_ALPHA_PCT[statements.alpha])
    return False
