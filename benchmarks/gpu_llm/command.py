"""The language model of LLaVA-1.5-7B or -13B in 4 bits on a GPU: ONNX Runtime beside PyTorch, in one run.

    python -m benchmarks.gpu_llm [--size 7b] [--max-seconds 230] [--json FILE]

Random weights take the time and the memory of trained ones: this measures speed, never accuracy. ONNX Runtime
runs graphs of our exporter: with fused attention, recorded as CUDA graphs or not, and of standard operators
(Q/DQ). PyTorch runs half precision and bitsandbytes' NF4 by the loop of `benchmarks.paper_size`, which
records steps as CUDA graphs too. Texts are counted in tokens as there. Where the share of the bandwidth floor
is given, the floor is every weight and every key and value read once, at the rate of a copy on the device,
bytes read and written counted. `--on host --size tiny` runs every step of ONNX Runtime's part without a GPU.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnxruntime as ort
import torch
from eegvlm_export.graphs.language import head_dim, kv_heads

from eegvlm_rt.devices.host import HostDevice
from eegvlm_rt.hardware import probe

from .._common import command_line, environment
from .._paper_answers import Effort, Subject
from .._record import Record, shortfalls
from ..paper_size import ceilings, device_facts
from .graphs import FACTS, GRAPH, PRECISIONS, SIZES, config_of
from .ours import VISUAL_TOKENS, Ours

if TYPE_CHECKING:
    from collections.abc import Sequence
    from subprocess import Popen

    from eegvlm_rt.devices import Device

__all__ = ["main"]

VARIANTS: Final = (
    # name, precision, recorded, kernels for half-precision activations
    ("fused, recorded", "int4_half_fused", True, False),
    ("fused, recorded, half products", "int4_half_fused", True, True),
    ("fused", "int4_half_fused", False, False),
    ("Q/DQ", "int4_half", False, False),
)


def used_bytes() -> int:
    """Memory of the GPU that is taken, by anybody."""
    free, total = torch.cuda.mem_get_info()
    return total - free


def measure_ours(
    record: Record,
    options: argparse.Namespace,
    paths: dict[str, Path],
    facts: dict[str, Any],
    device: Device,
) -> None:
    """Every variant of ONNX Runtime's, one after another."""
    gpu = device.kind == "cuda"
    reference: np.ndarray | None = None
    for name, precision, graphs, half_products in VARIANTS:
        if precision not in facts or name in options.without:
            continue
        place: dict[str, Any] = {"name": name, "precision": precision}
        record.results["models"][name] = place
        models: list[Ours] = []

        def load(
            precision: str = precision,
            graphs: bool = graphs,
            half: bool = half_products,
            models: list[Ours] = models,
        ) -> dict[str, Any]:
            before = used_bytes() if gpu else 0
            config = config_of(options.size)
            fused = precision.endswith("fused")
            models.append(
                Ours(paths[precision], config, device, fused=fused, graphs=graphs, half_products=half)
            )
            models[0]._direct()
            return {"load_s": models[0].load_s, "gpu_bytes": used_bytes() - before if gpu else 0}

        if record.part(place, "memory", load) is None:
            continue
        ours = models[0]
        record.part(place, "same_again", ours.repeated)
        record.part(place, "decode", partial(ours.decode, options.tokens))
        record.part(place, "prefill", ours.prefill)
        record.part(place, "answers", partial(ours.answers, options.rationales))
        record.part(place, "runs", ours.runs)
        # Fused and standard graphs hold the same integers; a recorded step must give what the others give.
        logits: list[np.ndarray] = []
        record.part(place, "logits_off_the_first", partial(_off, ours, reference, logits))
        reference = logits[0] if reference is None and logits else reference
        if gpu and "decode" in place and "ceilings" in record.results:
            kv = 4 * ours.config.num_hidden_layers * kv_heads(ours.config) * head_dim(ours.config)
            tokens = VISUAL_TOKENS + ours.effort.prompt_tokens + options.tokens // 2
            bytes_read = facts[precision]["weight_bytes"] + kv * tokens
            place["floor"] = _floor(bytes_read, record.results["ceilings"], place["decode"])
            record.keep()
        ours.close()
        models.clear()
        del ours


def _off(ours: Ours, reference: np.ndarray | None, references: list[np.ndarray]) -> list[float]:
    """How far the logits of each step are from those of the first variant, as a share of their size."""
    logits = ours.logits()
    if not np.isfinite(logits).all():
        raise ValueError("logits: not finite")
    references.append(logits)
    expected = references[0] if reference is None else reference
    return [
        float(x) for x in np.linalg.norm(references[0] - expected, axis=1) / np.linalg.norm(expected, axis=1)
    ]


def _floor(bytes_read: int, ceiling: dict[str, Any], decode: dict[str, Any]) -> dict[str, float]:
    floor_ms = bytes_read / ceiling["gb_per_s"] / 1e6
    return {"bytes": bytes_read, "floor_ms": floor_ms, "share": floor_ms / decode["ms"]["p50"]}


def measure_torch(record: Record, options: argparse.Namespace) -> None:
    """PyTorch in half precision, then in NF4."""
    effort = Effort(rationales=options.rationales, repeats=15)
    subjects: list[Subject] = []

    def make() -> dict[str, Any]:
        subjects.append(Subject(options.size, "cuda", torch.float16, effort))
        return subjects[0].memory()

    for name in ("torch fp16", "torch nf4"):
        if name in options.without:
            continue
        place: dict[str, Any] = {"name": name}
        record.results["models"][name] = place
        first = make if not subjects else subjects[0].quantize
        if record.part(place, "memory", first) is None:
            return
        subject = subjects[0]
        record.part(place, "decode", partial(subject.decode, "graph", options.tokens))
        record.part(place, "answers", subject.answers)
        record.part(place, "prefill", subject.prefill)
        if "decode" in place and "ceilings" in record.results:
            memory = place["memory"]
            tokens = VISUAL_TOKENS + effort.prompt_tokens + options.tokens // 2
            bytes_read = memory["bytes_per_token"] + memory["kv_bytes_per_token"] * tokens
            place["floor"] = _floor(bytes_read, record.results["ceilings"], place["decode"])
            record.keep()
    subjects.clear()


