"""A rationale's claims held against what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ..evidence import Findings, Rhythm
from .compose import measured_value, quantized
from .grammar import K_COMPLEX_WORDS, SPINDLE_WORDS
from .rules import REASONS, RULES, Condition, Kind

if TYPE_CHECKING:
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
        alpha_points: stated alpha share, percentage points.
        slow_wave_points: stated slow-wave share, percentage points.
        amplitude_uv: stated amplitude, µV, or
        amplitude_share: as a share of the measured amplitude; the larger applies.
        count: stated number of events; "none" must be right, unless an event is near a threshold.
        bound_alpha_points: how far beyond a rule's bound alpha may be for the rule still to be true.
        bound_slow_wave_points: the same for slow waves.
        bound_amplitude_share: the same for amplitude, as a share of the bound.
    """

    alpha_points: float = 15.0
    slow_wave_points: float = 10.0
    amplitude_uv: float = 10.0
    amplitude_share: float = 0.25
    count: int = 1
    bound_alpha_points: float = 10.0
    bound_slow_wave_points: float = 5.0
    bound_amplitude_share: float = 0.1


TOLERANCES: Final = Tolerances()

_KIND_OF: Final[dict[str, Kind]] = {
    "alpha_pct": "alpha_pct",
    "slow_wave_pct": "slow_wave_pct",
    "amplitude_uv": "amplitude_uv",
    "spindles": "spindles",
    "k_complexes": "k_complexes",
}
_MOST: Final = {"spindles": len(SPINDLE_WORDS) - 1, "k_complexes": len(K_COMPLEX_WORDS) - 1}
_EPSILON: Final = 1e-9


@dataclass(frozen=True, slots=True)
class ClaimCheck:
    """One claim beside the measurement.

    `measured` is the same quantity from the signal (for a rule or reason, the quantities it rests on).
    `verdict` allows the tolerances; `strict` asks for the very choice that the measurement gives, or a
    condition met exactly.
    """

    claim: Claim
    measured: str | int | float
    verdict: Verdict
    strict: Verdict


def check(
    rationale: Rationale, findings: Findings, tolerances: Tolerances = TOLERANCES
) -> tuple[ClaimCheck, ...]:
    """Check every claim that can be measured; a rule or reason that states nothing measurable is left out."""
    return tuple(
        found for claim in rationale.claims if (found := _check(claim, findings, tolerances)) is not None
    )


def _check(claim: Claim, findings: Findings, tolerances: Tolerances) -> ClaimCheck | None:
    if claim.kind == "rhythm":
        exact = claim.value == findings.rhythm
        near = exact or claim.value in findings.rhythm_alternatives
        return ClaimCheck(claim, str(findings.rhythm), _verdict(near), _verdict(exact))
    if claim.kind in _KIND_OF:
        kind, stated = _KIND_OF[claim.kind], int(claim.value)
        exact = stated == quantized(kind, findings)
        near = exact or _within(kind, stated, findings, tolerances)
        return ClaimCheck(claim, round(measured_value(kind, findings), 1), _verdict(near), _verdict(exact))
    name = str(claim.value)
    conditions = RULES[name].conditions if claim.kind == "rule" else REASONS[name].conditions
    if not conditions:
        return None
    return ClaimCheck(
        claim,
        ", ".join(_shown(condition.kind, findings) for condition in conditions),
        _verdict(all(_may_hold(condition, findings, tolerances) for condition in conditions)),
        _verdict(all(_holds(condition, findings) for condition in conditions)),
    )


def _within(kind: Kind, stated: int, findings: Findings, tolerances: Tolerances) -> bool:
    value = measured_value(kind, findings)
    if kind in _MOST:
        count = min(int(value), _MOST[kind])
        low, high = _count_range(kind, findings)
        same_side = (stated > 0) == (count > 0)
        return abs(stated - count) <= tolerances.count and (same_side or low <= stated <= high)
    if kind == "amplitude_uv":
        allowed = max(tolerances.amplitude_uv, tolerances.amplitude_share * value)
        return abs(stated - min(value, 200.0)) <= allowed + _EPSILON
    allowed = tolerances.alpha_points if kind == "alpha_pct" else tolerances.slow_wave_points
    return abs(stated - value) <= allowed + _EPSILON


def _holds(condition: Condition, findings: Findings) -> bool:
    if condition.kind == "rhythm":
        return findings.rhythm in condition.rhythms
    return condition.holds(measured_value(condition.kind, findings))


def _may_hold(condition: Condition, findings: Findings, tolerances: Tolerances) -> bool:
    kind = condition.kind
    if kind == "rhythm":
        return any(name in condition.rhythms for name in (findings.rhythm, *findings.rhythm_alternatives))
    if kind in _MOST:
        return any(condition.holds(count) for count in _count_range(kind, findings))
    value = measured_value(kind, findings)
    margin = {
        "alpha_pct": tolerances.bound_alpha_points,
        "slow_wave_pct": tolerances.bound_slow_wave_points,
        "amplitude_uv": tolerances.bound_amplitude_share * condition.bound,
    }[kind]
    return condition.holds(value - margin if condition.below else value + margin)


def _count_range(kind: Kind, findings: Findings) -> tuple[int, int]:
    count = int(measured_value(kind, findings))
    around = findings.spindle_range if kind == "spindles" else findings.k_complex_range
    return (min(count, *around), max(count, *around)) if around else (count, count)


def _shown(kind: Kind, findings: Findings) -> str:
    match kind:
        case "rhythm":
            return f"{Rhythm(findings.rhythm)} activity"
        case "alpha_pct":
            return f"alpha in {measured_value(kind, findings):.0f} %"
        case "slow_wave_pct":
            return f"slow waves in {measured_value(kind, findings):.0f} %"
        case "amplitude_uv":
            return f"amplitude {findings.amplitude_uv:.0f} µV"
        case "spindles":
            return f"spindles: {findings.spindles}"
        case _:
            return f"K-complexes: {findings.k_complexes}"


def _verdict(true: bool) -> Verdict:
    return Verdict.SUPPORTED if true else Verdict.CONTRADICTED
