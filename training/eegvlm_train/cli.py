"""`python -m eegvlm_train COMMAND ...`"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from eegvlm_rt.extras import install_command
from eegvlm_rt.versions import version_text

__all__ = ["COMMANDS", "main"]

COMMANDS: dict[str, tuple[str, str]] = {
    "fit-simulator": (".sleep_edf.fit", "course and spectra of real nights, for the simulator"),
    "fit-cycles": (".sleep_edf.cycles", "cycles of real nights, for the runtime's offline step"),
    "band-power": (".teachers.band_power_training", "the stager of band powers, from experts' stages"),
    "simulate": (".prepare.simulate", "simulate and condition nights"),
    "prepare": (".prepare", "turn a real dataset into a training folder"),
    "label": (".teachers", "label nights by real-trained teachers"),
    "amplify": (".prepare.amplify", "nights, and copies of them with another gain"),
    "findings": (".data.findings", "measure the findings of every epoch"),
    "tokenizer": (".model.tokenizer", "build the nano tokenizer"),
    "train-enhancement": (".steps.enhancement", "step 1: the enhancement module"),
    "train-tower": (".steps.tower", "step 2: the CLIP tower"),
    "train-vision": (".steps.vision", "steps 1 and 2 in one run"),
    "train-memory": (".steps.memory", "the night memory, on what the enhancement module reads"),
    "join-memories": (".model.joined_memory", "the members of several night memories side by side"),
    "language-model": (".model.language_models", "make a chat model the language model"),
    "train-language": (".steps.language", "step 3: projector and language model"),
    "assemble": (".model.assembly", "the model that step 3 starts from"),
    "merge": (".model.lora", "put an adapter into its checkpoint"),
    "ablate": (".steps.ablate", "what each part is worth: the variants of a recipe"),
    "calibrate": (".evaluation.calibrate", "temperatures, smoother, test for foreign signals"),
    "evaluate": (".evaluation.evaluate", "agreement, calibration, faithfulness"),
    "evaluate-nights": (
        ".evaluation.nights",
        "agreement of a bundle over whole nights, with and without memory",
    ),
    "report": (".evaluation.pages", "every evaluation, and the tables of the documentation"),
    "reproduce": (".reproduce", "from a dataset of scored nights to the tables, in one command"),
    "realism": (".evaluation.realism", "simulated against real recordings"),
}


_EXTRAS = {
    "lora": ("peft", "bitsandbytes", "gguf"),
    "peers": ("gssc", "lightgbm", "mne", "yasa"),
    "viz": ("matplotlib",),
    "export": ("onnx", "onnxscript"),
}
"""The extra that installs a module, "train" where none is named."""


def _usage() -> str:
    lines = [f"  {name:<18}{what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(["usage: python -m eegvlm_train COMMAND ...", "", *lines])


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its module is imported only then."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(version_text("eegvlm_train"))
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        print(f"{name}: no such command\n\n{_usage()}", file=sys.stderr)
        return 2
    try:
        run: Callable[[Sequence[str]], int | None] = import_module(COMMANDS[name][0], __package__).main
        return run(rest) or 0
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        extra = next((extra for extra, names in _EXTRAS.items() if package in names), "train")
        print(f"{package}: not installed; {install_command(extra)}", file=sys.stderr)
        return 2
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
