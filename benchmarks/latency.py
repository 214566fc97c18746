"""Latency of one epoch by mode and phase, and what a fresh process needs.

    python -m benchmarks.latency [--bundle nano] [--epochs 100] [--threads N] [--json FILE]

Epochs are simulated. Each is staged alone, as at a bedside; `recording` is the time per epoch of a whole
recording, where several epochs are in work at a time, one for each processor. Times are of the machine at
hand, with whatever else it is doing: compare ratios, or numbers of one run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from eegvlm_rt.errors import EegVlmError
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.stager import Stager

from ._common import bundle_facts, environment, fresh, percentiles, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from eegvlm_rt.prediction import StagePrediction

__all__ = ["main", "measure", "summarize"]

MODES: Final = ("head", "direct", "cot")
PHASES: Final = ("render", "tower", "prefill", "decode", "total", "stage", "first_token")
WARM_UP: Final = 3
EPOCH_SAMPLES: Final = 3000
SHORTEST_NIGHT_H: Final = 0.5


def measure(bundle: str, epochs: int, threads: int | None) -> dict[str, Any]:
    """Stage `epochs` simulated epochs in every mode; returns a JSON-able dictionary of all figures.

    Raises:
        EegVlmError: the bundle cannot be used. RuntimeError: a fresh process failed.
    """
    signal = _signal(epochs + WARM_UP)
    stager = Stager.load(bundle, threads=threads)
    modes = {mode: summarize(_stage(stager, signal, mode)) for mode in MODES}
    facts = bundle_facts(stager.bundle)
    used = stager.threads
    del stager
    return {
        "benchmark": "latency",
        "environment": environment(used),
        "bundle": facts,
        "epochs": epochs,
        "modes": modes,
        "fresh": _fresh(bundle, threads, signal),
    }


def summarize(predictions: Sequence[StagePrediction]) -> dict[str, Any]:
    """Percentiles in ms of every phase that took place, tokens per second and tokens per epoch.

    `stage` is the time from the conditioned signal to the stage probabilities, `first_token` to the first
    text, `per_token` that of decoding divided by the tokens of the text, most of which the grammar gives.
    """
    figures: dict[str, Any] = {}
    for phase in PHASES:
        values = [getattr(p.timing, f"{phase}_ms") for p in predictions]
        if any(values):
            figures[f"{phase}_ms"] = percentiles(values)
    tokens = sum(p.timing.tokens for p in predictions)
    if tokens:
        decode_ms = sum(p.timing.decode_ms for p in predictions)
        figures["per_token_ms"] = percentiles([p.timing.decode_ms / p.timing.tokens for p in predictions])
        figures["tokens_per_s"] = 1e3 * tokens / decode_ms
        figures["tokens_per_epoch"] = tokens / len(predictions)
        figures["steps_per_epoch"] = sum(p.timing.steps for p in predictions) / len(predictions)
    return figures


def _signal(epochs: int) -> NDArray[np.float32]:
    hours = max(SHORTEST_NIGHT_H, (epochs + 1) * 30 / 3600)
    return simulate_night(1, hours=hours).samples_uv[: epochs * EPOCH_SAMPLES]


def _stage(stager: Stager, signal: NDArray[np.float32], mode: str) -> list[StagePrediction]:
    epochs = signal.reshape(-1, EPOCH_SAMPLES)
    return [stager.predict_epoch(x, 100.0, mode=mode) for x in epochs][WARM_UP:]


def _fresh(bundle: str, threads: int | None, signal: NDArray[np.float32]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "signal.npy"
        np.save(path, signal)
        return {
            mode: fresh("benchmarks._fresh_stager", bundle, mode, str(threads or 0), str(path))
            for mode in MODES
        }


def _print(results: dict[str, Any], console: Console) -> None:
    facts, machine = results["bundle"], results["environment"]
    console.print(
        f"[bold]{facts['model_id']}[/] {facts['digest'][:16]}  {results['epochs']} epochs, one at a time"
    )
    console.print(
        f"{machine['cpu']}, {machine['threads']} of {machine['cpus_usable']} processors, "
        f"onnxruntime {machine['packages']['onnxruntime']}, Python {machine['python']}"
    )
    if machine["load_average"]:
        console.print(
            f"load average {machine['load_average'][0]:.1f}: other work on the machine slows this down"
        )
    table = Table("mode", "phase", "p50 ms", "p95 ms", "p99 ms")
    for column in table.columns[2:]:
        column.justify = "right"
    for mode, phases in results["modes"].items():
        for name, figures in phases.items():
            if isinstance(figures, dict):
                numbers = (f"{figures[key]:.2f}" for key in ("p50", "p95", "p99"))
                table.add_row(mode, name.removesuffix("_ms").replace("_", " "), *numbers)
        table.add_section()
    console.print(table)
    cot = results["modes"]["cot"]
    if "tokens_per_s" in cot:
        console.print(
            f"cot: {cot['tokens_per_s']:.0f} tokens/s, {cot['tokens_per_epoch']:.0f} tokens "
            f"in {cot['steps_per_epoch']:.1f} runs of the language model per epoch"
        )
    table = Table("fresh process", "import s", "load s", "recording ms/epoch", "loaded MiB", "peak MiB")
    for column in table.columns[1:]:
        column.justify = "right"
    for mode, figures in results["fresh"].items():
        table.add_row(
            mode,
            f"{figures['import_s']:.2f}",
            f"{figures['load_s']:.2f}",
            f"{figures['recording_ms_per_epoch']:.1f}",
            f"{figures['loaded_mib']:.0f}",
            f"{figures['peak_mib']:.0f}",
        )
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status, 2 where the bundle cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__.split("\n")[0])
    parser.add_argument("--bundle", default="nano", help="name or folder of a bundle (default: nano)")
    parser.add_argument(
        "--epochs", type=int, default=100, help="epochs to stage in every mode (default: 100)"
    )
    parser.add_argument(
        "--threads", type=int, default=None, help="processors to use (default: those at hand)"
    )
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="also write all figures here")
    options = parser.parse_args(arguments)
    if options.epochs < 1:
        parser.error(f"--epochs: {options.epochs}; give at least 1")
    try:
        results = measure(options.bundle, options.epochs, options.threads)
    except EegVlmError as error:
        Console(stderr=True).print(str(error), markup=False)
        return 2
    _print(results, Console())
    if options.json is not None:
        write_json(options.json, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
