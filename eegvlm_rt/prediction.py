"""What the stager says about one epoch, and what became of the epoch: each has exactly one outcome."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from .decoding.result import Finish
from .findings.model import NO_FINDINGS, Findings
from .signal.quality import Quality, mostly_missing
from .stages import STAGES, Stage, StageProbabilities

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .memory.state import MemoryState
    from .prompt import Mode
    from .rationale.check import ClaimCheck
    from .rationale.parse import Rationale

__all__ = [
    "AnsweredBy",
    "HeadOpinion",
    "Outcome",
    "StagePrediction",
    "Timing",
    "Unmeasured",
    "UnmeasuredBatch",
    "outcome_of",
]


class Outcome(StrEnum):
    """What became of an epoch.

    SCORED: a stage, from a signal good enough to score. ARTEFACT: a disturbance obscures more than half of
    the signal (AASM). GAP: not one sample came. UNSCORABLE: some samples came, but too many are missing for a
    stage that holds, or they are unlike any sleep recording (`ood_score` above 1). LATE: its stage was not
    there within the deadline. FAILED: the model raised an error.

    With ARTEFACT and UNSCORABLE the model's stage is kept as an opinion; do not score with it.
    """

    SCORED = "scored"
    ARTEFACT = "artefact"
    GAP = "gap"
    UNSCORABLE = "unscorable"
    LATE = "late"
    FAILED = "failed"


def outcome_of(quality: Quality) -> Outcome:
    """The outcome that the raw signal alone decides: SCORED, ARTEFACT, GAP or UNSCORABLE."""
    if quality.missing_share == 1.0:
        return Outcome.GAP
    if quality.scorable:
        return Outcome.SCORED
    return Outcome.UNSCORABLE if mostly_missing(quality) else Outcome.ARTEFACT


class AnsweredBy(StrEnum):
    """What the probabilities of a prediction were read from.

    HEAD: the stage head. MEMORY: the night memory, which reads what the head read and knows the night so far.
    DIRECT: the stage tokens after the direct question. RULE: the scoring rules at the slot `rule` of the
    reasoning. NONE: there was no signal to look at; the probabilities are equal.
    """

    HEAD = "head"
    MEMORY = "memory"
    DIRECT = "direct"
    RULE = "rule"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class HeadOpinion:
    """An opinion beside the answer: the stage head's on the epoch alone, or the night memory's."""

    stage: Stage
    probabilities: Mapping[Stage, float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "probabilities", StageProbabilities(self.probabilities))


@dataclass(frozen=True, slots=True)
class Timing:
    """Wall-clock times of one epoch in ms.

    Of a batch, rendering and tower are an epoch's equal share. `prefill_ms` is the reading of the visual
    tokens, `decode_ms` all that follows in the language model, and all of it where tokens and first question
    are read in one run (fused attention on a GPU); of texts that are decoded side by side, both
    are an equal share. `total_ms` runs from the conditioned signal to the prediction and includes the
    measuring of the findings. `first_token_ms` and `stage_ms` say when the first text and when the stage
    probabilities were there (0 without text or model; side by side, 0 and the whole share). `tokens` counts
    the tokens of the text, `steps` the runs of the language model after the prefill.
    """

    render_ms: float
    tower_ms: float
    prefill_ms: float
    decode_ms: float
    total_ms: float
    tokens: int
    steps: int = 0
    first_token_ms: float = 0.0
    stage_ms: float = 0.0


class EpochPlace(Protocol):
    """The place of an epoch in its night, and the quality of its signal; `GridEpoch` is one."""

    @property
    def index(self) -> int: ...

    @property
    def start_s(self) -> float: ...

    @property
    def quality(self) -> Quality: ...

    @property
    def channel(self) -> str | None: ...


class UnmeasuredBatch:
    """Conditioned epochs (n, 3000), measured together when the findings of one of them are asked for: one at
    a time takes four times as long, and who asks for one asks for the next as a rule.
    """

    __slots__ = ("_epochs",)

    def __init__(self, epochs: NDArray[np.float32]) -> None:
        self._epochs: NDArray[np.float32] | list[Findings] = epochs

    def findings(self) -> list[Findings]:
        """Of each epoch, in order. Several threads may ask at once."""
        epochs = self._epochs
        if isinstance(epochs, np.ndarray):
            # Whoever only reads predictions does not load what measures.
            from .findings.measure import measure_batch

            epochs = self._epochs = measure_batch(epochs)
        return epochs


class Unmeasured:
    """Findings of the epoch at a place of a batch, to be measured when they are asked for."""

    __slots__ = ("_batch", "_place")

    def __init__(self, batch: UnmeasuredBatch, place: int) -> None:
        self._batch, self._place = batch, place

    def measured(self) -> Findings:
        """The findings, measured now if they were not yet."""
        return self._batch.findings()[self._place]


class _MeasuredField:
    """The field `findings`: what was measured, or is measured at the first look at it."""

    def __get__(self, prediction: StagePrediction | None, owner: type | None = None) -> Findings:
        if prediction is None:
            # To a dataclass this says that the field has no default.
            raise AttributeError("findings")
        value = prediction.__dict__["_findings"]
        if isinstance(value, Unmeasured):
            value = prediction.__dict__["_findings"] = value.measured()
        return value  # type: ignore[no-any-return]

    def __set__(self, prediction: StagePrediction, value: Findings | Unmeasured) -> None:
        prediction.__dict__["_findings"] = value


@dataclass(frozen=True, repr=False)
class StagePrediction:
    """One row of a night.

    Attributes:
        index: number of the epoch, from 0.
        start_s: its start, in seconds from the start of the recording.
        stage: the most probable stage. None only where the epoch has no sample at all, so that nothing could
            be looked at; a poor epoch keeps the model's stage, and `quality.scorable` is False.
        probabilities: of the five stages; they sum to 1. All equal where `stage` is None. A stage is named by
            `Stage.N2` or by "N2".
        mode: what was asked for.
        source: what the probabilities were read from. It differs from `mode` where the reasoning was cut
            before its rule or is not valid: then they are those of the direct question, or of the head where
            time was up.
        head: the stage head's opinion on the epoch alone, None where `stage` is None.
        agrees: whether the second opinion says the same stage: the night memory's where there is one, else
            the head's.
        rationale: the parsed reasoning; None in other modes, where it was cut, or where it is not valid.
        rationale_text: the text as decoded. A cut text ends with its last whole sentence.
        finish: why the text ended; `Finish.NONE` in other modes.
        findings: what was measured in the signal, whatever the model says; in mode head, at the first look.
            Until then a prediction holds the signals of its batch, 12 kB an epoch.
        checks: every claim of the rationale against `findings`.
        timing: where the time went.
        quality: signal quality of the raw epoch.
        channel: name of the channel, where known.
        outcome: what became of the epoch; one of six.
        provisional: whether this is an opinion on the latest 30 s, off the grid, of an epoch that goes on.
        lag_s: seconds of signal time that the answer stands behind the wire; None offline.
        ood_score: how unlike the training signals the epoch is, where the bundle can tell.
        smoothed: probabilities given the epochs before, where a smoother was asked for; they sum to 1.
        error: text of the model's error where `outcome` is FAILED, else empty.
        night: the night memory's opinion, None without one or without a usable signal.
        memory: the memory after this epoch, for the next one; None without one.
        draft: name of the model where the draft of one answered, which is not for use; empty for any other.
    """

    index: int
    start_s: float
    stage: Stage | None
    probabilities: Mapping[Stage, float]
    mode: Mode
    source: AnsweredBy
    head: HeadOpinion | None
    agrees: bool
    rationale: Rationale | None
    rationale_text: str
    finish: Finish
    if TYPE_CHECKING:
        findings: Findings
    else:
        findings: Findings = _MeasuredField()
    checks: tuple[ClaimCheck, ...]
    timing: Timing
    quality: Quality
    channel: str | None = None
    outcome: Outcome = Outcome.SCORED
    provisional: bool = False
    lag_s: float | None = None
    ood_score: float | None = None
    smoothed: Mapping[Stage, float] | None = None
    error: str = ""
    night: HeadOpinion | None = None
    memory: MemoryState | None = None
    draft: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "probabilities", StageProbabilities(self.probabilities))
        if self.smoothed is not None:
            object.__setattr__(self, "smoothed", StageProbabilities(self.smoothed))

    @classmethod
    def unanswered(
        cls,
        epoch: EpochPlace,
        mode: Mode,
        outcome: Outcome,
        *,
        findings: Findings = NO_FINDINGS,
        total_ms: float = 0.0,
        error: str = "",
    ) -> Self:
        """The prediction of an epoch that has no answer: no stage, all probabilities equal."""
        return cls(
            index=epoch.index,
            start_s=epoch.start_s,
            stage=None,
            probabilities=dict.fromkeys(STAGES, 1 / len(STAGES)),
            mode=mode,
            source=AnsweredBy.NONE,
            head=None,
            agrees=False,
            rationale=None,
            rationale_text="",
            finish=Finish.NONE,
            findings=findings,
            checks=(),
            timing=Timing(0.0, 0.0, 0.0, 0.0, total_ms, 0),
            quality=epoch.quality,
            channel=epoch.channel,
            outcome=outcome,
            error=error,
        )

    def with_fields(self, **fields: Any) -> Self:
        """`dataclasses.replace`, but findings that nobody asked for stay unmeasured."""
        return replace(self, **{"findings": self.__dict__["_findings"], **fields})

    def __getstate__(self) -> dict[str, Any]:
        """What a copy in another process needs: the findings themselves, not the signals of a whole batch."""
        return {**self.__dict__, "_findings": self.findings}

    def __repr__(self) -> str:
        """One line: epoch from 0, its start, stage with probability, outcome, mode, claims that hold."""
        seconds = round(self.start_s)
        clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        stage = "?" if self.stage is None else f"{self.stage.name} {self.probabilities[self.stage]:.2f}"
        supported = sum(check.verdict == "supported" for check in self.checks)
        parts = [str(self.index), clock, stage, str(self.outcome), str(self.mode)]
        if self.provisional:
            parts.append("provisional")
        if self.draft:
            parts.append(f"draft model {self.draft}")
        if self.checks:
            parts.append(f"{supported} of {len(self.checks)} claims hold")
        return f"StagePrediction({', '.join(parts)})"

    @property
    def proba(self) -> NDArray[np.float64]:
        """`probabilities` as an array (5,) in the order W N1 N2 N3 R."""
        return np.array([self.probabilities[stage] for stage in STAGES])

    @property
    def consistent(self) -> bool:
        """Whether the reasoning is whole, holds together, and concludes with the predicted stage."""
        return self.rationale is not None and self.rationale.consistent and self.rationale.stage == self.stage

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields; stages by name, numbers as measured; `draft` only where one answered."""
        return {
            "index": self.index,
            "start_s": self.start_s,
            "channel": self.channel,
            "stage": None if self.stage is None else self.stage.name,
            "probabilities": _by_name(self.probabilities),
            "mode": str(self.mode),
            "source": str(self.source),
            "head": _opinion(self.head),
            "night": _opinion(self.night),
            "agrees": self.agrees,
            "rationale": None if self.rationale is None else _rationale(self.rationale),
            "rationale_text": self.rationale_text,
            "finish": str(self.finish),
            "consistent": self.consistent,
            "findings": self.findings.to_dict(),
            "checks": [_check(check) for check in self.checks],
            "timing": asdict(self.timing),
            "quality": self.quality.to_dict(),
            "outcome": str(self.outcome),
            "provisional": self.provisional,
            "lag_s": self.lag_s,
            "ood_score": self.ood_score,
            "smoothed": None if self.smoothed is None else _by_name(self.smoothed),
            "error": self.error,
            **({"draft": self.draft} if self.draft else {}),
        }


def _opinion(opinion: HeadOpinion | None) -> dict[str, Any] | None:
    if opinion is None:
        return None
    return {"stage": opinion.stage.name, "probabilities": _by_name(opinion.probabilities)}


def _by_name(probabilities: Mapping[Stage, float]) -> dict[str, float]:
    return {stage.name: float(p) for stage, p in probabilities.items()}


def _rationale(rationale: Rationale) -> dict[str, Any]:
    return {
        "rule": rationale.rule.id,
        "rule_phrase": rationale.rule.phrase,
        "stage": rationale.stage.name,
        "excluded": [{"stage": reason.stage.name, "reason": reason.phrase} for reason in rationale.excluded],
        "claims": [{"kind": claim.kind, "value": claim.value} for claim in rationale.claims],
        "consistent": rationale.consistent,
    }


def _check(check: ClaimCheck) -> dict[str, Any]:
    return {
        "kind": check.claim.kind,
        "value": check.claim.value,
        "measured": check.measured,
        "verdict": str(check.verdict),
        "strict": str(check.strict),
    }


def __getattr__(name: str) -> Any:
    if name != "Source":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn("Source is now called AnsweredBy", DeprecationWarning, stacklevel=2)
    return AnsweredBy
