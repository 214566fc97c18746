"""`python -m eegvlm_train reproduce sleep-edf DIR OUT`: from a dataset of scored nights to tables of figures.

Runs `prepare`, the three training steps and `evaluate` on the people kept for the test, one after another.
What is done is marked in OUT and not done again; an interrupted training step goes on from its last state.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

import torch

from eegvlm_rt.files import claim_folder

from .cli import COMMANDS
from .outputs import add_overwrite
from .prepare.layouts import LAYOUTS

__all__ = ["main", "steps"]

_PREPARING = ("channel", "fold", "wake_minutes", "subjects")


def steps(args: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """Every command in order, with its arguments."""
    nights, size = args.out / "nights", "-gpu" if args.gpu else ""
    prepare = [args.layout, str(args.folder), str(nights), *(["--fetch"] if args.fetch else [])]
    for name in _PREPARING:
        value = getattr(args, name)
        if value is not None:
            values = value if isinstance(value, list) else [value]
            prepare += [f"--{name.replace('_', '-')}", *map(str, values)]
    yield "prepare", prepare

    def training(step: str) -> list[str]:
        inputs = [str(nights), str(args.out / step), "--recipe", f"nano-{step}{size}", "--resume"]
        for pair in args.set:
            inputs += ["--set", pair]
        if args.max_minutes is not None:
            inputs += ["--max-minutes", str(args.max_minutes)]
        return inputs

    yield "train-enhancement", training("enhancement")
    yield "train-tower", training("tower")
    networks = [f"--{name}={args.out / name}" for name in ("enhancement", "tower")]
    yield "train-language", [*training("language"), *networks]
    outputs = ["--out", str(args.out / "figures.json"), "--plots", str(args.out / "plots"), "--overwrite"]
    yield (
        "evaluate",
        [str(args.out / "language"), "--data", f"prepared:{nights}", "--mode", *args.mode, *outputs],
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="eegvlm_train reproduce", description=__doc__)
    parser.add_argument("layout", choices=sorted(LAYOUTS))
    parser.add_argument("folder", type=Path, metavar="DIR", help="the dataset")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for nights, runs and figures")
    parser.add_argument("--channel", help="EEG channel, as for `prepare`")
    parser.add_argument("--fold", help="I/K: test on the I-th of K parts of the subjects")
    parser.add_argument("--wake-minutes", type=float, help="wake kept around sleep, as for `prepare`")
    parser.add_argument("--fetch", action="store_true", help="download Sleep-EDF into DIR first (MNE)")
    parser.add_argument("--subjects", type=int, nargs="+", help="to fetch")
    parser.add_argument(
        "--gpu",
        action=argparse.BooleanOptionalAction,
        default=torch.cuda.is_available(),
        help="recipes for a GPU",
    )
    parser.add_argument("--max-minutes", type=float, help="limit of each training step")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="for every training step"
    )
    parser.add_argument(
        "--mode", nargs="+", default=["head", "direct", "cot"], choices=["head", "direct", "cot"]
    )
    add_overwrite(parser)
    args = parser.parse_args(argv)
    claim_folder(args.out, "reproduce", inputs=[args.folder], overwrite=args.overwrite)
    for name, arguments in steps(args):
        done = args.out / f"{name}.done"
        if done.exists():
            print(f"{name}: done before", flush=True)
            continue
        print(f"{name} {' '.join(arguments)}", flush=True)
        status = import_module(COMMANDS[name][0], __package__).main(arguments) or 0
        if status:
            return int(status)
        if name != "evaluate":
            done.touch()
    return 0
