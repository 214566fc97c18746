"""Where the commands of training may write: the rule of `eegvlm_rt.files`, and the option that lifts it."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from eegvlm_rt.cli.options import overwrite_option as add_overwrite
from eegvlm_rt.files import claim_folder, write_file

__all__ = ["add_overwrite", "claim_run", "write_text"]


def claim_run(args: argparse.Namespace, command: str, inputs: Iterable[Path | None]) -> None:
    """The folder `args.out` of a training run; one that is resumed has its state already.

    Raises OutputError where it is an input, or holds what others made.
    """
    resumed = args.resume and (args.out / "state.pt").is_file()
    claim_folder(args.out, command, inputs=inputs, overwrite=args.overwrite or resumed)


def write_text(path: Path, text: str, *, overwrite: bool) -> Path:
    """Write a file of results; raises OutputError for a file of another (unless `overwrite`)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_file(path, text.encode(), overwrite=overwrite)
