"""A rationale's claims held against what was measured, and against the night's record."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ..findings.model import Findings
from .argument import unanswered_stages
from .criteria import ALPHA_PCT, NO_ALPHA_PCT, Condition, Kind
from .grammar import ALPHA_WORDS, K_COMPLEX_WORDS, SPINDLE_WORDS
from .values import (
    CLEAR,
    DOUBTFUL,
    MANY,
    MANY_SPINDLES,
    NONE,
    alpha_class,
    holds,
    k_complex_class,
    measured_value,
    quantized,
    spindle_class,
    stage_word,
)

if TYPE_CHECKING:
    from .context import NightContext
    from .parse import Claim, Rationale

__all__ = ["TOLERANCES", "ClaimCheck", "Tolerances", "Verdict", "check"]


class Verdict(StrEnum):
    """Outcome of one check."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"


@dataclass(frozen=True, slots=True)
class Tolerances:
    """How far a claim may lie from the measurement: half a slot's step plus the spread of measurement itself.

    Attributes:
        alpha_points: percentage points by which the measured alpha may lie beyond the stated class; a stated
            percentage (first version) may be wrong by this and half its step.
        slow_wave_points: stated slow-wave share, percentage points.
        amplitude_uv: stated amplitude, µV, or
        amplitude_share: as a share of the measured amplitude; the larger applies.
        count: stated number of events (first version), or of spindles beyond the stated class.
        bound_points: how far beyond a rule's bound a share of the epoch may be for the rule still to be true.
        bound_slow_wave_points: the same for slow waves.
        bound_amplitude_share: the same for amplitude, as a share of the bound.
    """

    alpha_points: float = 10.0
    slow_wave_points: float = 10.0
    amplitude_uv: float = 10.0
    amplitude_share: float = 0.25
    count: int = 1
    bound_points: float = 10.0
    bound_slow_wave_points: float = 5.0
    bound_amplitude_share: float = 0.1


TOLERANCES: Final = Tolerances()

_HALF_ALPHA_STEP: Final = 5.0
_ALPHA_BOUNDS: Final = ((0.0, NO_ALPHA_PCT), (NO_ALPHA_PCT, ALPHA_PCT), (ALPHA_PCT, 100.0))
_WORDS: Final = {"alpha": ALPHA_WORDS, "spindles": SPINDLE_WORDS, "k_complexes": K_COMPLEX_WORDS}
_HIGHEST: Final = {"spindles": 4, "k_complexes": 2}
_EPSILON: Final = 1e-9


@dataclass(frozen=True, slots=True)
class ClaimCheck:
    """One claim beside the measurement.

    `measured` is the same quantity from the signal or the night's record (for a rule or reason, the
    quantities it rests on; for the argument, the stages that the text does not answer). `verdict` allows the
    tolerances; `strict` asks for the very choice that the measurement gives, or a condition met exactly.
    """

    claim: Claim
    measured: str | int | float
    verdict: Verdict
    strict: Verdict


def check(
    rationale: Rationale,
    findings: Findings,
    context: NightContext | None = None,
    tolerances: Tolerances = TOLERANCES,
) -> tuple[ClaimCheck, ...]:
    """Check every claim that can be measured.

    Left out: a rule or reason that states nothing measurable, and, where the night's record (`context`) is
    not given, what is claimed of the night.
    """
    checks: list[ClaimCheck] = []
    reasons = iter(rationale.excluded)
    for claim in rationale.claims:
        match claim.kind:
            case "rule":
                checks += _conditions(claim, rationale.rule.conditions, findings, context, tolerances)
            case "excluded":
                checks += _conditions(claim, next(reasons).conditions, findings, context, tolerances)
            case "argument":
                checks.append(_argument(claim, rationale, tolerances))
            case "previous" | "course":
                if context is not None:
                    word = stage_word(context) if claim.kind == "previous" else str(context.course)
                    true = _verdict(claim.value == word)
                    checks.append(ClaimCheck(claim, word, true, true))
            case _:
                checks.append(_finding(claim, findings, tolerances))
    return tuple(checks)


def _finding(claim: Claim, findings: Findings, tolerances: Tolerances) -> ClaimCheck:
    if claim.kind == "rhythm":
        exact = claim.value == findings.rhythm
        near = exact or claim.value in findings.rhythm_alternatives
        return ClaimCheck(claim, str(findings.rhythm), _verdict(near), _verdict(exact))
    if isinstance(claim.value, str):
        stated = _WORDS[claim.kind].index(claim.value)
        measured, near = _class(claim.kind, stated, findings, tolerances)
        exact = stated == measured
        return ClaimCheck(claim, _WORDS[claim.kind][measured], _verdict(exact or near), _verdict(exact))
    kind: Kind = claim.kind  # type: ignore[assignment]
    exact = claim.value == quantized(kind, findings)
    near = exact or _number_within(kind, claim.value, findings, tolerances)
    return ClaimCheck(claim, round(measured_value(kind, findings), 1), _verdict(near), _verdict(exact))


def _class(kind: str, stated: int, findings: Findings, tolerances: Tolerances) -> tuple[int, bool]:
    """The measured class of a claim in words, and whether the stated one is within tolerance."""
    if kind == "alpha":
        share = 100.0 * findings.alpha_share
        low, high = _ALPHA_BOUNDS[stated]
        # Alpha of nearly nothing is never "some": the margin at 10 % is half the step there.
        below = min(tolerances.alpha_points, 0.5 * low)
        return alpha_class(findings), low - below - _EPSILON <= share <= high + tolerances.alpha_points
    if kind == "k_complexes":
        clear, usual, possible = (
            findings.clear_k_complexes,
            findings.k_complexes,
            findings.possible_k_complexes,
        )
        return k_complex_class(findings), _event_within(stated, clear, usual, possible, tolerances)
    clear, usual, possible = findings.clear_spindles, findings.spindles, findings.possible_spindles
    return spindle_class(findings), _event_within(stated, clear, usual, possible, tolerances)


