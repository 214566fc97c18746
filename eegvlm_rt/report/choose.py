"""Which epochs a reviewer should look at first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..hypnogram.night_rows import night_probabilities, night_stage
from ..stages import STAGES, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..prediction import StagePrediction

__all__ = ["MOST", "Choice", "choose_epochs"]

MOST: Final = 12

DOUBTFUL: Final = 0.7
"""Probability of the stage below which an epoch is one of doubt."""


@dataclass(frozen=True, slots=True)
class Choice:
    """An epoch to look at, and why: one sentence for each reason."""

    prediction: StagePrediction
    why: tuple[str, ...]


def choose_epochs(predictions: Sequence[StagePrediction], most: int = MOST) -> list[Choice]:
    """At most `most` scored epochs, in order of time.

    Three lists take turns: epochs of transition (the first sleep and the first R, which decide latencies,
    and stages that stand alone), of contradiction (claims that the signal does not support, a reason for
    another stage, a head that disagrees), and of doubt (a low probability of the stage). An epoch on several
    lists is shown once, with every reason.
    """
    scored = [p for p in predictions if night_stage(p) is not None]
    lists = [_transitions(scored), _contradictions(scored), _doubts(scored)]
    why: dict[int, list[str]] = {}
    for ranked in lists:
        for p, text in ranked:
            why.setdefault(p.index, []).append(text)
    selection: dict[int, StagePrediction] = {}
    for p in _in_turns([[p for p, _ in ranked] for ranked in lists]):
        if len(selection) == most:
            break
        selection[p.index] = p
    return [Choice(selection[index], tuple(why[index])) for index in sorted(selection)]


def _in_turns(lists: Sequence[Sequence[StagePrediction]]) -> Iterable[StagePrediction]:
    for place in range(max(map(len, lists), default=0)):
        for ranked in lists:
            if place < len(ranked):
                yield ranked[place]


def _doubts(scored: Sequence[StagePrediction]) -> list[tuple[StagePrediction, str]]:
    sure = {p.index: max(night_probabilities(p).values()) for p in scored}
    doubtful = sorted((p for p in scored if sure[p.index] < DOUBTFUL), key=lambda p: sure[p.index])
    return [(p, "doubt: " + ", ".join(_shares(night_probabilities(p)))) for p in doubtful]


def _shares(probabilities: Mapping[Stage, float]) -> list[str]:
    two = sorted(STAGES, key=lambda stage: -probabilities[stage])[:2]
    return [f"{stage.name} {100 * probabilities[stage]:.0f} %" for stage in two]


def _contradictions(scored: Sequence[StagePrediction]) -> list[tuple[StagePrediction, str]]:
    ranked = []
    for p in scored:
        wrong = sum(check.verdict == "contradicted" for check in p.checks)
        parts = []
        if wrong:
            parts.append(f"the signal contradicts {wrong} of {len(p.checks)} claims")
        if p.rationale is not None and p.rationale.stage is not night_stage(p):
            parts.append(f"the reason concludes {p.rationale.stage.name}")
        if p.head is not None and not p.agrees:
            parts.append(f"the stage head says {p.head.stage.name}")
        if parts:
            ranked.append((-len(parts) - wrong, p.index, p, "contradiction: " + ", ".join(parts)))
    return [(p, text) for _, _, p, text in sorted(ranked, key=lambda item: item[:2])]


def _transitions(scored: Sequence[StagePrediction]) -> list[tuple[StagePrediction, str]]:
    places = []
    asleep = next((p for p in scored if night_stage(p) is not Stage.W), None)
    rem = next((p for p in scored if night_stage(p) is Stage.R), None)
    if asleep is not None:
        places.append((asleep, "transition: the first sleep; it decides the sleep onset"))
    if rem is not None:
        places.append((rem, "transition: the first R; it decides the REM latency"))
    # Stages that last one epoch, the least sure first.
    alone = [
        (max(night_probabilities(p).values()), before, p)
        for before, p, after in zip(scored, scored[1:], scored[2:], strict=False)
        if night_stage(before) is night_stage(after) is not night_stage(p)
        and (before.index, after.index) == (p.index - 1, p.index + 1)
    ]
    for _, before, p in sorted(alone, key=lambda item: item[0]):
        stage = night_stage(before)
        places.append((p, f"transition: one epoch amid {'?' if stage is None else stage.name}"))
    return places
