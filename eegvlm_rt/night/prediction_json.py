"""A prediction read back from its JSON form, as journals and predictions.json hold it."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ..decoding.result import Finish
from ..errors import InputError, RationaleError
from ..findings.model import Findings, Rhythm
from ..memory.state import MemoryState
from ..prediction import AnsweredBy, HeadOpinion, Outcome, StagePrediction, Timing
from ..prompt import Mode
from ..rationale.check import ClaimCheck, Verdict
from ..rationale.parse import Claim, parse
from ..signal.quality import Quality, QualityFlag
from ..stages import STAGES, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..rationale.parse import Rationale

__all__ = ["prediction_from_dict"]


def prediction_from_dict(record: Mapping[str, Any]) -> StagePrediction:
    """The prediction that `StagePrediction.to_dict` gave `record` of; keys that it does not know are passed
    over.

    The reasoning is parsed from its text again, claims and verdicts are those of the record.
    Raises InputError for fields that no prediction has.
    """
    try:
        smoothed = record["smoothed"]
        return StagePrediction(
            index=int(record["index"]),
            start_s=float(record["start_s"]),
            stage=None if record["stage"] is None else Stage[record["stage"]],
            probabilities=_probabilities(record["probabilities"]),
            mode=Mode(record["mode"]),
            source=AnsweredBy(record["source"]),
            head=_opinion(record["head"]),
            agrees=bool(record["agrees"]),
            rationale=_rationale(record),
            rationale_text=str(record["rationale_text"]),
            finish=Finish(record["finish"]),
            findings=_findings(record["findings"]),
            checks=tuple(_check(check) for check in record["checks"]),
            timing=_timing(record["timing"]),
            quality=_quality(record["quality"]),
            channel=record["channel"],
            outcome=Outcome(record["outcome"]),
            provisional=bool(record["provisional"]),
            lag_s=None if record["lag_s"] is None else float(record["lag_s"]),
            ood_score=None if record["ood_score"] is None else float(record["ood_score"]),
            smoothed=None if smoothed is None else _probabilities(smoothed),
            error=str(record["error"]),
            night=_opinion(record.get("night")),
            memory=_memory(record.get("memory")),
            draft=str(record.get("draft", "")),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        why = f"{type(error).__name__}: {error}"
        raise InputError("prediction", why, "give what StagePrediction.to_dict gives") from error


def _opinion(values: Mapping[str, Any] | None) -> HeadOpinion | None:
    if values is None:
        return None
    return HeadOpinion(Stage[values["stage"]], _probabilities(values["probabilities"]))


def _memory(values: Mapping[str, Any] | None) -> MemoryState | None:
    """The memory that a journal holds beside its predictions; records of older releases have none."""
    return None if values is None else MemoryState.from_dict(values)


def _probabilities(values: Mapping[str, float]) -> dict[Stage, float]:
    return {stage: float(values[stage.name]) for stage in STAGES}


def _timing(values: Mapping[str, Any]) -> Timing:
    times: dict[str, Any] = {
        field.name: values[field.name] for field in fields(Timing) if field.name in values
    }
    if not all(isinstance(value, int | float) for value in times.values()):
        raise ValueError("a time is no number")
    return Timing(**times)


def _rationale(record: Mapping[str, Any]) -> Rationale | None:
    if record["rationale"] is None:
        return None
    try:
        return parse(record["rationale_text"])
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
    """Fields that a record of an older release lacks keep their defaults."""
    whole: dict[str, Any] = {}
    for field in fields(Findings):
        if field.name not in values:
            continue
        value = values[field.name]
        if isinstance(value, list):
            value = tuple(tuple(item) if isinstance(item, list) else item for item in value)
        whole[field.name] = value
    whole["rhythm"] = Rhythm(whole["rhythm"])
    whole["rhythm_alternatives"] = tuple(Rhythm(name) for name in whole["rhythm_alternatives"])
    numbers = (whole["alpha_share"], whole["slow_wave_share"], whole["amplitude_uv"], whole["measured_share"])
    if not all(isinstance(number, int | float) for number in numbers):
        raise ValueError("a measurement is no number")
    return Findings(**whole)
