"""`python -m eegvlm_train evaluate MODEL --data real:FOLDER --mode head direct cot`.

MODEL is a training checkpoint or a bundle. Agreement with the reference with intervals by subject,
calibration, coverage against accuracy, smoothing over the night, and for `cot` how far the stated claims
hold. A text that cannot be read counts as a wrong answer.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegvlm_rt.calibration import Smoothing
from eegvlm_rt.calibration.temperature import temper
from eegvlm_rt.files import check_outputs, claim_folder
from eegvlm_rt.findings import measure_batch
from eegvlm_rt.prompt import Mode

from ..outputs import add_overwrite, write_text
from .answers import Answerer, Answers, Reasons
from .claims import claim_figures, expert_figures, variety
from .confidence import bootstrap_by_subject, calibration, coverage_curve
from .epoch_sets import EvaluationSet
from .faithfulness import faithfulness
from .figures import agreement_between, print_figures, scores
from .night_smoothing import smooth_answers
from .not_sleep_eeg import FAULTS, fault_epochs
from .peers import PEERS, peer_answers
from .recordings import ScoredRecording, load_recordings
from .robustness import robustness

__all__ = ["evaluate", "load_answerer", "main"]

_FAULTS_EACH = 100


def load_answerer(model: Path, *, device: str | None = None, threads: int | None = None) -> Answerer:
    """The checkpoint or bundle at `model`; raises FileNotFoundError where there is neither."""
    if (model / "manifest.json").exists():
        from .bundle import BundleAnswerer

        return BundleAnswerer(model, threads=threads)
    if (model / "config.json").exists():
        from .checkpoint import CheckpointAnswerer

        return CheckpointAnswerer(model, device=device)
    raise FileNotFoundError(f"{model}: neither a bundle (manifest.json) nor a checkpoint (config.json)")


def answer_figures(data: EvaluationSet, answers: Answers, temperature: float | None = None) -> dict[str, Any]:
    """Everything that is said about one way of answering."""
    figures: dict[str, Any] = {
        "rows": scores(data, answers),
        "interval": bootstrap_by_subject(data.stages, answers.stages, data.subjects),
        "calibration": calibration(data.stages, data.soft, answers.probabilities),
        "coverage": coverage_curve(data.stages, answers.stages, answers.probabilities),
    }
    if temperature is not None:
        plain = temper(answers.probabilities, 1.0 / temperature)
        figures["temperature"] = temperature
        figures["before_temperature"] = calibration(data.stages, data.soft, plain)
    return figures


def smoothing_figures(
    answerer: Answerer, data: EvaluationSet, answers: Answers, flagged: NDArray[np.bool_]
) -> dict[str, Any]:
    """Figures of the causal and the offline smoother, with the kappa each gains."""
    smoother = answerer.scoring.smoother
    if smoother is None:
        raise ValueError("--smooth: the model has no smoother; run `eegvlm_train calibrate` first")
    results: dict[str, Any] = {}
    before = scores(data, answers)["all"]["kappa"] or 0.0
    for how in Smoothing:
        figures = answer_figures(data, smooth_answers(data, answers, smoother, how, flagged))
        figures["gain"] = (figures["rows"]["all"]["kappa"] or 0.0) - before
        results[how.value] = figures
    return results


def reason_figures(
    reasons: Reasons, data: EvaluationSet, recordings: Sequence[ScoredRecording]
) -> dict[str, Any]:
    """Faithfulness of the rationales about `data`."""
    findings = measure_batch(data.x_uv)
    return faithfulness(reasons, findings) | {
        "claims_as_detectors": claim_figures(reasons, findings),
        "against_experts": expert_figures(reasons, findings, data, recordings),
        "variety": variety(reasons, findings),
    }


def outlier_figures(answerer: Answerer, data: EvaluationSet) -> dict[str, Any] | None:
    """Share of epochs called unlike sleep EEG, by recording, and of made faults; None without a test."""
    outliers = answerer.scoring.outliers
    if outliers is None:
        return None
    flagged = outliers.scores(data.x_uv) > 1.0
    return {
        "n": len(data),
        "flagged": float(flagged.mean()),
        "by_recording": {
            str(name): float(flagged[data.recordings == name].mean()) for name in np.unique(data.recordings)
        },
        "faults": {
            name: float((outliers.scores(fault_epochs(name, _FAULTS_EACH, seed=1)) > 1.0).mean())
            for name in FAULTS
        },
    }


def evaluate(
    answerer: Answerer,
    recordings: Sequence[ScoredRecording],
    data: EvaluationSet,
    modes: Sequence[Mode],
    *,
    free: int = 0,
    smooth: bool = False,
) -> dict[str, Any]:
    """Figures per mode, agreement between modes, faithfulness of the rationales, and of `free` free texts.

    `data` are epochs of `recordings`. With `smooth`, the course of the night is taken into account too.
    """
    answers_of: dict[Mode, Answers] = {}
    result: dict[str, Any] = {"n": len(data), "modes": {}, "outliers": outlier_figures(answerer, data)}
    outliers = answerer.scoring.outliers
    flagged = np.zeros(len(data), bool) if outliers is None else outliers.scores(data.x_uv) > 1.0
    for mode in modes:
        if mode is Mode.COT:
            reasons = answerer.reason(data.x_uv, constrained=True)
            answers_of[mode] = reasons.answers
            result["faithfulness"] = reason_figures(reasons, data, recordings)
        else:
            answers_of[mode] = answerer.stage(data.x_uv, mode)
        figures = answer_figures(data, answers_of[mode], answerer.scoring.temperature.get(mode))
        if smooth:
            figures["smoothed"] = smoothing_figures(answerer, data, answers_of[mode], flagged)
        result["modes"][mode.value] = figures
    result["same_stage"] = {
        f"{a.value} and {b.value}": agreement_between(answers_of[a], answers_of[b])
        for a, b in combinations(modes, 2)
    }
    if free and Mode.COT in modes:
        some = data.spread(free)
        result["free"] = faithfulness(answerer.reason(some.x_uv, constrained=False), measure_batch(some.x_uv))
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="eegvlm_train evaluate", description=__doc__)
    parser.add_argument("model", type=Path, help="checkpoint or bundle folder")
    parser.add_argument(
        "--data", required=True, help="real:FOLDER, wake:FOLDER, sim:FOLDER or prepared:FOLDER"
    )
    parser.add_argument("--split", choices=("train", "validation", "test", "all"), help="nights of a folder")
    parser.add_argument("--mode", nargs="*", default=["head"], choices=[mode.value for mode in Mode])
    parser.add_argument("--limit", type=int, help="use at most this many epochs, evenly spread")
    parser.add_argument("--free", type=int, default=0, help="decode this many texts without the grammar too")
    parser.add_argument("--smooth", action="store_true", help="smooth over the night too, causal and offline")
    parser.add_argument(
        "--peer", nargs="+", default=[], choices=sorted(PEERS), help="other stagers beside it"
    )
    parser.add_argument(
        "--band-power", type=Path, help="trained stager of band powers, for --peer band-power"
    )
    parser.add_argument("--robustness", action="store_true", help="disturb the raw signals (first mode)")
    parser.add_argument("--device", help="torch device of a checkpoint")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--plots", type=Path, help="write plots (PNG) into this folder")
    add_overwrite(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    if args.out is not None:
        check_outputs([args.out], inputs=args.model.glob("*"), overwrite=args.overwrite)
    if args.plots is not None:
        claim_folder(args.plots, "evaluate", inputs=[args.model], overwrite=args.overwrite)
    if args.threads is not None:
        import torch

        torch.set_num_threads(args.threads)
    recordings = load_recordings(args.data, args.split)
    data = EvaluationSet.of(recordings).spread(args.limit)
    modes = [Mode(name) for name in dict.fromkeys(args.mode)]
    answerer = load_answerer(args.model, device=args.device, threads=args.threads)
    result: dict[str, Any] = {"model": args.model.name, "data": args.data.partition(":")[0]}
    result |= evaluate(answerer, recordings, data, modes, free=args.free, smooth=args.smooth)
    result["peers"] = {
        way: answer_figures(data, answers)
        for name in args.peer
        for way, answers in peer_answers(name, recordings, data, args.band_power).items()
    }
    if args.robustness:
        mode = modes[0] if modes and modes[0] is not Mode.COT else Mode.DIRECT
        result["robustness"] = {
            "mode": mode.value,
            "rows": robustness(answerer, recordings, mode, args.limit),
        }
    print_figures(result)
    if args.out is not None:
        write_text(args.out, json.dumps(result, indent=1) + "\n", overwrite=args.overwrite)
    if args.plots is not None:
        from .plots import plot_figures

        plot_figures(result, args.plots)
    return 0
