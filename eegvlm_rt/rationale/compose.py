"""From findings and a stage to the text of a rationale. Deterministic; used to make training texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..stages import STAGES, Stage
from .argument import argued_stages
from .grammar import ALPHA_WORDS, K_COMPLEX_WORDS, SPINDLE_WORDS, segments
from .rules import REASONS, RULES
from .values import alpha_class, holds, k_complex_class, quantized, spindle_class, stage_word

if TYPE_CHECKING:
    from ..findings.model import Findings
    from .context import NightContext
    from .criteria import Reason, Rule

__all__ = ["choices", "choose_reason", "choose_rule", "compose", "context_choices"]

_NEIGHBORS: Final = {
    Stage.W: (Stage.N1, Stage.R, Stage.N2, Stage.N3),
    Stage.N1: (Stage.W, Stage.N2, Stage.R, Stage.N3),
    Stage.N2: (Stage.N1, Stage.N3, Stage.R, Stage.W),
    Stage.N3: (Stage.N2, Stage.W, Stage.N1, Stage.R),
    Stage.R: (Stage.N1, Stage.W, Stage.N2, Stage.N3),
}
_RULES_OF: Final = {stage: tuple(r for r in RULES.values() if r.stage is stage) for stage in STAGES}
_REASONS_OF: Final = {stage: tuple(r for r in REASONS.values() if r.stage is stage) for stage in STAGES}


def compose(
    findings: Findings,
    stage: Stage,
    runner_up: Stage | None = None,
    context: NightContext | None = None,
) -> str:
    """Rationale that states `findings` and concludes `stage`; `runner_up` is the first stage it excludes
    where no other one is argued for by the numbers. With `context` it states the night's record too.
    """
    return "".join(segments(choices(findings, stage, runner_up, context)))


def choices(
    findings: Findings,
    stage: Stage,
    runner_up: Stage | None = None,
    context: NightContext | None = None,
) -> dict[str, str]:
    """Choice of every slot of `compose`'s text. A runner-up equal to the stage counts as none."""
    spindles, complexes = spindle_class(findings), k_complex_class(findings)
    alpha, slow_waves = alpha_class(findings), quantized("slow_wave_pct", findings)
    argued = argued_stages(spindles, complexes, alpha, slow_waves)
    first, second = _excluded(stage, runner_up, argued)
    return {
        "rhythm": f" {findings.rhythm}",
        "alpha": f" {ALPHA_WORDS[alpha]}",
        "spindles": f" {SPINDLE_WORDS[spindles]}",
        "k_complexes": f" {K_COMPLEX_WORDS[complexes]}",
        "slow_wave_pct": f" {slow_waves}",
        "amplitude_uv": f" {quantized('amplitude_uv', findings)}",
        **({} if context is None else context_choices(context)),
        "rule": f" {choose_rule(findings, stage, context).text}",
        "excluded_1": f" {choose_reason(findings, first, argued=first in argued).text}",
        "excluded_2": f" {choose_reason(findings, second, argued=second in argued).text}",
        "stage": f" {stage.name}",
    }


def context_choices(context: NightContext) -> dict[str, str]:
    """Choices of the slots of the step of context."""
    return {"previous": f" {stage_word(context)}", "course": f" {context.course}"}


def choose_rule(findings: Findings, stage: Stage, context: NightContext | None = None) -> Rule:
    """First rule of `stage` that is true of `findings` and, where given, of the night's record."""
    return next(
        rule for rule in _RULES_OF[stage] if all(holds(one, findings, context) for one in rule.conditions)
    )


def choose_reason(findings: Findings, stage: Stage, *, argued: bool = False) -> Reason:
    """First reason for excluding `stage` that is true of `findings`.

    Where the numbers argue for the stage (`argued`), a reason that overrides its rule comes first.
    """
    true = [one for one in _REASONS_OF[stage] if all(holds(c, findings, None) for c in one.conditions)]
    if argued:
        true.sort(key=lambda reason: not reason.overrides)
    return true[0]


def _excluded(stage: Stage, runner_up: Stage | None, argued: frozenset[Stage]) -> tuple[Stage, Stage]:
    # Stages that the numbers argue for come first, since they must be excluded; then the runner-up.
    others = [other for other in (runner_up, *_NEIGHBORS[stage]) if other is not None and other is not stage]
    ranked = sorted(dict.fromkeys(others), key=lambda other: other not in argued)
    return ranked[0], ranked[1]
