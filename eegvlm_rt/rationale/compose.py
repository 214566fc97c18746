"""From findings and a stage to the text of a rationale. Deterministic; used to make training texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..stages import STAGES, Stage
from .grammar import K_COMPLEX_WORDS, SPINDLE_WORDS, segments
from .rules import (
    ALPHA_PCT,
    AMPLITUDE_UV,
    NO_ALPHA_PCT,
    REASONS,
    RULES,
    SLOW_WAVE_PCT,
    Condition,
    Kind,
    Reason,
    Rule,
)

if TYPE_CHECKING:
    from ..evidence import Findings

__all__ = ["choices", "choose_reason", "choose_rule", "compose", "measured_value", "quantized"]

_NEIGHBORS: Final = {
    Stage.W: (Stage.N1, Stage.R, Stage.N2, Stage.N3),
    Stage.N1: (Stage.W, Stage.N2, Stage.R, Stage.N3),
    Stage.N2: (Stage.N1, Stage.N3, Stage.R, Stage.W),
    Stage.N3: (Stage.N2, Stage.W, Stage.N1, Stage.R),
    Stage.R: (Stage.N1, Stage.W, Stage.N2, Stage.N3),
}
_RULES_OF: Final = {stage: tuple(r for r in RULES.values() if r.stage is stage) for stage in STAGES}
_REASONS_OF: Final = {stage: tuple(r for r in REASONS.values() if r.stage is stage) for stage in STAGES}


def compose(findings: Findings, stage: Stage, runner_up: Stage | None = None) -> str:
    """Rationale that states `findings` and concludes `stage`; `runner_up` is the first stage it excludes."""
    return "".join(segments(choices(findings, stage, runner_up)))


def choices(findings: Findings, stage: Stage, runner_up: Stage | None = None) -> dict[str, str]:
    """Choice of every slot of `compose`'s text. A runner-up equal to the stage counts as none."""
    first, second = _excluded(stage, runner_up)
    return {
        "rhythm": f" {findings.rhythm}",
        "alpha_pct": f" {quantized('alpha_pct', findings)}",
        "spindles": SPINDLE_WORDS[quantized("spindles", findings)],
        "k_complexes": K_COMPLEX_WORDS[quantized("k_complexes", findings)],
        "slow_wave_pct": f" {quantized('slow_wave_pct', findings)}",
        "amplitude_uv": f" {quantized('amplitude_uv', findings)}",
        "rule": f" {choose_rule(findings, stage).text}",
        "excluded_1": f" {choose_reason(findings, first).text}",
        "excluded_2": f" {choose_reason(findings, second).text}",
        "stage": f" {stage.name}",
    }


def choose_rule(findings: Findings, stage: Stage) -> Rule:
    """First rule of `stage` that is true of `findings`."""
    return next(rule for rule in _RULES_OF[stage] if _all_hold(rule.conditions, findings))


def choose_reason(findings: Findings, stage: Stage) -> Reason:
    """First reason for excluding `stage` that is true of `findings`."""
    return next(reason for reason in _REASONS_OF[stage] if _all_hold(reason.conditions, findings))


def measured_value(kind: Kind, findings: Findings) -> float:
    """Measured number of a kind other than rhythm, in the unit its name ends with."""
    match kind:
        case "alpha_pct":
            return 100.0 * findings.alpha_share
        case "slow_wave_pct":
            return 100.0 * findings.slow_wave_share
        case "amplitude_uv":
            return findings.amplitude_uv
        case "spindles":
            return findings.spindles
        case "k_complexes":
            return findings.k_complexes
        case _:
            raise ValueError(f"{kind} is not a number")


def quantized(kind: Kind, findings: Findings) -> int:
    """The number a rationale states: rounded to its slot's step, never across a rule's bound.

    Counts stop at four spindles and two K-complexes, amplitude at 200 µV: the highest choice means "or more".
    """
    value = measured_value(kind, findings)
    match kind:
        case "alpha_pct":
            return _rounded(value, 10, 0, 100, (NO_ALPHA_PCT, ALPHA_PCT))
        case "slow_wave_pct":
            return _rounded(value, 5, 0, 100, (SLOW_WAVE_PCT,))
        case "amplitude_uv":
            return _rounded(value, 10, 10, 200, (AMPLITUDE_UV,))
        case "spindles":
            return min(int(value), len(SPINDLE_WORDS) - 1)
        case _:
            return min(int(value), len(K_COMPLEX_WORDS) - 1)


def _rounded(value: float, step: int, low: int, high: int, bounds: tuple[float, ...]) -> int:
    nearest = min(max(step * int(value / step + 0.5), low), high)
    for bound in bounds:
        if value < bound <= nearest:
            nearest -= step
        elif nearest < bound <= value:
            nearest += step
    return nearest


def _all_hold(conditions: tuple[Condition, ...], findings: Findings) -> bool:
    return all(
        findings.rhythm in condition.rhythms
        if condition.kind == "rhythm"
        else condition.holds(measured_value(condition.kind, findings))
        for condition in conditions
    )


def _excluded(stage: Stage, runner_up: Stage | None) -> tuple[Stage, Stage]:
    ranked = [other for other in _NEIGHBORS[stage] if other is not runner_up]
    if runner_up is None or runner_up is stage:
        return ranked[0], ranked[1]
    return runner_up, ranked[0]
