"""Latency and memory of EEG-VLM at the paper's size: LLaVA-1.5-7B and -13B shapes with random weights.

    python -m benchmarks.paper_size [--sizes 7b 13b] [--dtype float16] [--json FILE]

Random weights take the time and the memory of trained ones and give no meaningful answer: this measures
speed, never accuracy. Needs PyTorch with a CUDA device (26 GB for 13b in half precision) and bitsandbytes
for NF4; `--device cpu --sizes nano` runs every step without one. One epoch at a time. Texts are counted in
tokens: `cot` reads 73 of them in 12 runs of the decoder, what nano needs along its grammar
(benchmarks/results/latency-xeon-2cpu.json), `rationale` writes 300 one by one. The host reads the result of
every run before it starts the next. Times are between two events of the device's stream, and the host's
clock where there is no GPU. A part that fails is reported, and the rest is measured all the same.
"""

from __future__ import annotations

import argparse
import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

from ._common import command_line, environment
from ._paper_answers import Effort, Subject
from ._paper_model import SIZES, timed
from ._record import Record, shortfalls

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

EAGER_SHARE: Final = 5


def ceilings() -> dict[str, Any]:
    """What the device reaches: bytes read and written by a copy, and a half-precision matrix product."""
    gib, side = 1 << 30, 8192
    source = torch.randint(0, 255, (gib,), dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    copy_ms = timed("cuda", lambda: target.copy_(source), 30)
    a, b = (torch.randn(side, side, dtype=torch.float16, device="cuda") for _ in range(2))
    product_ms = timed("cuda", lambda: a @ b, 30)
    return {
        "copy_ms": copy_ms,
        "gb_per_s": 2 * gib / copy_ms["p50"] / 1e6,
        "product_ms": product_ms,
        "tflop_per_s": 2 * side**3 / product_ms["p50"] / 1e9,
    }


def device_facts() -> dict[str, Any]:
    from importlib.metadata import PackageNotFoundError, version

    def known(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "not installed"

    packages = {name: known(name) for name in ("transformers", "bitsandbytes", "triton")}
    facts: dict[str, Any] = {"torch": torch.__version__, "cuda": torch.version.cuda, **packages}
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        facts |= {
            "name": properties.name,
            "processors": properties.multi_processor_count,
            "memory_gib": round(properties.total_memory / 2**30, 1),
            "driver": _driver(),
            "free_bytes": torch.cuda.mem_get_info()[0],
        }
    return facts


def _driver() -> str:
    path = Path("/proc/driver/nvidia/version")
    return path.read_text(encoding="utf-8").splitlines()[0] if path.is_file() else "unknown"


def measure(record: Record, size: str, options: argparse.Namespace, effort: Effort) -> None:
    """Every part of one size, in half precision and then in NF4, into `record.results["models"]`."""
    dtype = getattr(torch, options.dtype)
    gpu = options.device == "cuda"
    models = record.results.setdefault("models", {})
    half = models[f"{size}-{options.dtype}"] = {"name": f"{size} {options.dtype}"}
    subjects: list[Subject] = []

    def make() -> dict[str, Any]:
        subjects.append(Subject(size, options.device, dtype, effort))
        return subjects[0].memory()

    if not record.part(half, "memory", make):
        return
    subject = subjects[0]

    def shared(place: dict[str, Any]) -> None:
        record.part(place, "agreement", subject.agreement)
        record.part(place, "prefill", subject.prefill)
        record.part(place, "decode_eager", lambda: subject.decode("eager", -(-options.tokens // EAGER_SHARE)))
        if gpu:
            record.part(place, "decode_graph", lambda: subject.decode("graph", options.tokens))
        record.part(place, "runs", subject.runs)
        record.part(place, "answers", subject.answers)

    record.part(half, "tower", subject.tower)
    shared(half)
    if gpu:
        record.part(half, "decode_compiled", lambda: subject.decode("compiled", options.tokens))
    if options.nf4:
        packed = models[f"{size}-nf4"] = {"name": f"{size} nf4"}
        if record.part(packed, "memory", subject.quantize):
            shared(packed)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns 0 where every part was measured, 1 where one failed or was left out."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.paper_size",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sizes", nargs="+", choices=tuple(SIZES), default=["7b", "13b"])
    parser.add_argument("--dtype", choices=("float16", "bfloat16", "float32"), default="float16")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--no-nf4", dest="nf4", action="store_false", help="half precision only")
    parser.add_argument("--repeats", type=int, default=Effort.repeats)
    parser.add_argument("--rationales", type=int, default=Effort.rationales, help="plain rationales to time")
    parser.add_argument("--rationale-tokens", type=int, default=Effort.rationale_tokens)
    parser.add_argument(
        "--tokens", type=int, default=300, help="single tokens to time; a fifth as many without a graph"
    )
    parser.add_argument("--max-seconds", type=float, default=600.0, help="leave out what would start later")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="where the figures go")
    options = parser.parse_args(arguments)
    if min(options.repeats, options.rationales, options.rationale_tokens, options.tokens) < 1:
        parser.error("--repeats, --rationales, --rationale-tokens, --tokens: give at least 1")
    effort = Effort(
        rationale_tokens=options.rationale_tokens, repeats=options.repeats, rationales=options.rationales
    )
    about = {
        "benchmark": "paper_size",
        "environment": environment(),
        "effort": vars(effort),
        "command": command_line("paper_size", arguments),
    }
    record = Record(options.json, options.max_seconds, about)
    record.part(record.results, "device", device_facts)
    with torch.no_grad():
        if options.device == "cuda":
            record.part(record.results, "ceilings", ceilings)
        for size in options.sizes:
            measure(record, size, options, effort)
            gc.collect()
            if options.device == "cuda":
                torch.cuda.empty_cache()
    for line in shortfalls(record.results):
        print(line)
    return 0 if record.whole else 1


if __name__ == "__main__":
    sys.exit(main())
