"""`python -m eegvlm_train calibrate MODEL --data sim:FOLDER`: what follows the model, fitted.

A temperature for each mode, the smoother over the night, and the ranges of the test for signals that are no
sleep EEG, from simulated validation nights only. They are written as `scoring.json` into a checkpoint folder,
which the export puts into the bundle's manifest.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegvlm_rt.calibration import Scoring, Smoother, Smoothing
from eegvlm_rt.calibration.temperature import temper
from eegvlm_rt.files import check_outputs
from eegvlm_rt.prompt import Mode
from eegvlm_rt.simulator.hypnogram import transition_counts

from ..outputs import add_overwrite, write_text
from .answers import Answerer, Answers
from .confidence import calibration, fit_temperature
from .epoch_sets import EvaluationSet, load_set
from .evaluate import load_answerer
from .metrics import score
from .night_smoothing import smooth_answers
from .not_sleep_eeg import FAULTS, fault_epochs, fit_outliers

__all__ = ["calibrate", "fit_smoother", "main"]

_EVIDENCE = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_DIGITS = 5
_LEAST_TEMPERATURE = 1.0
"""Simulated nights are easier than real ones: they may show that answers are too sure, never that they are
not sure enough. A temperature below 1, fitted on them, made the answers about real recordings too sure."""
_PIECE = 64
"""Epochs that are answered between two words of progress; a multiple of every answerer's batch."""


def _row(values: NDArray[np.floating]) -> tuple[float, ...]:
    return tuple(round(float(value), _DIGITS) for value in values / values.sum())


def night_smoother(prior: NDArray[np.floating], evidence: float = 1.0) -> Smoother:
    """Smoother with the transitions of 114 real nights (Sleep-EDF, `transitions.json`), half a count added to
    each; before the first epoch every stage has its share in those nights."""
    counts = transition_counts() + 0.5
    return Smoother(tuple(_row(row) for row in counts), _row(prior), _row(counts.sum(axis=1)), evidence)


def fit_smoother(data: EvaluationSet, answers: Answers) -> Smoother:
    """The prior is the mean answer; the power of the evidence is the one of 0.2 to 1 with the best kappa."""
    smoother = night_smoother(answers.probabilities.mean(axis=0))
    none = np.zeros(len(data), dtype=bool)

    def kappa(evidence: float) -> float:
        one = replace(smoother, evidence=evidence)
        return score(data.stages, smooth_answers(data, answers, one, Smoothing.CAUSAL, none).stages).kappa

    return replace(smoother, evidence=max(_EVIDENCE, key=kappa))


