"""Rationales: a fixed grammar, composed from findings, read back, and checked against the signal."""

from __future__ import annotations

from .check import TOLERANCES, ClaimCheck, Tolerances, Verdict, check
from .compose import choices, choose_reason, choose_rule, compose
from .grammar import GRAMMAR, SLOTS, Literal, Slot, parse_choices, segments
from .parse import Claim, Rationale, parse
from .rules import REASONS, RULES, Condition, Reason, Rule

__all__ = [
    "GRAMMAR",
    "REASONS",
    "RULES",
    "SLOTS",
    "TOLERANCES",
    "Claim",
    "ClaimCheck",
    "Condition",
    "Literal",
    "Rationale",
    "Reason",
    "Rule",
    "Slot",
    "Tolerances",
    "Verdict",
    "check",
    "choices",
    "choose_reason",
    "choose_rule",
    "compose",
    "parse",
    "parse_choices",
    "segments",
]
