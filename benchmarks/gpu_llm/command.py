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
from dataclasses import dataclass
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
from .graphs import FACTS, GRAPH, PRECISIONS, SIZES, config_of, folder_of
from .ours import VISUAL_TOKENS, Ours

if TYPE_CHECKING:
    from collections.abc import Sequence
    from subprocess import Popen

    from eegvlm_rt.devices import Device

__all__ = ["main"]


@dataclass(frozen=True)
class Variant:
    """One way to run the model: a graph, and what is asked of ONNX Runtime."""

    name: str
    precision: str
    block: int = 128
    recorded: bool = True
    half_products: bool = False
    attention: str | None = None

    @property
    def graph(self) -> tuple[str, int]:
        """The graph it runs: its precision, and the weights that share a scale."""
        return self.precision, self.block

    @property
    def fused(self) -> bool:
        """Whether keys and values are appended in place."""
        return PRECISIONS[self.precision] != "standard"


MERGED: Final = "int4_half_merged"

# ONNX Runtime's packages hold the kernels for half-precision activations for blocks of 32 alone.
VARIANTS: Final = (
    Variant("merged, recorded, half products", MERGED, 32, half_products=True),
    Variant("merged, recorded, half products, flash", MERGED, 32, half_products=True, attention="flash"),
    Variant("merged, recorded", MERGED),
    Variant("fused, recorded", "int4_half_fused"),
    Variant("merged, recorded, blocks of 32", MERGED, 32),
    Variant("fused", "int4_half_fused", recorded=False),
    Variant("Q/DQ", "int4_half", recorded=False),
)


def used_bytes() -> int:
    """Memory of the GPU that is taken, by anybody."""
    free, total = torch.cuda.mem_get_info()
    return total - free


def measure_ours(
    record: Record,
    options: argparse.Namespace,
    paths: dict[tuple[str, int], Path],
    facts: dict[str, Any],
    device: Device,
) -> None:
    """Every variant of ONNX Runtime's, one after another."""
    gpu = device.kind == "cuda"
    # Logits of the first variant of each graph's integers: blocks of another size hold other numbers.
    references: dict[int, np.ndarray] = {}
    for variant in VARIANTS:
        name = variant.name
        if variant.graph not in paths or name in options.without:
            continue
        graph = folder_of(Path(), *variant.graph).name
        place: dict[str, Any] = {"name": name, "precision": variant.precision, "graph": graph}
        record.results["models"][name] = place
        models: list[Ours] = []

        def load(variant: Variant = variant, models: list[Ours] = models) -> dict[str, Any]:
            before = used_bytes() if gpu else 0
            models.append(
                Ours(
                    paths[variant.graph],
                    config_of(options.size),
                    device,
                    fused=variant.fused,
                    graphs=variant.recorded,
                    half_products=variant.half_products,
                    attention=variant.attention,
                )
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
        if gpu:
            record.part(place, "gpu_ms", ours.gpu_ms)
        # Graphs of one block hold the same integers; a recorded step must give what the others give.
        logits: list[np.ndarray] = []
        reference = references.get(variant.block)
        record.part(place, "logits_off_the_first", partial(_off, ours, reference, logits))
        if reference is None and logits:
            references[variant.block] = logits[0]
        if gpu and "decode" in place and "ceilings" in record.results:
            kv = 4 * ours.config.num_hidden_layers * kv_heads(ours.config) * head_dim(ours.config)
            tokens = VISUAL_TOKENS + ours.effort.prompt_tokens + options.tokens // 2
            bytes_read = facts[graph]["weight_bytes"] + kv * tokens
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
    rest = [str(folder)] + ([str(options.skeletons)] if options.skeletons else [])
    return [subprocess.Popen([*command, precision, str(block), *rest]) for precision, block in asked(options)]


def asked(options: argparse.Namespace) -> list[tuple[str, int]]:
    """Graphs of the variants that are measured, in the order in which they are needed."""
    return list(dict.fromkeys(v.graph for v in VARIANTS if v.name not in options.without))


def graph_facts(folder: Path, size: str, until: float) -> dict[str, Any]:
    """Facts of a graph, once it is complete; raises RuntimeError where it is not in time, or of another
    size."""
    path = folder / FACTS
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
        if "gpu_ms" in place:
            row.append("gpu " + " ".join(f"{n}:{ms['p50']:.2f}" for n, ms in place["gpu_ms"].items()))
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
    parser.add_argument("--tokens", type=int, default=200, help="single tokens to time")
    parser.add_argument("--rationales", type=int, default=3, help="texts of 300 tokens to time")
    parser.add_argument(
        "--skeletons", type=Path, default=None, help="folder of graphs that were traced before"
    )
    parser.add_argument("--graphs", type=Path, default=None, help="folder that `graphs` wrote before")
    names = [variant.name for variant in VARIANTS] + ["torch fp16", "torch nf4"]
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
        paths = {}
        for precision, block in asked(options):
            place = folder_of(folder, precision, block)
            run = partial(graph_facts, place, options.size, record.until)
            if record.part(facts, place.name, run) is not None:
                paths[precision, block] = place / GRAPH
        measure_ours(record, options, paths, facts, device)
        for writer in writers:
            writer.wait()
    print("\n".join(table(record.results)))
    return 0 if record.whole else 1


if __name__ == "__main__":
    sys.exit(main())
