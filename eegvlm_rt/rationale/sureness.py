"""Which rules and reasons a text can rest on, by the probabilities of its own statements.

A text states a finding as one choice, and its rule as if that were certain. The probabilities of all
choices say how certain it is: a spindle at 95 % and a K-complex at 60 % carry the rule "spindle", but not
"spindle and K-complex". A rule or reason is sure where the check would support it in at least nine of ten
such epochs. What no statement speaks of (muscle activity) is left to the model. Nothing measured takes part.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from .check import TOLERANCES
from .grammar import SLOTS
from .rules import REASONS, RULES
from .values import NONE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .criteria import Condition

__all__ = ["FINDINGS", "SURE", "Grounds", "grounds_of", "support_probability"]

SURE: Final = 0.9
"""Probability of support from which a rule or reason counts as sure."""

FINDINGS: Final = ("rhythm", "alpha", "spindles", "k_complexes", "slow_wave_pct", "amplitude_uv")
"""Slots whose probabilities are needed, in the order of a text."""

_EVENTS: Final = "events"
_SIZES: Final = {slot: len(SLOTS[slot].choices) for slot in FINDINGS}
_EVENT_SHAPE: Final = (_SIZES["spindles"], _SIZES["k_complexes"])
_OFFSETS: Final = dict(zip((*FINDINGS, _EVENTS), np.cumsum([0, *_SIZES.values()]).tolist(), strict=True))
_LENGTH: Final = _OFFSETS[_EVENTS] + _EVENT_SHAPE[0] * _EVENT_SHAPE[1]

_RHYTHM: Final = (
    (1.0, 0.0, 0.0, 0.0, 0.1),
    (0.0, 1.0, 0.0, 0.0, 0.1),
    (0.0, 0.0, 1.0, 0.25, 0.4),
    (0.05, 0.0, 0.1, 1.0, 0.05),
    (0.35, 0.5, 0.2, 0.0, 1.0),
)
_ALPHA: Final = {
    (50.0, False): (0.0, 0.05, 1.0),
    (50.0, True): (1.0, 1.0, 0.4),
    (10.0, False): (0.1, 1.0, 1.0),
    (10.0, True): (1.0, 0.4, 0.0),
}
_NO_EARLY_EVENT: Final = ((1.0, 1.0, 0.4), (1.0, 1.0, 0.4), (0.35, 0.35, 0.15), (0.15, 0.15, 0.15))
"""Share of epochs in which the check supports a word for the rhythm (row) by the measured one (column), and a
condition by the measured class of alpha, or of spindles (row) and K-complexes (column): 2,880 simulated
epochs. A test counts how often what is sure is supported."""


class Grounds(NamedTuple):
    """Rules or reasons as indices of their slot's choices.

    `sure` ones claim what statements and record speak of, and nothing else; `unsure` ones claim what the
    statements hardly carry; `silent` are reasons without a ground. The others claim what only the model can
    know, or override another stage's rule: a text that needs such a reason is not the same without it.
    """

    sure: frozenset[int]
    unsure: frozenset[int]
    silent: frozenset[int]


def grounds_of(slot: str, shares: Mapping[str, NDArray[np.float64]]) -> Grounds | None:
    """The grounds of a slot of rules or reasons; None for another slot.

    `shares` has the probabilities (n,) of the choices at each slot of `FINDINGS`; None where one is missing.
    """
    conditions = _conditions_of(slot)
    if conditions is None or not shares.keys() >= set(FINDINGS):
        return None
    carried = support_probability(conditions.members, shares) >= SURE
    unsure = ~carried & ~conditions.overriding
    return Grounds(*map(_indices, (carried & conditions.spoken_of, unsure, conditions.silent)))


def _indices(chosen: NDArray[np.bool_]) -> frozenset[int]:
    return frozenset(np.flatnonzero(chosen).tolist())


def support_probability(
    members: NDArray[np.float64], shares: Mapping[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    """(n,) probability that the check supports all conditions of each of n rules or reasons.

    `members` (n, c) says how often each of the c conditions is among them. Different conditions count as
    independent of each other.
    """
    events = np.outer(shares["spindles"], shares["k_complexes"]).ravel()
    stated = np.concatenate([*(shares[slot] for slot in FINDINGS), events])
    chances = np.clip(_conditions()[1] @ stated, 1e-9, 1.0)
    return np.asarray(np.exp(members @ np.log(chances)))


@cache
def _conditions() -> tuple[tuple[Condition, ...], NDArray[np.float64]]:
    """All conditions that statements speak of, and (c, `_LENGTH`) how often each is supported where a choice
    of a slot, or a pair of spindles and K-complexes, is the true one."""
    rules = [one.conditions for one in RULES.values()] + [one.conditions for one in REASONS.values()]
    every = dict.fromkeys(condition for conditions in rules for condition in conditions)
    rows = {condition: row for condition in every if (row := _support(condition)) is not None}
    return tuple(rows), np.stack(list(rows.values()))


class _SlotConditions:
    """Conditions of the n choices of a slot: `members` (n, c) of them, and (n,) whether a choice has some and
    all are `spoken_of` by statements or record, whether it overrides another rule, and whether it is a reason
    that has none.
    """

    def __init__(self, choices: Sequence[tuple[tuple[Condition, ...], bool]], *, silent: bool) -> None:
        speakable = _conditions()[0]
        self.members = np.array([[float(one in row) for one in speakable] for row, _ in choices])
        self.spoken_of = np.array([len(row) > 0 and all(map(_spoken_of, row)) for row, _ in choices])
        self.overriding = np.array([overrides for _, overrides in choices])
        self.silent = np.array([silent and not row for row, _ in choices])


@cache
def _conditions_of(slot: str) -> _SlotConditions | None:
    if slot == "rule":
        return _SlotConditions([(one.conditions, False) for one in RULES.values()], silent=False)
    if slot in ("excluded_1", "excluded_2"):
        return _SlotConditions([(one.conditions, one.overrides) for one in REASONS.values()], silent=True)
    return None


def _spoken_of(condition: Condition) -> bool:
    return condition.kind in ("previous", "course") or condition in _conditions()[0]


def _support(condition: Condition) -> NDArray[np.float64] | None:
    """(`_LENGTH`,) the row of `_conditions`; None where no statement speaks of the condition."""
    kind, bound = condition.kind, condition.bound
    row = np.zeros(_LENGTH)
    if kind == "rhythm":
        # A condition on the rhythm is supported where stating one of its words would be.
        named = [i for i, name in enumerate(SLOTS["rhythm"].choices) if name.strip() in condition.among]
        _part(row, "rhythm")[:] = np.array(_RHYTHM)[named].max(axis=0)
    elif kind == "alpha_pct":
        _part(row, "alpha")[:] = _ALPHA[bound, condition.below]
    elif kind in ("clear_spindles", "clear_k_complexes"):
        part = _part(row, kind.removeprefix("clear_"))
        # The looser thresholds may support an event, the stricter ones its absence.
        possible = np.arange(len(part)) > NONE
        part[:] = [1.0, 1.0, *np.zeros(len(part) - 2)] if condition.below else possible
    elif kind == "possible_events":
        pairs = np.ones(_EVENT_SHAPE)
        pairs[NONE, NONE] = 0.0
        _part(row, _EVENTS)[:] = pairs.ravel()
    elif kind == "early_events":
        _part(row, _EVENTS)[:] = np.ravel(_NO_EARLY_EVENT)
    elif kind in ("slow_wave_pct", "amplitude_uv"):
        values = np.array([float(choice) for choice in SLOTS[kind].choices])
        step = values[1] - values[0]
        amplitude = TOLERANCES.bound_amplitude_share * bound
        allowed = TOLERANCES.bound_slow_wave_points if kind == "slow_wave_pct" else amplitude
        # What is measured may lie anywhere within half a step of its choice.
        beyond = values - (bound - allowed)
        within = np.clip(beyond / step + 0.5, 0.0, 1.0)
        if condition.below:
            within = 1.0 - np.clip((values - (bound + allowed)) / step + 0.5, 0.0, 1.0)
        _part(row, kind)[:] = within
    else:
        return None
    return row


def _part(row: NDArray[np.float64], slot: str) -> NDArray[np.float64]:
    """The places of a slot's choices in a row."""
    start = _OFFSETS[slot]
    return row[start : start + _SIZES.get(slot, _LENGTH - start)]
