"""A prediction read back from its JSON form, as journals and predictions.json hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .decoding.result import Finish
from .epoch import Quality, QualityFlag
from .errors import InputError, RationaleError
from .evidence.findings import NO_FINDINGS, Findings, Rhythm
from .outcome import Outcome
from .prediction import HeadOpinion, Source, StagePrediction, Timing
from .prompt import Mode
from .rationale import Claim, ClaimCheck, Verdict, parse
from .stages import STAGES, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .rationale import Rationale

__all__ = ["prediction_from_dict"]


def prediction_from_dict(fields: Mapping[str, Any]) -> StagePrediction:
    """The prediction that `StagePrediction.to_dict` gave `fields` of; keys that it does not know are passed
    over.

    The reasoning is parsed from its text again, claims and verdicts are those of the record.
    Raises InputError for fields that no prediction has.
    """
    try:
        head = fields["head"]
        smoothed = fields["smoothed"]
        return StagePrediction(
            index=int(fields["index"]),
            start_s=float(fields["start_s"]),
            stage=None if fields["stage"] is None else Stage[fields["stage"]],
            probabilities=_probabilities(fields["probabilities"]),
            mode=Mode(fields["mode"]),
            source=Source(fields["source"]),
            head=None
            if head is None
            else HeadOpinion(Stage[head["stage"]], _probabilities(head["probabilities"])),
            agrees=bool(fields["agrees"]),
            rationale=_rationale(fields),
            rationale_text=str(fields["rationale_text"]),
            finish=Finish(fields["finish"]),
            findings=_findings(fields["findings"]),
            checks=tuple(_check(check) for check in fields["checks"]),
            timing=Timing(**fields["timing"]),
            quality=_quality(fields["quality"]),
            channel=fields["channel"],
            outcome=Outcome(fields["outcome"]),
            provisional=bool(fields["provisional"]),
            lag_s=None if fields["lag_s"] is None else float(fields["lag_s"]),
            ood_score=None if fields["ood_score"] is None else float(fields["ood_score"]),
            smoothed=None if smoothed is None else _probabilities(smoothed),
            error=str(fields["error"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        why = f"{type(error).__name__}: {error}"
        raise InputError("prediction", why, "give what StagePrediction.to_dict gives") from error


def _probabilities(values: Mapping[str, float]) -> dict[Stage, float]:
    return {stage: float(values[stage.name]) for stage in STAGES}


def _rationale(fields: Mapping[str, Any]) -> Rationale | None:
    if fields["rationale"] is None:
        return None
    try:
        return parse(fields["rationale_text"])
    except RationaleError:
        # The text was written by a release with another grammar: it is kept, its structure is not.
        return None


def _check(check: Mapping[str, Any]) -> ClaimCheck:
    claim = Claim(str(check["kind"]), check["value"])
    return ClaimCheck(claim, check["measured"], Verdict(check["verdict"]), Verdict(check["strict"]))


def _quality(values: Mapping[str, Any]) -> Quality:
    amplitude = values["amplitude_uv"]
    return Quality(
        frozenset(QualityFlag(flag) for flag in values["flags"]),
        float(values["missing_share"]),
        float("nan") if amplitude is None else float(amplitude),
        bool(values["scorable"]),
    )


def _findings(values: Mapping[str, Any]) -> Findings:
    numbers = ("alpha_share", "spindles", "k_complexes", "slow_wave_share", "amplitude_uv", "measured_share")
    delta, theta, alpha, beta = (float(power) for power in values["relative_powers"])
    found = Findings(
        rhythm=Rhythm(values["rhythm"]),
        rhythm_alternatives=tuple(Rhythm(name) for name in values["rhythm_alternatives"]),
        relative_powers=(delta, theta, alpha, beta),
        **{name: values[name] for name in numbers},
        spindle_spans=_spans(values["spindle_spans"]),
        k_complex_spans=_spans(values["k_complex_spans"]),
        spindle_range=_range(values["spindle_range"]),
        k_complex_range=_range(values["k_complex_range"]),
    )
    return NO_FINDINGS if found == NO_FINDINGS else found


def _spans(values: Any) -> tuple[tuple[float, float], ...]:
    return tuple((float(onset), float(length)) for onset, length in values)


def _range(values: Any) -> tuple[int, int] | None:
    return None if values is None else (int(values[0]), int(values[1]))
