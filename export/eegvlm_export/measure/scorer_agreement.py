"""Answers held against scorers, and what of their agreement was lost on the way from checkpoint to bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from eegvlm_train.evaluation.answers import Answerer, Answers
from eegvlm_train.evaluation.epoch_sets import EvaluationSet
from eegvlm_train.evaluation.faithfulness import faithfulness
from eegvlm_train.evaluation.figures import scores

from eegvlm_rt.findings import measure_batch
from eegvlm_rt.prompt import Mode
from eegvlm_rt.stages import STAGES

from ..gates import Gate
from ..recipe import Recipe
from ..weights.checkpoint import Checkpoint
from ..weights.reference import decoder_of, pictures, reference_language_model

__all__ = ["checkpoint_answers", "kappa_gates", "kappa_losses", "scored_answers"]


def scored_answers(answerer: Answerer, data: EvaluationSet, modes: Sequence[Mode]) -> dict[str, Any]:
    """`modes`: agreement by group of recordings for every mode; `faithfulness` of the claims of `cot`."""
    figures: dict[str, Any] = {"n": len(data), "modes": {}}
    for mode in modes:
        if mode is Mode.COT:
            reasons = answerer.reason(data.x_uv, constrained=True)
            answers = reasons.answers
            figures["faithfulness"] = faithfulness(reasons, measure_batch(data.x_uv))
        else:
            answers = answerer.stage(data.x_uv, mode)
        figures["modes"][mode.value] = scores(data, answers)
    return figures


def checkpoint_answers(checkpoint: Checkpoint, data: EvaluationSet, modes: Sequence[Mode]) -> dict[str, Any]:
    """`scored_answers` of the checkpoint itself in the modes that answer in one step, in single precision."""
    model, decoder = checkpoint.model, decoder_of(checkpoint, reference_language_model(checkpoint))
    rows: dict[Mode, list[list[float]]] = {mode: [] for mode in modes if mode is not Mode.COT}
    for batch in pictures(data.x_uv, checkpoint.processor.render):
        with torch.inference_mode():
            look = model.visual(torch.from_numpy(batch))
        if Mode.HEAD in rows:
            rows[Mode.HEAD] += look.stage_logits.double().softmax(-1).tolist()
        for tokens in look.visual_tokens.numpy() if Mode.DIRECT in rows else ():
            answer = decoder.score_stages(decoder.prefix(tokens))
            rows[Mode.DIRECT].append([answer[stage] for stage in STAGES])
    answers = {}
    for mode, shares in rows.items():
        probabilities = np.array(shares)
        answers[mode.value] = scores(data, Answers(probabilities.argmax(1).astype(np.int64), probabilities))
    return {"n": len(data), "modes": answers}


def kappa_losses(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, float]:
    """Cohen's kappa that each answer lost on the way from checkpoint to bundle."""
    old, new = (
        {mode: rows["all"]["kappa"] for mode, rows in side["modes"].items()} for side in (before, after)
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
