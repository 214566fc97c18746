"""Agreement of a bundle that stages recordings as nights: with its memory and, beside it, alone.

`python -m eegvlm_train evaluate-nights BUNDLE --data real:FOLDER wake:FOLDER --mode head direct cot`

With `--smooth` the offline step after the memory is scored as well.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eegvlm_rt.calibration.smoothing import Smoothing
from eegvlm_rt.files import check_outputs
from eegvlm_rt.hypnogram.night_rows import night_probabilities
from eegvlm_rt.prediction import StagePrediction
from eegvlm_rt.prompt import Mode
from eegvlm_rt.stager import Stager
from eegvlm_rt.stages import STAGES

from ..outputs import add_overwrite, write_text
from .metrics import INVALID, chance_calibration_error, score
from .recordings import ScoredRecording, load_recordings

__all__ = ["main", "night_figures"]


def staged(
    stager: Stager,
    recording: ScoredRecording,
    mode: Mode,
    *,
    memory: bool,
    gain: float = 1.0,
    smooth: str | None = None,
) -> list[StagePrediction]:
    """Predictions of a recording, one for each of its scored places; `gain` is put on its signal."""
    samples = recording.samples_uv * np.float32(gain)
    predictions = stager.predict_recording(
        samples, sfreq=recording.sfreq, mode=mode, memory=memory, smooth=smooth
    )
    return list(predictions)[: len(recording.stages)]


def night_figures(
    stager: Stager,
    recordings: Sequence[ScoredRecording],
    mode: Mode,
    *,
    memory: bool,
    gain: float = 1.0,
    smooth: str | None = None,
) -> dict[str, Any]:
    """Scores over all recordings and for each, and how the claims of the reasons fare; an epoch without a
    stage counts as wrong. With `smooth` the stages are those of that step."""
    reference, answers, shares = [], [], []
    verdicts: Counter[str] = Counter()
    kinds: dict[str, Counter[str]] = {}
    rules: Counter[str] = Counter()
    rows: dict[str, Any] = {}
    for recording in recordings:
        predictions = staged(stager, recording, mode, memory=memory, gain=gain, smooth=smooth)
        scored = np.flatnonzero(recording.stages[: len(predictions)] >= 0)
        truth = recording.stages[scored]
        proba = np.array([[night_probabilities(p)[s] for s in STAGES] for p in predictions])[scored]
        stages = np.array([_stage(p) for p in predictions])[scored]
        rows[recording.name] = score(truth, stages, proba).to_dict()
        reference.append(truth)
        answers.append(stages)
        shares.append(proba)
        for prediction in predictions:
            if prediction.rationale is not None:
                rules[prediction.rationale.rule.id] += 1
            for check in prediction.checks:
                verdicts[str(check.verdict)] += 1
                kinds.setdefault(check.claim.kind, Counter())[str(check.verdict)] += 1
    whole = score(np.concatenate(reference), np.concatenate(answers), np.concatenate(shares))
    figures: dict[str, Any] = {"all": whole.to_dict(), "recordings": rows}
    by_chance = chance_calibration_error(np.concatenate(shares))
    figures["ece_by_chance"] = dict(zip(("mean", "p95"), by_chance, strict=True))
    if verdicts:
        figures["claims"] = dict(verdicts)
        figures["supported"] = verdicts["supported"] / sum(verdicts.values())
        figures["by_kind"] = {kind: dict(count) for kind, count in kinds.items()}
        figures["rules"] = dict(rules)
    return figures


def _stage(prediction: StagePrediction) -> int:
    """The stage after smoothing, where it was asked for; an epoch that cannot be scored has its opinion."""
    if prediction.stage is None:
        return INVALID
    smooth = prediction.smoothed
    return int(prediction.stage if smooth is None else max(STAGES, key=smooth.__getitem__))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="eegvlm_train evaluate-nights", description=__doc__)
    parser.add_argument("bundle", help="name or folder of a bundle")
    parser.add_argument("--data", nargs="+", required=True, help="real:FOLDER, wake:FOLDER, sim:FOLDER")
    parser.add_argument("--mode", nargs="+", default=["head"], choices=[mode.value for mode in Mode])
    parser.add_argument("--gain", nargs="+", type=float, default=[1.0], help="put on the signals")
    parser.add_argument("--only", nargs="+", default=[""], help="recordings whose name begins so")
    parser.add_argument("--smooth", choices=list(Smoothing), help="an offline step after the memory")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    add_overwrite(parser)
    args = parser.parse_args(argv)
    if args.out is not None:
        check_outputs([args.out], overwrite=args.overwrite)
    ways: list[tuple[bool, str | None]] = [(True, None), (False, None)]
    if args.smooth is not None:
        ways.insert(1, (True, args.smooth))
    result: list[dict[str, Any]] = []
    for source in args.data:
        recordings = [one for one in load_recordings(source) if one.name.startswith(tuple(args.only))]
        for name in args.mode:
            stager = Stager.load(args.bundle, mode=name, threads=args.threads)
            for gain in args.gain:
                for memory, smooth in ways:
                    figures = night_figures(
                        stager, recordings, Mode(name), memory=memory, gain=gain, smooth=smooth
                    )
                    row = {"data": source.partition(":")[0], "mode": name, "gain": gain, "memory": memory}
                    result.append(row | {"smooth": smooth} | figures)
                    one = figures["all"]
                    kappa = "-" if one["kappa"] is None else f"{one['kappa']:.3f}"
                    claims = f"  claims {figures['supported']:.3f}" if "supported" in figures else ""
                    print(
                        f"{row['data']:<6}{name:<7}gain {gain:<4g} memory {memory!s:<6} {smooth or '-':<8} "
                        f"n {one['n']:<5} accuracy {one['accuracy']:.3f}  kappa {kappa}  "
                        f"ECE {one['ece']:.3f} (right probabilities by chance: "
                        f"{figures['ece_by_chance']['mean']:.3f}, 95 % below "
                        f"{figures['ece_by_chance']['p95']:.3f}){claims}",
                        flush=True,
                    )
    if args.out is not None:
        write_text(args.out, json.dumps(result, indent=1) + "\n", overwrite=args.overwrite)
    return 0