def exporters(options: argparse.Namespace, folder: Path) -> list[Popen[bytes]]:
    """Processes that write the graphs; none where they were written before."""
    if options.graphs is not None:
        return []
    command = [sys.executable, "-m", "benchmarks.gpu_llm.graphs", options.size]
    rest = [str(options.block), str(folder)] + ([str(options.skeletons)] if options.skeletons else [])
    return [subprocess.Popen([*command, precision, *rest]) for precision in asked(options)]


def asked(options: argparse.Namespace) -> list[str]:
    """Precisions of the variants that are measured."""
    precisions = {precision for name, precision, *_ in VARIANTS if name not in options.without}
    return [precision for precision in PRECISIONS if precision in precisions]


def graph_facts(folder: Path, precision: str, size: str, until: float) -> dict[str, Any]:
    """Facts of a graph, once it is complete; raises RuntimeError where it is not in time, or of another
    size."""
    path = folder / precision / FACTS
    while not path.is_file():
        if time.monotonic() > until:
            raise RuntimeError(f"{path}: not written in time")
        time.sleep(0.2)
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if facts["size"] != size:
        raise RuntimeError(f"{path}: of {facts['size']}, not of {size}")
    return facts


def table(results: dict[str, Any]) -> list[str]:
    """The figures in short lines."""
    lines = [f"copy {results.get('ceilings', {}).get('gb_per_s', 0):.0f} GB/s"]
    for name, place in results["models"].items():
        row = [f"{name}:"]
        if "memory" in place:
            size = place["memory"].get("gpu_bytes") or place["memory"].get("allocated_bytes", 0)
            row.append(f"{size / 1e9:.2f} GB")
        for part in ("prefill", "decode"):
            figures = place.get(part, {})
            ms = figures.get("ms") or figures.get("merge_1", {}).get("ms")
            if ms:
                row.append(f"{part} {ms['p50']:.2f}/{ms['p95']:.2f}/{ms['p99']:.2f}")
        for key, ms in place.get("answers", {}).items():
            if key in ("head_ms", "direct_ms", "cot_ms", "rationale_ms"):
                row.append(f"{key} {ms['p50']:.1f}/{ms['p99']:.1f}")
        if "floor" in place:
            row.append(f"floor {place['floor']['floor_ms']:.2f} ms, share {place['floor']['share']:.2f}")
        if "runs" in place:
            row.append("runs " + " ".join(f"{n}:{ms['p50']:.2f}" for n, ms in place["runs"].items()))
        checks = ("logits_off_the_first", "same_again")
        row.extend(f"{key} {place[key]}" for key in checks if key in place)
        lines.append(" ".join(row))
    return lines + shortfalls(results)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns 0 where every part was measured, 1 where one failed or was left out."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_llm",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--size", choices=tuple(SIZES), default="7b")
    parser.add_argument("--on", choices=("cuda", "host"), default="cuda")
    parser.add_argument("--block", type=int, default=128, help="weights that share a scale")
    parser.add_argument("--tokens", type=int, default=200, help="single tokens to time")
    parser.add_argument("--rationales", type=int, default=3, help="texts of 300 tokens to time")
    parser.add_argument(
        "--skeletons", type=Path, default=None, help="folder of graphs that were traced before"
    )
    parser.add_argument("--graphs", type=Path, default=None, help="folder that `graphs` wrote before")
    names = [name for name, *_ in VARIANTS] + ["torch fp16", "torch nf4"]
    parser.add_argument(
        "--without", nargs="+", default=[], choices=names, metavar="NAME", help=", ".join(names)
    )
    parser.add_argument("--max-seconds", type=float, default=230.0, help="leave out what would start later")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="where the figures go")
    options = parser.parse_args(arguments)
    about = {
        "benchmark": "gpu_llm",
        "environment": environment(),
        "onnxruntime": {"package": probe().onnxruntime, "version": ort.__version__},
        "command": command_line("gpu_llm", arguments),
        "models": {},
    }
    record = Record(options.json, options.max_seconds, about)
    device: Device = HostDevice()
    if options.on == "cuda":
        from eegvlm_rt.backends.on_device.ort_graph import check_cuda_provider
        from eegvlm_rt.devices.cuda import CudaDevice

        check_cuda_provider()
        device = CudaDevice(0, extra="cuda")
    with tempfile.TemporaryDirectory(prefix="eegvlm-gpu-llm-") as name, torch.no_grad():
        folder = options.graphs or Path(name)
        writers = exporters(options, folder)
        record.part(record.results, "device", device_facts)
        if options.on == "cuda":
            record.part(record.results, "ceilings", ceilings)
            record.part({}, "PyTorch", partial(measure_torch, record, options))
            torch.cuda.empty_cache()
        facts = record.results["graphs"] = {}
        for precision in asked(options):
            run = partial(graph_facts, folder, precision, options.size, record.until)
            record.part(facts, precision, run)
        paths = {precision: folder / precision / GRAPH for precision in PRECISIONS}
        measure_ours(record, options, paths, facts, device)
        for writer in writers:
            writer.wait()
    print("\n".join(table(record.results)))
    return 0 if record.whole else 1


if __name__ == "__main__":
    sys.exit(main())
