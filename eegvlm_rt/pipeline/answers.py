"""An answer to a looked-at epoch, and the prediction made of it: temperatures, opinions, checked claims."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..calibration.temperature import tempered
from ..decoding.result import Finish
from ..prediction import AnsweredBy, HeadOpinion, StagePrediction, Timing, Unmeasured
from ..prompt import Mode
from ..rationale.check import check
from ..stages import STAGES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..calibration.parameters import Scoring
    from ..decoding.result import Decoded
    from ..memory.night_memory import Remembered
    from ..rationale.check import ClaimCheck
    from ..stages import Stage
    from .seen_epoch import Probabilities, SeenEpoch

__all__ = ["Answer", "prediction_of"]

_MODE_OF: Final = {
    AnsweredBy.HEAD: Mode.HEAD,
    AnsweredBy.MEMORY: Mode.HEAD,
    AnsweredBy.DIRECT: Mode.DIRECT,
    AnsweredBy.RULE: Mode.COT,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """Stage probabilities without a temperature, where they come from, and the time each part took in ms."""

    probabilities: Probabilities
    source: AnsweredBy
    decoded: Decoded | None = None
    prefill_ms: float = 0.0
    decode_ms: float = 0.0
    first_token_ms: float = 0.0
    stage_ms: float = 0.0
    steps: int = 0


def prediction_of(
    look: SeenEpoch,
    mode: Mode,
    answer: Answer,
    total_ms: float,
    scoring: Scoring,
    remembered: Remembered | None,
    draft: str,
) -> StagePrediction:
    """The prediction that an answer makes of an epoch."""
    assert look.head is not None
    stage = _most_probable(answer.probabilities)
    head = _opinion(look.head, scoring.temperature_of(Mode.HEAD))
    night = context = None
    if remembered is not None and remembered.probabilities is not None:
        night = _opinion(remembered.probabilities, scoring.temperature_of(Mode.HEAD, night=True))
        context = remembered.context
    # An answer that knew the night has another temperature than one of the epoch alone.
    by_night = night is not None and answer.source is not AnsweredBy.HEAD
    temperature = scoring.temperature_of(_MODE_OF[answer.source], night=by_night)
    decoded = answer.decoded
    rationale = decoded.rationale if decoded else None
    # Claims are held against what was measured in the same epoch, and against the night's record.
    checks: tuple[ClaimCheck, ...] = ()
    if rationale is not None and not isinstance(look.findings, Unmeasured):
        checks = check(rationale, look.findings, context)
    return StagePrediction(
        index=look.row.index,
        start_s=look.row.start_s,
        stage=stage,
        probabilities=tempered(answer.probabilities, temperature),
        mode=mode,
        source=answer.source,
        head=head,
        agrees=(night or head).stage is stage,
        rationale=rationale,
        rationale_text=decoded.text if decoded else "",
        finish=decoded.finish if decoded else Finish.NONE,
        findings=look.findings,  # type: ignore[arg-type]
        checks=checks,
        timing=Timing(
            render_ms=look.render_ms,
            tower_ms=look.tower_ms,
            prefill_ms=answer.prefill_ms,
            decode_ms=answer.decode_ms,
            total_ms=total_ms,
            tokens=decoded.tokens if decoded else 0,
            steps=answer.steps,
            first_token_ms=answer.first_token_ms,
            stage_ms=answer.stage_ms,
        ),
        quality=look.row.quality,
        channel=look.row.channel,
        outcome=look.outcome,
        ood_score=look.ood_score,
        night=night,
        memory=None if remembered is None else remembered.state,
        draft=draft,
    )


def _opinion(probabilities: Probabilities, temperature: float) -> HeadOpinion:
    return HeadOpinion(_most_probable(probabilities), tempered(probabilities, temperature))


def _most_probable(probabilities: Mapping[Stage, float]) -> Stage:
    return max(STAGES, key=probabilities.__getitem__)
