"""Figures of one evaluation, as a dictionary and as a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from eegvlm_rt.stages import STAGES

from ..metrics import Score, score
from .answers import Answers
from .sets import EvaluationSet

__all__ = ["agreement_between", "scores", "table"]

_GROUPS = {"dreams": "dreams/", "sleep-edf": "sleep-edf/"}


def scores(data: EvaluationSet, answers: Answers) -> dict[str, dict[str, Any]]:
    """Scores of all epochs, of each group and recording, and of the epochs with purity 1."""

    def of(mask: Any) -> Score:
        return score(data.stages[mask], answers.stages[mask], answers.probabilities[mask])

    everything = np.ones(len(data), dtype=bool)
    rows = {"all": of(everything).to_dict()}
    for name, start in _GROUPS.items():
        inside = np.char.startswith(data.recordings, start)
        if inside.any() and not inside.all():
            rows[name] = of(inside).to_dict()
        pure = inside & (data.purity >= 1.0)
        if inside.any() and 0 < pure.sum() < inside.sum():
            rows[f"{name}, purity 1"] = of(pure).to_dict()
    for name in np.unique(data.recordings):
        rows[str(name)] = of(data.recordings == name).to_dict()
    return rows


def agreement_between(first: Answers, second: Answers) -> float:
    """Share of epochs where two modes give the same valid stage."""
    return float(np.mean((first.stages == second.stages) & (first.stages < len(STAGES))))


def _number(value: float | None) -> str:
    return "   -  " if value is None else f"{value:6.3f}"


def table(mode: str, rows: dict[str, dict[str, Any]]) -> str:
    """Fixed-width text of `scores`."""
    head = " ".join(f"{stage.name:>6}" for stage in STAGES)
    lines = [f"{mode:<24}{'n':>6} {'bad':>4} {'acc':>6} {'kappa':>6} {'MF1':>6} {'ECE':>6}   F1: {head}"]
    for name, row in rows.items():
        figures = " ".join(_number(row[key]) for key in ("accuracy", "kappa", "macro_f1", "ece"))
        f1 = " ".join(_number(row["f1"][stage.name]) for stage in STAGES)
        lines.append(f"{name:<24}{row['n']:>6} {row['invalid']:>4} {figures}       {f1}")
    confusion = rows["all"]["confusion"]
    lines.append("confusion (reference by row; last column: invalid)")
    for stage, counts in zip(STAGES, confusion, strict=True):
        lines.append(f"  {stage.name:<4}" + "".join(f"{count:>6}" for count in counts))
    return "\n".join(lines)
