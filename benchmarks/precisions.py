"""What each precision costs in stages that change, and what it saves in size and time on this processor.

    python -m benchmarks.precisions [CHECKPOINT] [--epochs 500] [--reasonings 100] [--json FILE]

The checkpoint is exported at every precision and compared on simulated epochs with itself in PyTorch, in
single precision. Then all of them are timed in turns on the same epochs: a pass of the tower, reading a
picture, a token more. Times are of the machine at hand with whatever else it does: trust ratios of one run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from eegvlm_export.build import Exported, export_bundle
from eegvlm_export.quantize.epochs import SIMULATED, load_epochs
from eegvlm_export.recipe import Recipe, load_recipe
from rich.console import Console
from rich.table import Table

from eegvlm_rt.backends import load_language_model, load_tower
from eegvlm_rt.errors import EegVlmError
from eegvlm_rt.rendering.renderer import RenderSpec, render_batch
from eegvlm_rt.signal.conditioning import Preprocessing

from ._common import bundle_facts, environment, percentiles, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eegvlm_rt.bundle import Bundle

__all__ = ["main", "measure"]

TOWERS: Final = ("fp32", "fp16", "int8")
MODELS: Final = ("fp32", "fp32_fused", "int4", "int4_fused")
REFERENCE: Final = {"tower": "fp32", "llm": "fp32_fused"}
"""What the others are held against in size and time; the language model as it is fastest in fp32."""

WARM_UP: Final = 3


def measure(
    checkpoint: Path, *, epochs: int, reasonings: int, rounds: int, threads: int, recipe: str = "nano"
) -> dict[str, Any]:
    """Export, compare and time; returns a JSON-able dictionary.

    Raises:
        EegVlmError, FileNotFoundError, ValueError: the checkpoint cannot be exported.
    """
    base = load_recipe(recipe)
    chosen = Recipe(
        tower="fp32",
        tower_variants=TOWERS[1:],
        llm="int4_fused",
        llm_variants=tuple(name for name in MODELS if name != "int4_fused"),
        block_size=base.block_size,
        method=base.method,
        head=base.head,
        grey=base.grey,
        calibration_epochs=base.calibration_epochs,
        parity_epochs=epochs,
        reasoning_epochs=reasonings,
    )
    with tempfile.TemporaryDirectory(prefix="eegvlm-precisions-") as folder:
        exported = export_bundle(checkpoint, Path(folder) / "bundle", chosen, threads=threads)
        times = _times(exported.bundle, rounds, threads)
        rows = _rows(exported, times)
        facts = bundle_facts(exported.bundle)
    return {
        "benchmark": "precisions",
        "environment": environment(threads),
        "bundle": facts,
        "epochs": epochs,
        "reasonings": reasonings,
        "rows": rows,
    }


def _rows(exported: Exported, times: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    figures, components = exported.figures, exported.bundle.manifest.components
    rows = []
    for part, names in (("tower", TOWERS), ("llm", MODELS)):
        sizes = {name: components[part].at(name).bytes for name in names}
        for name in names:
            figure = figures[part][name]
            row: dict[str, Any] = {
                "part": part,
                "precision": name,
                "bytes": sizes[name],
                "size_ratio": sizes[name] / sizes[REFERENCE[part]],
                "direct": figure["direct"]["agreement"],
            }
            if part == "tower":
                row["head"] = figure["head"]["agreement"]
                row["cosine"] = figure["visual_tokens"]["cosine"]
            elif name == components["llm"].precision:
                row["cot"] = figures["agreement"].get("cot")
            for kind, by_name in times.items():
                if name in by_name and kind.startswith(part):
                    reference = by_name[REFERENCE[part]]["p50"]
                    row[f"{kind}_ms"] = by_name[name]
                    row[f"{kind}_ratio"] = by_name[name]["p50"] / reference
            rows.append(row)
    return rows


def _times(bundle: Bundle, rounds: int, threads: int) -> dict[str, dict[str, Any]]:
    """Percentiles in ms by what was timed and precision; in turns on the same epoch, `rounds` times."""
    manifest = bundle.manifest
    spec = RenderSpec.from_dict(manifest.render)
    sample = load_epochs(
        SIMULATED, rounds + WARM_UP, Preprocessing.from_dict(dict(manifest.preprocessing)), "parity"
    )
    pictures = render_batch(sample, spec, output="f32")
    towers = {name: load_tower(bundle, threads=threads, precision=name) for name in TOWERS}
    models = {name: load_language_model(bundle, threads=threads, precision=name) for name in MODELS}
    times: dict[str, dict[str, list[float]]] = {
        "tower": {name: [] for name in TOWERS},
        "llm_picture": {name: [] for name in MODELS},
        "llm_token": {name: [] for name in MODELS},
    }
    token = next(iter(models.values())).embed([0])
    for picture in pictures:
        looks = np.asarray(towers["fp32"](picture[None]).visual_tokens)
        for name, tower in towers.items():
            times["tower"][name].append(_ms(partial(tower, picture[None])))
        for name, lm in models.items():
            cache = lm.extend(looks)
            times["llm_picture"][name].append(_ms(partial(lm.extend, looks)))
            times["llm_token"][name].append(_ms(partial(lm.step, token, cache)))
    return {
        kind: {name: percentiles(values[WARM_UP:]) for name, values in by_name.items()}
        for kind, by_name in times.items()
    }


def _ms(run: Callable[[], object]) -> float:
    start = perf_counter()
    run()
    return 1e3 * (perf_counter() - start)


def _print(results: dict[str, Any], console: Console) -> None:
    machine = results["environment"]
    console.print(
        f"{results['epochs']} epochs, {results['reasonings']} with reasoning; {machine['cpu']}, "
        f"{machine['threads']} threads, onnxruntime {machine['packages']['onnxruntime']}"
    )
    table = Table("part", "precision", "MB", "size", "head", "direct", "cot", "tower", "picture", "token")
    for row in results["rows"]:
        shares = (
            f"{row[name]:.1%}" if row.get(name) is not None else "" for name in ("head", "direct", "cot")
        )
        kinds = ("tower_ratio", "llm_picture_ratio", "llm_token_ratio")
        ratios = (f"{row[kind]:.2f}" if kind in row else "" for kind in kinds)
        size = (f"{row['bytes'] / 1e6:.2f}", f"{row['size_ratio']:.2f}")
        table.add_row(row["part"], row["precision"], *size, *shares, *ratios)
    console.print(table)
    console.print("sizes and times as shares of fp32 (p50); stages against the checkpoint in PyTorch, fp32")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status, 2 where the checkpoint cannot be exported."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.precisions", description=__doc__.split("\n")[0]
    )
    parser.add_argument("checkpoint", nargs="?", type=Path, default=Path("models/nano-checkpoint"))
    parser.add_argument("--recipe", default="nano", help="method, blocks and calibration (default: nano)")
    parser.add_argument("--epochs", type=int, default=500, help="epochs to compare on (default: 500)")
    parser.add_argument("--reasonings", type=int, default=100, help="of them with reasoning (default: 100)")
    parser.add_argument("--rounds", type=int, default=100, help="epochs to time (default: 100)")
    parser.add_argument("--threads", type=int, default=2, help="processors to use (default: 2)")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="also write all figures here")
    options = parser.parse_args(arguments)
    try:
        results = measure(
            options.checkpoint,
            epochs=options.epochs,
            reasonings=options.reasonings,
            rounds=options.rounds,
            threads=options.threads,
            recipe=options.recipe,
        )
    except (EegVlmError, FileNotFoundError, ValueError) as error:
        Console(stderr=True).print(str(error), markup=False)
        return 2
    _print(results, Console(width=110))
    if options.json is not None:
        write_json(options.json, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
