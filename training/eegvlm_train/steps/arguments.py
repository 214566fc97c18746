"""Command-line arguments the training steps share."""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import TypeVar

import torch
from transformers.utils import logging

from ..outputs import add_overwrite
from ..settings import RunSettings, load_settings

__all__ = ["add_run_arguments", "prepare_run", "settings_from"]

Settings = TypeVar("Settings", bound=RunSettings)


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, help="folder of labelled, measured nights")
    parser.add_argument("out", type=Path, help="folder of the run: state, log, checkpoint")
    parser.add_argument("--recipe", help="shipped recipe (nano-enhancement, nano-tower, ...) or a YAML file")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="override one setting"
    )
    parser.add_argument("--max-minutes", type=float, help="hard limit; the schedule ends with it")
    parser.add_argument("--max-nights", type=int, help="use at most this many nights of each split")
    parser.add_argument("--threads", type=int, help="CPU threads for torch")
    parser.add_argument("--resume", action="store_true", help="go on from OUT/state.pt where there is one")
    parser.add_argument("--tensorboard", action="store_true")
    add_overwrite(parser)


def settings_from(args: argparse.Namespace, cls: type[Settings]) -> Settings:
    overrides = {}
    for pair in args.set:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--set: {pair!r}; write NAME=VALUE")
        overrides[name] = value
    if args.max_minutes is not None:
        overrides["max_minutes"] = str(args.max_minutes)
    return load_settings(cls, args.recipe, overrides)


def prepare_run(seed: int, threads: int | None) -> None:
    """Seed every generator; on CPU use `threads`."""
    logging.disable_progress_bar()
    random.seed(seed)
    torch.manual_seed(seed)
    if threads is not None:
        torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
