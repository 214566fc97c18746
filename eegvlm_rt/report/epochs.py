"""The epochs to look at first, ready for the page: trace, reason, and what the measurement says to each
claim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..findings.measure import slow_wave_spans
from ..hypnogram.night_rows import night_probabilities, night_stage
from ..rationale.rules import RULES
from ..stages import STAGES
from .traces import trace_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..prediction import StagePrediction
    from ..rationale.check import ClaimCheck
    from .choose import Choice
    from .traces import Trace

__all__ = ["Card", "card_of"]

_CLAIMS = {
    "rhythm": ("Background", ""),
    "alpha": ("Alpha", ""),
    "alpha_pct": ("Alpha", " %"),
    "spindles": ("Spindles", ""),
    "k_complexes": ("K-complexes", ""),
    "slow_wave_pct": ("Slow waves", " %"),
    "amplitude_uv": ("Amplitude", " µV"),
    "previous": ("Stage before", ""),
    "course": ("Course of the night", ""),
    "rule": ("Rule", ""),
    "excluded": ("Excluded", ""),
    "argument": ("Argument", ""),
}


@dataclass(frozen=True, slots=True)
class Card:
    """What is shown of one epoch. `number` counts from 1, `trace` is None without the signal."""

    number: int
    index: int
    clock: str
    stage: str
    percent: str
    head: str
    reviewed: str
    why: tuple[str, ...]
    shares: tuple[tuple[str, str], ...]
    trace: Trace | None
    marks: tuple[tuple[str, int], ...]
    reason: tuple[str, ...]
    measured: str
    checks: tuple[tuple[str, str, str, bool], ...]
    flags: str


def card_of(
    choice: Choice, clock: str, samples: Callable[[int], NDArray[np.float32] | None], reviewed: str
) -> Card:
    """The card of a choice. `samples` gives the conditioned epoch of an index, or None."""
    prediction = choice.prediction
    stage, probabilities = night_stage(prediction), night_probabilities(prediction)
    x = samples(prediction.index)
    if x is not None and not np.isfinite(x).any():
        x = None
    marks = _marks(prediction, x)
    findings = prediction.findings
    return Card(
        number=prediction.index + 1,
        index=prediction.index,
        clock=clock,
        stage="?" if stage is None else stage.name,
        percent="" if stage is None else f"{100 * probabilities[stage]:.0f} %",
        head="" if prediction.head is None else prediction.head.stage.name,
        reviewed=reviewed,
        why=choice.why,
        shares=tuple((s.name, f"{100 * probabilities[s]:.0f}") for s in STAGES),
        trace=None if x is None else trace_of(x, marks),
        marks=tuple((kind, len(spans)) for kind, spans in marks.items()),
        reason=tuple(line.strip() for line in prediction.rationale_text.strip().splitlines()),
        measured=(
            f"{findings.rhythm} background, {findings.spindles} spindles, "
            f"{findings.k_complexes} K-complexes, slow waves in {100 * findings.slow_wave_share:.0f} %, "
            f"amplitude {findings.amplitude_uv:.0f} µV"
        ),
        checks=tuple(_check(check) for check in prediction.checks),
        flags=", ".join(sorted(prediction.quality.flags)),
    )


def _marks(
    prediction: StagePrediction, x: NDArray[np.float32] | None
) -> dict[str, tuple[tuple[float, float], ...]]:
    return {
        "spindle": prediction.findings.spindle_spans,
        "K-complex": prediction.findings.k_complex_spans,
        "slow wave": () if x is None else slow_wave_spans(x),
    }


def _check(check: ClaimCheck) -> tuple[str, str, str, bool]:
    """Name, claim, measured, whether it holds."""
    claim = check.claim
    name, unit = _CLAIMS.get(claim.kind, (claim.kind, ""))
    stated = f"{claim.value}{unit}"
    if claim.kind == "rule" and str(claim.value) in RULES:
        stated = f"{claim.value} {RULES[str(claim.value)].phrase}"
    numeric = isinstance(check.measured, int | float)
    return name, stated, f"{check.measured}{unit if numeric else ''}", check.verdict == "supported"
