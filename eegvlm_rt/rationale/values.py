"""Measured values in the words and steps of a rationale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .criteria import ALPHA_PCT, AMPLITUDE_UV, NO_ALPHA_PCT, SLOW_WAVE_PCT, Condition, Kind

if TYPE_CHECKING:
    from ..findings.model import Findings
    from .context import NightContext

__all__ = ["alpha_class", "holds", "k_complex_class", "measured_value", "quantized", "spindle_class"]

NONE: Final = 0
DOUBTFUL: Final = 1
CLEAR: Final = 2
MANY: Final = 3
MANY_SPINDLES: Final = 3
_HIGHEST: Final = {"spindles": 4, "k_complexes": 2}


def spindle_class(findings: Findings) -> int:
    """Index in `SPINDLE_WORDS`: none, doubtful, one or two, three or more.

    Doubtful: only the looser thresholds find any. Many: the standard thresholds find three, at least one of
    them clear.
    """
    if findings.clear_spindles:
        return MANY if findings.spindles >= MANY_SPINDLES else CLEAR
    return DOUBTFUL if findings.possible_spindles else NONE


def k_complex_class(findings: Findings) -> int:
    """Index in `K_COMPLEX_WORDS`: none, doubtful, one or more."""
    if findings.clear_k_complexes:
        return CLEAR
    return DOUBTFUL if findings.possible_k_complexes else NONE


def alpha_class(findings: Findings) -> int:
    """Index in `ALPHA_WORDS`: below 10 %, to 50 %, from 50 %."""
    share = 100.0 * findings.alpha_share
    return 0 if share < NO_ALPHA_PCT else 1 if share < ALPHA_PCT else 2


def measured_value(kind: Kind, findings: Findings) -> float:
    """Measured number of a kind that is a number, in the unit its name ends with."""
    match kind:
        case "alpha_pct":
            return 100.0 * findings.alpha_share
        case "slow_wave_pct":
            return 100.0 * findings.slow_wave_share
        case "amplitude_uv":
            return findings.amplitude_uv
        case "muscle_pct":
            return 100.0 * findings.muscle_share
        case "deflection_pct":
            return 100.0 * findings.deflection_share
        case "waking_pct":
            signs = findings.alpha_share + findings.muscle_share + findings.deflection_share
            return min(100.0, 100.0 * signs)
        case "possible_events":
            return findings.possible_spindles + findings.possible_k_complexes
        case "spindles":
            return findings.spindles
        case "k_complexes":
            return findings.k_complexes
        case "clear_spindles":
            return findings.clear_spindles
        case "clear_k_complexes":
            return findings.clear_k_complexes
        case "early_events":
            return findings.early_events
        case _:
            raise ValueError(f"{kind} is not a number")


def quantized(kind: Kind, findings: Findings) -> int:
    """The number a rationale states: rounded to its slot's step, never across a rule's bound.

    Amplitude stops at 200 µV: the highest choice means "or more"; so do the counts of the first version's
    texts.
    """
    value = measured_value(kind, findings)
    match kind:
        case "alpha_pct":
            return _rounded(value, 10, 0, 100, (NO_ALPHA_PCT, ALPHA_PCT))
        case "slow_wave_pct":
            return _rounded(value, 5, 0, 100, (SLOW_WAVE_PCT,))
        case "amplitude_uv":
            return _rounded(value, 10, 10, 200, (AMPLITUDE_UV,))
        case _:
            return min(int(value), _HIGHEST[kind])


def holds(condition: Condition, findings: Findings, context: NightContext | None) -> bool:
    """Whether a condition is met exactly; one about the night is not where its record is not given."""
    match condition.kind:
        case "rhythm":
            return str(findings.rhythm) in condition.among
        case "previous":
            return context is not None and stage_word(context) in condition.among
        case "course":
            return context is not None and str(context.course) in condition.among
        case _:
            return condition.holds(measured_value(condition.kind, findings))


def stage_word(context: NightContext) -> str:
    """Name of the stage before, or the words for none."""
    return "no stage" if context.previous is None else context.previous.name


def _rounded(value: float, step: int, low: int, high: int, bounds: tuple[float, ...]) -> int:
    nearest = min(max(step * int(value / step + 0.5), low), high)
    for bound in bounds:
        if value < bound <= nearest:
            nearest -= step
        elif nearest < bound <= value:
            nearest += step
    return nearest
