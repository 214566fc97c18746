"""`python -m eegvlm_train evaluate MODEL --data real:FOLDER --mode head direct cot`.

MODEL is a training checkpoint or a bundle. Agreement with the reference, calibration, and for `cot` how far
the stated claims hold. A text that cannot be read counts as a wrong answer.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from eegvlm_rt.prompt import Mode

from .evaluation.answers import Answerer, Answers
from .evaluation.faithfulness import faithfulness
from .evaluation.report import agreement_between, scores, table
from .evaluation.sets import EvaluationSet, load_set

__all__ = ["evaluate", "load_answerer", "main"]


def load_answerer(model: Path, *, device: str | None = None, threads: int | None = None) -> Answerer:
    """The checkpoint or bundle at `model`; raises FileNotFoundError where there is neither."""
    if (model / "manifest.json").exists():
        from .evaluation.shipped import BundleAnswerer

        return BundleAnswerer(model, threads=threads)
    if (model / "config.json").exists():
        from .evaluation.checkpoint import CheckpointAnswerer

        return CheckpointAnswerer(model, device=device)
    raise FileNotFoundError(f"{model}: neither a bundle (manifest.json) nor a checkpoint (config.json)")


def evaluate(
    answerer: Answerer, data: EvaluationSet, modes: Sequence[Mode], *, free: int = 0
) -> dict[str, Any]:
    """Scores per mode, agreement between modes, faithfulness of the rationales, and of `free` free texts."""
    found: dict[Mode, Answers] = {}
    result: dict[str, Any] = {"n": len(data), "modes": {}}
    for mode in modes:
        if mode is Mode.COT:
            reasons = answerer.reason(data.x_uv, constrained=True)
            found[mode] = reasons.answers
            result["faithfulness"] = faithfulness(reasons, data.x_uv)
        else:
            found[mode] = answerer.stage(data.x_uv, mode)
        result["modes"][mode.value] = scores(data, found[mode])
    result["same_stage"] = {
        f"{a.value} and {b.value}": agreement_between(found[a], found[b]) for a, b in combinations(modes, 2)
    }
    if free and Mode.COT in modes:
        some = data.spread(free)
        result["free"] = faithfulness(answerer.reason(some.x_uv, constrained=False), some.x_uv)
    return result


def _print_reasons(title: str, figures: dict[str, Any]) -> None:
    size = f"{figures['texts']} texts, {figures['claims']} claims, {figures['mean_tokens']:.0f} tokens each"
    print(f"\n{title}: {size}")
    for name in ("parsed", "stated_is_predicted", "consistent", "supported", "strict", "all_supported"):
        value = figures[name]
        print(f"  {name:<20}{'-' if value is None else f'{value:.3f}'}")
    for kind, (supported, strict, n) in figures["by_kind"].items():
        print(f"    {kind:<18}{supported:.3f} within tolerance, {strict:.3f} exact, n = {n}")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="eegvlm_train evaluate", description=__doc__)
    parser.add_argument("model", type=Path, help="checkpoint or bundle folder")
    parser.add_argument("--data", required=True, help="real:FOLDER or sim:FOLDER (its validation nights)")
    parser.add_argument("--mode", nargs="+", default=["head"], choices=[mode.value for mode in Mode])
    parser.add_argument("--limit", type=int, help="use at most this many epochs, evenly spread")
    parser.add_argument("--free", type=int, default=0, help="decode this many texts without the grammar too")
    parser.add_argument("--device", help="torch device of a checkpoint")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    args = parser.parse_args(argv)
    if args.threads is not None:
        import torch

        torch.set_num_threads(args.threads)
    data = load_set(args.data).spread(args.limit)
    answerer = load_answerer(args.model, device=args.device, threads=args.threads)
    modes = [Mode(name) for name in dict.fromkeys(args.mode)]
    result = {"model": args.model.name, "data": args.data.partition(":")[0]}
    result |= evaluate(answerer, data, modes, free=args.free)
    for mode in modes:
        print("\n" + table(mode.value, result["modes"][mode.value]))
    for pair, share in result["same_stage"].items():
        print(f"same stage, {pair}: {share:.3f}")
    if "faithfulness" in result:
        _print_reasons("reasons", result["faithfulness"])
    if "free" in result:
        _print_reasons("free texts", result["free"])
    if args.out is not None:
        args.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0
