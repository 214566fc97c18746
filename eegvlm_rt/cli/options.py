"""Options that several commands take, by one name each, and the values that they accept."""

from __future__ import annotations

import argparse
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "BACKENDS",
    "FORMATS",
    "MODES",
    "REASONS",
    "UNITS",
    "OldName",
    "count",
    "format_option",
    "hours",
    "integer",
    "model_options",
    "old_names",
    "overwrite_option",
    "seconds",
    "seed",
    "trust_option",
    "unit_option",
]

MODES = ("head", "direct", "cot")
REASONS = ("all", "few", "none")
UNITS = ("uV", "mV", "V", "nV")
BACKENDS = ("onnxruntime", "cuda", "cuda+cpu", "tensorrt")
FORMATS = ("edf-rk", "json", "bids", "bids-hypnogram", "profusion", "edfbrowser")


class OldName(argparse.Action):
    """An option under the name that it had before: it works for one release and names the new one."""

    def __init__(self, option_strings: Sequence[str], dest: str, new: str, **more: Any) -> None:
        super().__init__(option_strings, dest, help=argparse.SUPPRESS, default=argparse.SUPPRESS, **more)
        self.new = new

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option: str | None = None,
    ) -> None:
        """Take the value, and warn."""
        warnings.warn(f"{option} goes in the next release: use {self.new}", DeprecationWarning, stacklevel=2)
        setattr(namespace, self.dest, values)


def old_names(command: argparse.ArgumentParser, **names: str) -> None:
    """Keep the names that options had: `deadline="--deadline-s"`."""
    actions = {option: action for action in command._actions for option in action.option_strings}
    for old, new in names.items():
        kind: Any = actions[new].type
        name = f"--{old.replace('_', '-')}"
        command.add_argument(name, dest=actions[new].dest, action=OldName, new=new, type=kind)


def overwrite_option(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--overwrite",
        action="store_true",
        help="replace files that eegvlm-rt did not write, or that were changed since; never an input",
    )


def unit_option(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--unit", choices=UNITS, help="unit of the samples where the source does not say, or is wrong"
    )


def model_options(
    command: argparse.ArgumentParser, *, reasons: str = "", mode: str = "cot", threads: str = "its choice"
) -> None:
    """`mode` and `threads` are the defaults, the latter in words."""
    command.add_argument("--bundle", default="nano", metavar="NAME|DIR", help="trained model (default: nano)")
    command.add_argument(
        "--mode",
        choices=MODES,
        default=mode,
        help="head: the vision tower's stage head; direct: the language model's stage; "
        f"cot: its reasoning, then the stage (default: {mode})",
    )
    if reasons:
        command.add_argument("--reasons", choices=REASONS, help=f"print the full reasons ({reasons})")
    command.add_argument(
        "--threads", type=count, metavar="N", help=f"threads of the model (default: {threads})"
    )
    command.add_argument(
        "--backend",
        choices=BACKENDS,
        default=BACKENDS[0],
        help="cuda: ONNX Runtime on an NVIDIA GPU; cuda+cpu: the same, head and night memory on the CPU; "
        "tensorrt: plans that 'bundle build-engines' built here "
        "(default: onnxruntime, on the CPU)",
    )
    command.add_argument(
        "--no-memory", action="store_true", help="stage every epoch alone, without the memory of the night"
    )
    trust_option(command)


def trust_option(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--trusted-keys",
        metavar="FILE",
        help="refuse a bundle that none of these keys signed (default: $EEGVLM_RT_TRUSTED_KEYS)",
    )


def format_option(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--format",
        action="append",
        choices=FORMATS,
        help="write the hypnogram to --out in this form too; may be given again",
    )


def count(text: str) -> int:
    return integer(text, low=1)


def seed(text: str) -> int:
    return integer(text, low=0)


def integer(text: str, *, low: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value < 2**31:
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number from {low}")
    return value


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 < value < 86_400:
        raise argparse.ArgumentTypeError(f"{text!r}: give seconds above 0")
    return value


def hours(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.1 <= value <= 24:
        raise argparse.ArgumentTypeError(f"{text!r}: give hours from 0.1 to 24")
    return value
