"""Answers held against scorers, and what of their agreement was lost on the way from checkpoint to bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eegvlm_train.evaluation.answers import Answerer
from eegvlm_train.evaluation.faithfulness import faithfulness
from eegvlm_train.evaluation.report import scores
from eegvlm_train.evaluation.sets import EvaluationSet

from eegvlm_rt.evidence import measure_batch
from eegvlm_rt.prompt import Mode

from .gates import Gate
from .recipe import Recipe

__all__ = ["kappa_gates", "kappa_losses", "scored_answers"]


def scored_answers(answerer: Answerer, data: EvaluationSet, modes: Sequence[Mode]) -> dict[str, Any]:
    """`modes`: agreement by group of recordings for every mode; `faithfulness` of the claims of `cot`."""
    found: dict[str, Any] = {"n": len(data), "modes": {}}
    for mode in modes:
        if mode is Mode.COT:
            reasons = answerer.reason(data.x_uv, constrained=True)
            answers = reasons.answers
            found["faithfulness"] = faithfulness(reasons, measure_batch(data.x_uv))
        else:
            answers = answerer.stage(data.x_uv, mode)
        found["modes"][mode.value] = scores(data, answers)
    return found


def kappa_losses(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, float]:
    """Cohen's kappa that each answer lost on the way from checkpoint to bundle."""
    old, new = (
        {mode: rows["all"]["kappa"] for mode, rows in found["modes"].items()} for found in (before, after)
    )
    return {
        mode: round(kappa - new[mode], 4)
        for mode, kappa in old.items()
        if kappa is not None and new.get(mode) is not None
    }


def kappa_gates(recipe: Recipe, losses: Mapping[str, Mapping[str, float]]) -> list[Gate]:
    """The recipe's bound on lost kappa, for everything that was evaluated and has no gate of its own."""
    own = {gate.figure for gate in recipe.gates}
    figures = [f"kappa_loss.{name}.{mode}" for name, modes in losses.items() for mode in modes]
    return [Gate(figure, at_most=recipe.kappa_loss) for figure in figures if figure not in own]
