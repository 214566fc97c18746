"""A bundle on an NVIDIA GPU through ONNX Runtime, beside the CPU.

    python -m benchmarks.cuda [--epochs 500] [--night 960] [--max-seconds 170] [--json FILE]

Needs `onnxruntime-gpu`; `--on host` runs the same code in host memory, to try the command without a GPU.
Epochs are simulated. Both sides run the same graphs: `int4` of standard operators, and `int4_half_fused`,
made here from the same integers. `int4` that decodes the texts of `--texts` epochs in the same runs is a
subject of its own. Parts are written as they are done, the most important first; what would begin after
`--max-seconds` is left out and named.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import onnxruntime as ort

from eegvlm_rt.bundle import Bundle, find_bundle
from eegvlm_rt.hardware import probe
from eegvlm_rt.rendering.renderer import render_batch
from eegvlm_rt.simulator import simulate_night

from .._common import bundle_facts, command_line, environment
from .._record import Record, shortfalls
from .alone import PARTS, begin_alone
from .equality import by_layer
from .half_bundle import PRECISION, with_half_fused
from .measures import (
    EPOCH_SAMPLES,
    MODES,
    compared,
    gpu_facts,
    latency,
    many_nights,
    night,
    timed_into,
    together,
)
from .side_by_side import side_by_side
from .subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eegvlm_rt.prediction import StagePrediction
    from eegvlm_rt.stager import Stager

__all__ = ["main"]

CPU_THREADS: Final = 2


def measure(record: Record, options: argparse.Namespace, folder: Path) -> None:
    """All parts, the most important first."""
    results = record.results
    bundle = Bundle.open(find_bundle(options.bundle))
    results["bundle"] = bundle_facts(bundle)
    if options.on == "cuda":
        record.part(results, "gpu", gpu_facts)
    hours = (options.epochs + 2) * 30 / 3600
    signal = simulate_night(3, hours=max(0.5, hours)).samples_uv[: options.epochs * EPOCH_SAMPLES]
    plain = Subject("gpu int4", options.on, "int4", options.tower)
    many = together(options)
    half = Subject("gpu int4_half_fused", options.on, PRECISION, options.tower, graphs=not options.no_graphs)
    cpu = Subject("cpu int4", "cpu", "int4", options.tower)
    fused = Subject("cpu int4_fused", "cpu", "int4_fused", options.tower)
    path = bundle.path
    bundle_folder: Path | None = record.part(
        results,
        "half_bundle",
        lambda: str(with_half_fused(bundle, folder / "bundle", options.skeleton).path),
    )
    subjects = [cpu, plain, many] if bundle_folder is None else [cpu, plain, many, half]
    stagers: dict[str, Stager] = {}
    rows = results["subjects"] = {s.name: {"name": s.name, **vars(s)} for s in (*subjects, fused)}

    def load(subject: Subject, threads: int) -> dict[str, float]:
        stager, seconds = subject.load(Path(bundle_folder) if bundle_folder else path, threads)
        stagers[subject.name] = stager
        begin = time.perf_counter()
        stager.predict_epoch(signal[:EPOCH_SAMPLES], 100.0, mode="cot")
        return {"load_s": seconds, "first_answer_s": time.perf_counter() - begin}

    for subject in subjects:
        record.part(rows[subject.name], "start", partial(load, subject, 4))
    # Equality, on the same epochs in the same order.
    expected: dict[str, list[StagePrediction]] = {}
    for mode in MODES:
        place = results.setdefault("equality", {}).setdefault(mode, {"name": f"equality {mode}"})
        record.part(
            place, "cpu_s", partial(timed_into, expected, mode, stagers["cpu int4"], signal, options.batch)
        )
        for subject in subjects[1:]:
            if subject.name in stagers and mode in expected:
                record.part(
                    place,
                    subject.name,
                    partial(compared, stagers[subject.name], signal, mode, options, expected[mode]),
                )
    # One epoch alone, and the layers of the models, are the same with and without other texts.
    singles = [subject for subject in subjects if subject is not many]
    for subject in singles:
        if subject.name in stagers:
            for mode in reversed(MODES):
                place = rows[subject.name].setdefault("latency", {"name": f"{subject.name} latency"})
                record.part(
                    place, mode, partial(latency, stagers[subject.name], signal, mode, options.latency)
                )
    spec = stagers["cpu int4"]._pipeline.render_spec
    pictures = render_batch(signal[: 16 * EPOCH_SAMPLES].reshape(-1, EPOCH_SAMPLES), spec, output="f32")
    for subject in singles[1:]:
        if subject.name in stagers:
            record.part(
                rows[subject.name],
                "by_layer",
                partial(by_layer, stagers[subject.name], stagers["cpu int4"], pictures),
            )
    # Whole nights: the CPU with two threads and the graph that is best there.
    long = simulate_night(5, hours=options.night * 30 / 3600).samples_uv
    stagers.pop("cpu int4", None)
    record.part(rows[fused.name], "start", partial(load, fused, CPU_THREADS))
    for mode in reversed(MODES):
        for subject in (*subjects[1:], fused):
            if subject.name in stagers:
                place = rows[subject.name].setdefault("night", {"name": f"{subject.name} night"})
                batch = 1 if subject is fused else options.batch
                record.part(place, mode, partial(night, stagers[subject.name], long, mode, batch))
    if many.name in stagers:
        run = partial(side_by_side, stagers[many.name], long, options.texts)
        record.part(rows[many.name], "side_by_side", run)
    best = next((s for s in (many, half) if s.name in stagers), plain)
    stagers.clear()
    where = Path(bundle_folder) if bundle_folder else path
    many_nights(record, where, [best], options.processes, options.busy_s)


def table(results: dict[str, Any]) -> list[str]:
    """The figures in short lines."""
    lines = []
    for mode, place in results.get("equality", {}).items():
        for name, figures in place.items():
            if isinstance(figures, dict):
                shown = {k: round(v, 5) if isinstance(v, float) else v for k, v in figures.items()}
                lines.append(f"{mode:6} {name}: {shown}")
    for name, row in results.get("subjects", {}).items():
        for mode in MODES:
            ms = row.get("latency", {}).get(mode, {}).get("ms", {})
            whole = row.get("night", {}).get(mode, {}).get("s")
            if ms or whole:
                times = ", ".join(f"{key} {value:.2f}" for key, value in ms.items())
                lines.append(f"{name} {mode}: {times} ms; night {whole and round(whole, 2)} s")
        if "by_layer" in row:
            lines.append(f"{name} by layer: {row['by_layer']}")
        if "side_by_side" in row:
            lines.append(f"{name} side by side: {row['side_by_side']}")
        if "start" in row:
            lines.append(f"{name} start: {row['start']}")
    for mode, figures in results.get("many_nights", {}).items():
        if isinstance(figures, dict):
            lines.append(f"many nights {mode}: {figures}")
    return lines + shortfalls(results)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns 0 where every part was measured, 1 where one failed or was left out."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cuda",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bundle", default="nano", help="name or folder of a bundle that holds int4")
    parser.add_argument("--tower", default="fp16", help="precision of the tower")
    parser.add_argument("--on", choices=("cuda", "host"), default="cuda")
    parser.add_argument("--epochs", type=int, default=500, help="epochs of the comparison")
    parser.add_argument("--latency", type=int, default=200, help="epochs that are timed alone")
    parser.add_argument("--night", type=int, default=960, help="epochs of the night")
    parser.add_argument("--batch", type=int, default=16, help="pictures that go through the tower together")
    parser.add_argument("--texts", type=int, default=128, help="epochs whose texts are decoded in one run")
    parser.add_argument(
        "--processes", type=int, nargs="+", default=[8], help="nights that are staged side by side, in turn"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=tuple(PARTS),
        default=[],
        help="busy: many nights alone; small: head and memory on the CPU beside all on the GPU; "
        "int8: the tower in 8 bits",
    )
    parser.add_argument("--busy-s", type=float, default=10.0, help="seconds of nights side by side")
    parser.add_argument(
        "--skeleton", type=Path, default=None, help="graph without weights that was traced before"
    )
    parser.add_argument("--int8-tower", type=Path, default=None, help="tower in 8 bits that was made before")
    parser.add_argument("--no-graphs", action="store_true", help="launch every operator, record nothing")
    parser.add_argument("--max-seconds", type=float, default=170.0, help="leave out what would start later")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="where the figures go")
    options = parser.parse_args(arguments)
    counts = ("epochs", "latency", "night", "batch", "texts")
    if min(*options.processes, *(getattr(options, name) for name in counts)) < 1:
        parser.error(f"{', '.join(f'--{name}' for name in counts)}, --processes: give at least 1")
    about = {
        "benchmark": "cuda",
        "environment": environment(),
        "onnxruntime": {"package": probe().onnxruntime, "version": ort.__version__},
        "command": command_line("cuda", arguments),
    }
    record = Record(options.json, options.max_seconds, about)
    with tempfile.TemporaryDirectory(prefix="eegvlm-cuda-") as folder:
        if not options.only:
            measure(record, options, Path(folder))
        else:
            begin_alone(record, options)
        for part in options.only:
            PARTS[part](record, options, Path(folder))
    print("\n".join(table(record.results)))
    return 0 if record.whole else 1


if __name__ == "__main__":
    sys.exit(main())