def _held_out(data: EvaluationSet, plain: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every recording scaled by the temperature of the others."""
    scaled = np.array(plain)
    for name in np.unique(data.recordings):
        inside = data.recordings == name
        if not inside.all():
            scaled[inside] = temper(plain[inside], fit_temperature(plain[~inside], data.stages[~inside]))
    return scaled


def _answers(
    answerer: Answerer, x_uv: NDArray[np.float32], mode: Mode, say: Callable[[str], None]
) -> Answers:
    """Answers about every epoch, in pieces, so that it can be said how far it is."""
    began, pieces = time.monotonic(), []
    for first in range(0, len(x_uv), _PIECE):
        some = x_uv[first : first + _PIECE]
        reasons = mode is Mode.COT
        pieces.append(
            answerer.reason(some, constrained=True).answers if reasons else answerer.stage(some, mode)
        )
        done = first + len(some)
        left_min = (time.monotonic() - began) / 60 * (len(x_uv) - done) / done
        say(f"{mode}: {done} of {len(x_uv)} epochs, {left_min:.1f} min left")
    return Answers(
        np.concatenate([one.stages for one in pieces]), np.concatenate([one.probabilities for one in pieces])
    )


def calibrate(
    answerer: Answerer,
    data: EvaluationSet,
    modes: Sequence[Mode],
    *,
    cot_limit: int = 600,
    faults_each: int = 400,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[Scoring, dict[str, Any]]:
    """What was fitted, and the figures of the fit; `cot` is fitted on at most `cot_limit` epochs. `say` takes
    how far it is.
    """
    temperature, figures = {}, {}
    smoother = answerer.scoring.smoother
    for mode in modes:
        some = data.spread(cot_limit) if mode is Mode.COT else data
        answers = _answers(answerer, some.x_uv, mode, say)
        plain = temper(answers.probabilities, 1.0 / answerer.scoring.temperature_of(mode))
        fitted = round(fit_temperature(plain, some.stages), _DIGITS)
        temperature[mode] = max(_LEAST_TEMPERATURE, fitted)
        scaled = Answers(answers.stages, temper(plain, temperature[mode]))
        figures[mode.value] = {
            "n": len(some),
            "fitted": fitted,
            "temperature": temperature[mode],
            "before": calibration(some.stages, some.soft, plain),
            "after": calibration(some.stages, some.soft, scaled.probabilities),
            "held_out": calibration(some.stages, some.soft, _held_out(some, plain)),
        }
        if mode is not Mode.COT:
            smoother = fit_smoother(some, scaled)
            figures[mode.value]["evidence"] = smoother.evidence
    say(f"not sleep: ranges of {len(data)} epochs")
    outliers = fit_outliers(data.x_uv, faults_each=faults_each)
    flagged = {
        kind: float((outliers.scores(fault_epochs(kind, faults_each, seed=1)) > 1.0).mean())
        for kind in FAULTS
    }
    simulated = float((outliers.scores(data.x_uv) > 1.0).mean())
    return Scoring(temperature, smoother, outliers), {
        "modes": figures,
        "outliers": {"simulated_flagged": simulated, "faults_flagged": flagged},
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="eegvlm_train calibrate", description=__doc__)
    parser.add_argument("model", type=Path, help="checkpoint or bundle folder")
    parser.add_argument("--data", required=True, help="sim:FOLDER, its validation nights")
    parser.add_argument("--split", choices=("train", "validation", "test", "all"))
    parser.add_argument("--mode", nargs="+", default=[m.value for m in Mode], choices=[m.value for m in Mode])
    parser.add_argument("--cot-limit", type=int, default=600, help="epochs to reason about")
    parser.add_argument("--device", help="torch device of a checkpoint")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--out", type=Path, help="file to write; default: scoring.json in the checkpoint")
    parser.add_argument("--figures", type=Path, help="write the figures of the fit as JSON")
    add_overwrite(parser)
    args = parser.parse_args(argv)
    if not args.data.startswith("sim:"):
        raise ValueError(f"--data: {args.data!r}; calibrate on simulated nights, sim:FOLDER")
    is_bundle = (args.model / "manifest.json").exists()
    if is_bundle and args.out is None:
        raise ValueError("--out: none; a bundle is not written into, say where scoring.json goes")
    target = args.out or args.model / "scoring.json"
    check_outputs([target, *filter(None, [args.figures])], overwrite=args.overwrite)
    answerer = load_answerer(args.model, device=args.device, threads=args.threads)
    modes = sorted({Mode(name) for name in args.mode}, key=list(Mode).index)
    scoring, figures = calibrate(
        answerer,
        load_set(args.data, args.split),
        modes,
        cot_limit=args.cot_limit,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    write_text(target, json.dumps(scoring.to_dict(), indent=1) + "\n", overwrite=args.overwrite)
    for name, one in figures["modes"].items():
        ece = " -> ".join(f"{one[key]['ece']:.4f}" for key in ("before", "after"))
        print(
            f"{name:<8}T {one['temperature']:.3f}  ECE {ece} (held out {one['held_out']['ece']:.4f}, "
            f"soft {one['after']['soft_ece']:.4f})  n {one['n']}  evidence {one.get('evidence', '-')}"
        )
    shares = ", ".join(f"{k} {v:.3f}" for k, v in figures["outliers"]["faults_flagged"].items())
    print(f"flagged: simulated {figures['outliers']['simulated_flagged']:.4f}, {shares}")
    if args.figures is not None:
        write_text(args.figures, json.dumps(figures, indent=1) + "\n", overwrite=args.overwrite)
    return 0
