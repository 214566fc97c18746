"""Figures of one evaluation, as a dictionary and as a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from eegvlm_rt.stages import STAGES

from .answers import Answers
from .epoch_sets import EvaluationSet
from .metrics import Score, score

__all__ = ["agreement_between", "print_figures", "scores", "table"]

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
    if len(names := np.unique(data.recordings)) > 1:
        rows |= {str(name): of(data.recordings == name).to_dict() for name in names}
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


def print_figures(result: dict[str, Any]) -> None:
    """Print what `eegvlm_train evaluate` found."""
    for name, figures in [*result["modes"].items(), *result.get("peers", {}).items()]:
        print("\n" + table(name, figures["rows"]))
        _print_confidence(figures)
        for how, smoothed in figures.get("smoothed", {}).items():
            print(f"  smoothed, {how}: {_agreement(smoothed)} (kappa {smoothed['gain']:+.3f})")
    for pair, share in result["same_stage"].items():
        print(f"same stage, {pair}: {share:.3f}")
    for title in ("faithfulness", "free"):
        if title in result:
            _print_reasons(title, result[title])
    if result.get("outliers"):
        outliers = result["outliers"]
        faults = ", ".join(f"{name} {share:.2f}" for name, share in outliers["faults"].items())
        print(
            f"\nunlike sleep EEG: {outliers['flagged']:.4f} of {outliers['n']} epochs; made faults: {faults}"
        )
    if "robustness" in result:
        print(f"\nrobustness ({result['robustness']['mode']})")
        for row in result["robustness"]["rows"]:
            flagged = "" if row["flagged"] is None else f", flagged {row['flagged']:.3f}"
            print(
                f"  {row['disturbance']:<28}kappa {_number(row['kappa'])}  same stage "
                f"{row['same_stage']:.3f}{flagged}"
            )


def _agreement(figures: dict[str, Any]) -> str:
    row = figures["rows"]["all"]
    return f"acc {row['accuracy']:.3f}, kappa {_number(row['kappa'])}, MF1 {row['macro_f1']:.3f}"


def _print_confidence(figures: dict[str, Any]) -> None:
    interval = figures["interval"]
    if interval["kappa"]:
        low, high = interval["kappa"]
        print(f"  kappa 95 % interval over {interval['subjects']} subjects: {low:.3f} to {high:.3f}")
    calibration = figures["calibration"]
    line = f"  ECE {calibration['ece']:.3f}, against soft labels {calibration['soft_ece']:.3f}"
    if "before_temperature" in figures:
        line += f" (at temperature 1: {figures['before_temperature']['ece']:.3f})"
    print(line)
    curve = ", ".join(f"{row['coverage']:.0%} {row['accuracy']:.3f}" for row in figures["coverage"])
    print(f"  accuracy at coverage {curve}")


def _print_reasons(title: str, figures: dict[str, Any]) -> None:
    size = f"{figures['texts']} texts, {figures['claims']} claims, {figures['mean_tokens']:.0f} tokens each"
    print(f"\n{title}: {size}")
    for name in ("parsed", "stated_is_predicted", "consistent", "supported", "strict", "all_supported"):
        value = figures[name]
        print(f"  {name:<20}{'-' if value is None else f'{value:.3f}'}")
    for kind, (supported, strict, n) in figures["by_kind"].items():
        print(f"    {kind:<18}{supported:.3f} within tolerance, {strict:.3f} exact, n = {n}")
    for name, one in figures.get("claims_as_detectors", {}).get("detections", {}).items():
        print(f"    {name:<28}precision {_number(one['precision'])} recall {_number(one['recall'])}")
    for name, one in (figures.get("against_experts") or {}).items():
        if one:
            print(
                f"    spindle, {name}: precision {_number(one['precision'])} recall {_number(one['recall'])}"
            )
    if figures.get("variety", {}).get("distinct"):
        varied = figures["variety"]
        print(
            f"  {varied['distinct']} distinct texts of {varied['drawn']}; of another epoch "
            f"{varied['other_supported']:.3f} of the claims hold, {varied['slots_changed']:.3f} differ"
        )
