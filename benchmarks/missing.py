"""How many missing samples a stage bears: `python -m benchmarks.missing [--data FOLDER] [--json FILE]`.

Random packets of real and simulated nights are lost, of several lengths and shares, and one gap an epoch.
The stage of each epoch is held against the stage of the same epoch without loss, whatever the product says of
its outcome: so it is seen where stages hold, and whether the product's limit
(`eegvlm_rt.signal.quality.largest_loss`) lies there. What the product scores is counted as well.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from eegvlm_rt.errors import EegVlmError
from eegvlm_rt.prediction import Outcome
from eegvlm_rt.signal.quality import largest_loss
from eegvlm_rt.signal.units import EPOCH_S
from eegvlm_rt.stager import Stager
from eegvlm_rt.stages import Stage

from ._common import bundle_facts, environment, write_json
from .faults.signals import Signal, real_signals, simulated_signals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from eegvlm_rt.prediction import StagePrediction

__all__ = ["main", "measure"]

DATA: Final = Path(__file__).resolve().parents[2] / "shared" / "data"
PACKETS_S: Final = (0.004, 0.016, 0.047, 0.125, 0.25, 0.5, 1.0, 2.0, 5.0)
SHARES: Final = (0.02, 0.05, 0.08, 0.1, 0.12, 0.15, 0.2, 0.3, 0.4, 0.5)
ONE_GAP: Final = "one gap"
HOLDS: Final = 0.75
"""Share of the stages that are as without loss from which they are said to hold."""


@dataclass(frozen=True, slots=True)
class _Epoch:
    """An epoch with loss: its stage without and with, how much is missing, and what the product says."""

    real: bool
    before: Stage
    after: Stage | None
    missing: float
    outcome: Outcome

    @property
    def holds(self) -> bool:
        return self.before is self.after


def measure(bundle: str, signals: Sequence[Signal], *, seed: int, threads: int | None) -> dict[str, Any]:
    """All figures, JSON-able. Raises EegVlmError for a bundle that cannot be used."""
    stager = Stager.load(bundle, mode="head", threads=threads)
    started = time.perf_counter()
    groups: dict[tuple[str, float], list[_Epoch]] = defaultdict(list)
    for place, signal in enumerate(signals):
        clean = _stages(stager, signal.samples_uv, signal.sfreq)
        for kind, share, lost in _losses(signal, np.random.default_rng([seed, place])):
            damaged = signal.samples_uv.copy()
            damaged[lost] = np.nan
            for before, after in zip(clean, _stages(stager, damaged, signal.sfreq), strict=True):
                if before.outcome is Outcome.SCORED and before.stage is not None:
                    missing = after.quality.missing_share
                    epoch = _Epoch(signal.real, before.stage, after.stage, missing, after.outcome)
                    groups[kind, share].append(epoch)
    kinds = [*map(_name, PACKETS_S), ONE_GAP]
    return {
        "benchmark": "missing",
        "environment": environment(stager.threads),
        "bundle": bundle_facts(stager.bundle),
        "seed": seed,
        "elapsed_s": time.perf_counter() - started,
        "signals": [signal.to_dict() for signal in signals],
        "holds_from": HOLDS,
        "losses": [
            {"kind": kind, "share": share, **_figures(groups[kind, share])}
            for kind in kinds
            for share in SHARES
        ],
        "limits": [
            {
                "kind": kind,
                "measured": _limit([e for share in SHARES for e in groups[kind, share]]),
                "product": largest_loss(_gap_s(kind)) if kind != ONE_GAP else None,
            }
            for kind in kinds
        ],
        "scored": _scored([epoch for group in groups.values() for epoch in group]),
    }


def _losses(signal: Signal, rng: np.random.Generator) -> Iterator[tuple[str, float, NDArray[np.bool_]]]:
    """Kind and share of each loss, and the mask of the samples that are lost."""
    n, rate = len(signal.samples_uv), signal.sfreq
    for packet_s in PACKETS_S:
        size = max(1, round(packet_s * rate))
        for share in SHARES:
            lost = rng.random(-(-n // size)) < share
            yield _name(packet_s), share, np.repeat(lost, size)[:n]
    width = round(EPOCH_S * rate)
    for share in SHARES:
        mask = np.zeros(n, dtype=np.bool_)
        gap = round(share * width)
        for epoch in range(0, n, width):
            start = epoch + int(rng.integers(0, width - gap + 1))
            mask[start : start + gap] = True
        yield ONE_GAP, share, mask[:n]


def _stages(stager: Stager, samples_uv: NDArray[np.float32], sfreq: float) -> list[StagePrediction]:
    return list(stager.predict_recording(samples_uv, sfreq=sfreq, batch=16))


def _figures(epochs: Sequence[_Epoch]) -> dict[str, Any]:
    scored = [epoch for epoch in epochs if epoch.outcome is Outcome.SCORED]
    return {
        "epochs": len(epochs),
        "same": sum(epoch.holds for epoch in epochs),
        "same_real": sum(epoch.holds for epoch in epochs if epoch.real),
        "epochs_real": sum(epoch.real for epoch in epochs),
        "false_n3": sum(e.after is Stage.N3 and e.before is not Stage.N3 for e in epochs),
        "scored": len(scored),
        "scored_same": sum(epoch.holds for epoch in scored),
    }


def _scored(epochs: Sequence[_Epoch]) -> dict[str, Any]:
    """What the product scores, and that nothing of it was mostly not there."""
    scored = [epoch for epoch in epochs if epoch.outcome is Outcome.SCORED]
    return {
        "epochs": len(epochs),
        "scored": len(scored),
        "same": sum(epoch.holds for epoch in scored),
        "false_n3": sum(e.after is Stage.N3 and e.before is not Stage.N3 for e in scored),
        "mostly_missing": sum(epoch.missing > 0.5 for epoch in scored),
    }


def _limit(epochs: Sequence[_Epoch]) -> float | None:
    """Largest share that is missing, in the epoch itself, up to which stages hold; None where they always do.

    Epochs are put in order by that share and taken by the hundred and more.
    """
    some = sorted((epoch for epoch in epochs if epoch.missing > 0), key=lambda epoch: epoch.missing)
    size = max(100, len(some) // 40)
    for start in range(0, len(some) - size + 1, size):
        group = some[start : start + size]
        if np.mean([epoch.holds for epoch in group]) < HOLDS:
            return float(np.mean([epoch.missing for epoch in group]))
    return None


def _name(packet_s: float) -> str:
    return f"{1e3 * packet_s:g} ms"


def _gap_s(kind: str) -> float:
    return float(kind.removesuffix(" ms")) / 1e3


def _print(results: dict[str, Any], console: Console) -> None:
    machine, scored = results["environment"], results["scored"]
    epochs = sum(signal["epochs"] for signal in results["signals"])
    model = results["bundle"]["model_id"]
    console.print(
        f"[bold]{model}[/], {epochs} epochs of {len(results['signals'])} nights, seed {results['seed']}, "
        f"{results['elapsed_s']:.0f} s; {machine['cpu']}, Python {machine['python']}"
    )
    names = ("lost in", *(f"{100 * share:g}%" for share in SHARES), "holds to", "limit")
    table = Table(*names, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column in table.columns[1:]:
        column.justify = "right"
    for limit in results["limits"]:
        rows = [row for row in results["losses"] if row["kind"] == limit["kind"]]
        measured, product = limit["measured"], limit["product"]
        table.add_row(
            limit["kind"],
            *(f"{100 * row['same'] / max(1, row['epochs']):.0f}" for row in rows),
            "-" if measured is None else f"{100 * measured:.0f} %",
            "-" if product is None else f"{100 * product:.0f} %",
        )
    console.print(table)
    same = 100 * scored["same"] / max(1, scored["scored"])
    console.print(
        "Percent of stages that are those without loss; holds to: the share at which fewer than "
        f"{100 * HOLDS:.0f} are; limit: the product's. It scored {scored['scored']} of {scored['epochs']} "
        f"epochs: {same:.1f} % have the stage that they have without loss, {scored['false_n3']} a wrong N3; "
        f"{scored['mostly_missing']} were mostly missing."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 1 where an epoch is scored that is mostly missing, 2 where it cannot be run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.missing", description=__doc__.split("\n")[0])
    parser.add_argument("--bundle", default="nano", help="name or folder of a bundle (default: nano)")
    parser.add_argument("--seed", type=int, default=0, help="of what is lost (default: 0)")
    parser.add_argument("--epochs", type=int, default=60, help="of each night (default: 60)")
    parser.add_argument(
        "--data", type=Path, default=DATA, help=f"folder of real recordings (default: {DATA})"
    )
    parser.add_argument("--threads", type=int, default=None, help="processors (default: those at hand)")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="also write all figures here")
    options = parser.parse_args(arguments)
    console, errors = Console(), Console(stderr=True)
    try:
        signals = simulated_signals()
        if options.data.is_dir():
            signals = real_signals(options.data) + signals
        else:
            errors.print(f"no real recordings at {options.data}: simulated nights only", markup=False)
        signals = [signal.first(min(options.epochs, signal.epochs)) for signal in signals]
        results = measure(options.bundle, signals, seed=options.seed, threads=options.threads)
    except (EegVlmError, FileNotFoundError) as error:
        errors.print(str(error), markup=False)
        return 2
    _print(results, console)
    if options.json is not None:
        write_json(options.json, results)
    return int(results["scored"]["mostly_missing"] > 0)


if __name__ == "__main__":
    sys.exit(main())