def _event_within(stated: int, clear: int, usual: int, possible: int, tolerances: Tolerances) -> bool:
    # None: nothing clear is there. Doubtful: something is, and at most one of it is clear.
    if stated == NONE:
        return clear == 0
    if stated == DOUBTFUL:
        return possible > 0 and clear <= tolerances.count
    # Some: one event may be anywhere between the looser and the stricter thresholds.
    if stated == CLEAR:
        return possible > 0
    assert stated == MANY
    return possible > 0 and max(usual + tolerances.count, possible) >= MANY_SPINDLES


def _number_within(kind: Kind, stated: int, findings: Findings, tolerances: Tolerances) -> bool:
    value = measured_value(kind, findings)
    if kind in _HIGHEST:
        count = min(int(value), _HIGHEST[kind])
        low, high = _count_range(kind, findings)
        same_side = (stated > 0) == (count > 0)
        return abs(stated - count) <= tolerances.count and (same_side or low <= stated <= high)
    if kind == "amplitude_uv":
        allowed = max(tolerances.amplitude_uv, tolerances.amplitude_share * value)
        return abs(stated - min(value, 200.0)) <= allowed + _EPSILON
    alpha = tolerances.alpha_points + _HALF_ALPHA_STEP
    allowed = alpha if kind == "alpha_pct" else tolerances.slow_wave_points
    return abs(stated - value) <= allowed + _EPSILON


def _argument(claim: Claim, rationale: Rationale, tolerances: Tolerances) -> ClaimCheck:
    exact = unanswered_stages(rationale)
    near = unanswered_stages(rationale, tolerances.bound_slow_wave_points)
    shown = " and ".join(stage.name for stage in exact)
    text = f"the numbers argue for {shown}" if exact else "no other stage is argued for"
    return ClaimCheck(claim, text, _verdict(not near), _verdict(not exact))


def _conditions(
    claim: Claim,
    conditions: tuple[Condition, ...],
    findings: Findings,
    context: NightContext | None,
    tolerances: Tolerances,
) -> list[ClaimCheck]:
    testable = [one for one in conditions if context is not None or one.kind not in ("previous", "course")]
    if not testable:
        return []
    return [
        ClaimCheck(
            claim,
            ", ".join(_shown(one.kind, findings, context) for one in testable),
            _verdict(all(_may_hold(one, findings, context, tolerances) for one in testable)),
            _verdict(all(holds(one, findings, context) for one in testable)),
        )
    ]


def _may_hold(
    condition: Condition, findings: Findings, context: NightContext | None, tolerances: Tolerances
) -> bool:
    kind = condition.kind
    if kind == "rhythm":
        return any(str(name) in condition.among for name in (findings.rhythm, *findings.rhythm_alternatives))
    if kind in ("previous", "course"):
        return holds(condition, findings, context)
    if kind in ("spindles", "k_complexes", "clear_spindles", "clear_k_complexes"):
        return any(condition.holds(count) for count in _count_range(kind, findings))
    value = measured_value(kind, findings)
    if kind in ("early_events", "possible_events"):
        return condition.holds(value)
    margin = {
        "slow_wave_pct": tolerances.bound_slow_wave_points,
        "amplitude_uv": tolerances.bound_amplitude_share * condition.bound,
    }.get(kind, min(tolerances.bound_points, max(0.5 * condition.bound, tolerances.bound_slow_wave_points)))
    return condition.holds(value - margin if condition.below else value + margin)


def _count_range(kind: Kind, findings: Findings) -> tuple[int, int]:
    if kind in ("spindles", "clear_spindles"):
        counts = (findings.clear_spindles, findings.spindles, findings.possible_spindles)
    else:
        counts = (findings.clear_k_complexes, findings.k_complexes, findings.possible_k_complexes)
    return min(counts), max(counts)


def _shown(kind: Kind, findings: Findings, context: NightContext | None) -> str:
    match kind:
        case "rhythm":
            return f"{findings.rhythm} activity"
        case "previous":
            return "after " + ("unknown" if context is None else stage_word(context))
        case "course":
            return "unknown" if context is None else str(context.course)
        case "amplitude_uv":
            return f"amplitude {findings.amplitude_uv:.0f} µV"
    value = measured_value(kind, findings)
    if kind.endswith("_pct"):
        return f"{_NAMES[kind]} in {value:.0f} %"
    return f"{_NAMES[kind]}: {value:.0f}"


_NAMES: Final[dict[str, str]] = {
    "alpha_pct": "alpha",
    "slow_wave_pct": "slow waves",
    "muscle_pct": "muscle activity",
    "deflection_pct": "eye movements or movement",
    "waking_pct": "signs of wakefulness",
    "spindles": "spindles",
    "k_complexes": "K-complexes",
    "clear_spindles": "clear spindles",
    "clear_k_complexes": "clear K-complexes",
    "early_events": "clear events in the first half",
    "possible_events": "possible events",
}


def _verdict(true: bool) -> Verdict:
    return Verdict.SUPPORTED if true else Verdict.CONTRADICTED
