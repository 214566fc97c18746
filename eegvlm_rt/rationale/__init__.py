"""Rationales: a fixed grammar, composed from findings, read back, and checked against the signal."""

from __future__ import annotations

from .argument import argued_stages, unanswered_stages
from .check import TOLERANCES, ClaimCheck, Tolerances, Verdict, check
from .compose import choices, choose_reason, choose_rule, compose, context_choices
from .context import NightContext
from .criteria import Condition, Course, Reason, Rule
from .grammar import (
    GRAMMAR,
    GRAMMAR_VERSION,
    GRAMMARS,
    NIGHT_GRAMMAR,
    SLOTS,
    Grammar,
    grammar_of,
    parse_choices,
    read_choices,
    segments,
)
from .parse import Claim, Rationale, parse
from .parts import Literal, Slot
from .rules import REASONS, RULES

__all__ = [
    "GRAMMAR",
    "GRAMMARS",
    "GRAMMAR_VERSION",
    "NIGHT_GRAMMAR",
    "REASONS",
    "RULES",
    "SLOTS",
    "TOLERANCES",
    "Claim",
    "ClaimCheck",
    "Condition",
    "Course",
    "Grammar",
    "Literal",
    "NightContext",
    "Rationale",
    "Reason",
    "Rule",
    "Slot",
    "Tolerances",
    "Verdict",
    "argued_stages",
    "check",
    "choices",
    "choose_reason",
    "choose_rule",
    "compose",
    "context_choices",
    "grammar_of",
    "parse",
    "parse_choices",
    "read_choices",
    "segments",
    "unanswered_stages",
]
