"""Write docs/performance.md from the figures kept under benchmarks/results/.

    python -m benchmarks.performance_page [--results FOLDER] [--out FILE]

Every number of the page comes from a JSON file of a benchmark, from a published figure that it names, or from
the model that it describes. A benchmark whose file is not there has no section.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ._bandwidth_model import DEVICES, INT4_BITS, PUBLISHED, SHAPES, bandwidth_share, predict, rate
from ._gpu_language_tables import gpu_language, gpu_operators
from ._gpu_part_tables import gpu_busy, gpu_parts
from ._gpu_tables import beside_peers, gpu_backend, texts_together
from ._paper_tables import paper_size

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "page"]

ROOT: Final = Path(__file__).resolve().parents[1]
PREFILL_TOKENS: Final = 1152 + 64
COT_RUNS: Final = 12
RATIONALE_TOKENS: Final = 300
INTRODUCTION: Final = """# Performance

What was measured on GPUs and beside other runtimes, and what that says about devices that were not at hand.
On a CPU, measure with `python -m benchmarks.latency`. This page is written by `python -m
benchmarks.performance_page` from the JSON files under `benchmarks/results/`, which also hold versions and the
machine. Not a medical device.
"""
ORIN: Final = """## Jetson: a model, not a measurement

No Jetson was at hand. What can be said of one follows from two counts and from figures that others published
for other models on the same devices.

- **A token** reads the decoder's weights and the keys and values before it once: at least their bytes over
  the memory bandwidth of the data sheet. Published token rates in 4 bits amount to the share of the bandwidth
  in the first table (weights taken as {bits} bits each, as many as the model's name says).
- **Prefill** does two operations a weight and token. Published prefill times amount to the rate in the first
  table.

The second table divides what an EEG-VLM of the paper's size needs by these shares: the fastest and the
slowest that they allow. The tower, transfers and the operating system are not in it. The shares are those of
other runtimes: our graph in ONNX Runtime reached about half of such a share on an H200 (above).
"""


def page(results: Path) -> str:
    """The whole page as Markdown."""
    parts = [INTRODUCTION]
    parts += [renderer(_read(path)) for path in sorted(results.glob("render-cuda-*.json"))]
    sections = (
        ("cuda-h*", gpu_backend),
        ("cuda-parts-*", gpu_parts),
        ("cuda-busy-*", gpu_busy),
        ("texts-*", texts_together),
        ("gpu-llm-*", gpu_language),
        ("gpu-operators-*", gpu_operators),
        ("llm-*", beside_peers),
    )
    for pattern, section in sections:
        for path in sorted(results.glob(f"{pattern}.json"), key=_order):
            parts += [section(path.name, _read(path)), _remarks(path)]
    parts += [paper_size(path.name, _read(path)) for path in sorted(results.glob("paper-size-*.json"))]
    return "\n".join([*parts, jetson()])


def renderer(figures: dict[str, Any]) -> str:
    """The CUDA renderer beside the CPU's."""
    device, same = figures["device"], figures["bytes"]
    rows = []
    for name, case in figures.items():
        if not isinstance(case, dict) or "cuda_ms" not in case:
            continue
        beside = f"{case['cpu_over_cuda']:.0f}x" if "cpu_over_cuda" in case else "-"
        cells = [f"{case['cuda_ms'][p] * 1e3:.0f}" for p in ("p50", "p95", "p99")]
        floor = min(case["memset_ms"]["p50"], case["store_ms"]["p50"]) * 1e3
        assert name == f"{case['output']}_{case['batch']}"
        rows.append(
            [
                case["output"],
                str(case["batch"]),
                *cells,
                f"{floor:.0f}",
                f"{case['cuda_over_floor']:.2f}x",
                beside,
            ]
        )
    identical = "identical to" if same["identical"] else "not all identical to"
    cores = figures["environment"]["cpus_usable"]
    head = ["output", "pictures", "p50 µs", "p95 µs", "p99 µs", "write floor µs", "over floor", "beside CPU"]
    return f"""## The CUDA renderer

{device["name"]}, torch {device["torch"]}, {cores} CPU cores; 336 x 336, 3000 samples, device events. The
bytes of {same["pictures"]:,} pictures are {identical} the CPU kernel's. The write floor is the faster of a
memset and a plain store of the same bytes; "beside CPU" is rendering on the CPU and copying, over
rendering there.
Repeat: `bash csrc/cuda/run_on_gpu.sh FOLDER`.

{table(head, rows)}
"""


def jetson() -> str:
    """Published figures, the shares they amount to, and what they would mean for the paper's size."""
    published = []
    for figure in PUBLISHED:
        tera = rate(figure)
        prefill = "-" if tera is None else f"{figure.prefill_ms:.0f} ms for {figure.prefill_tokens:,}"
        published.append(
            [
                DEVICES[figure.device].name,
                figure.model,
                f"{figure.ms_per_token:.1f}",
                prefill,
                f"{bandwidth_share(figure):.0%}",
                "-" if tera is None else f"{tera:.1f}",
                figure.source,
            ]
        )
    modelled = []
    for device in ("agx-orin", "thor"):
        for size, shape in SHAPES.items():
            context = PREFILL_TOKENS + RATIONALE_TOKENS // 2
            figures = predict(device, shape, PREFILL_TOKENS, context)
            weights = (shape.layer_weights * INT4_BITS / 8 + 4 * shape.head_weights) / 1e9
            modelled.append(
                [
                    DEVICES[device].name,
                    size,
                    f"{weights:.1f}",
                    _span(figures.token_ms, 1, 0),
                    _span(figures.prefill_ms, 1e3, 2),
                    _span(figures.text_ms(COT_RUNS), 1e3, 1),
                    _span(figures.text_ms(RATIONALE_TOKENS), 1e3, 1),
                ]
            )
    first = ["device", "model, 4 bits", "ms/token", "prefill", "share of bandwidth", "TFLOP/s", "source"]
    second = [
        "device",
        "decoder",
        "weights GB",
        "ms/token",
        "prefill s",
        f"{COT_RUNS} runs s",
        f"{RATIONALE_TOKENS} tokens s",
    ]
    bandwidths = ", ".join(f"{d.name} {d.gb_per_s:g} GB/s" for d in DEVICES.values())
    return f"""{ORIN.format(bits=f"{INT4_BITS:g}")}
{table(first, published)}

Bandwidths of the data sheets: {bandwidths}. Sources:
[TensorRT Edge-LLM 0.10](https://nvidia.github.io/TensorRT-Edge-LLM/0.10.0/user_guide/performance/performance-benchmarks.html)
and its edition 0.4, [TinyChat](https://github.com/mit-han-lab/llm-awq).

{table(second, modelled)}

{PREFILL_TOKENS:,} tokens of prefill: 1,152 visual tokens and a prompt of {PREFILL_TOKENS - 1152}.
"{COT_RUNS} runs" is prefill and a rationale along the grammar, whose forced tokens are read together with the
one before. A run counts as one token's time here; on an H200, where our products of 4-bit weights are fast
for one row alone, 6 or 7 tokens took twice that. "{RATIONALE_TOKENS} tokens" is prefill and a free rationale.
So on an AGX Orin a free rationale of the 13B size takes most of an epoch of 30 s, and the stage must come
first; along the grammar both sizes answer within a few seconds.
"""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, numbers to the right."""
    marks = ["---:" if all(_numeric(row[i]) for row in rows) else "---" for i in range(len(head))]
    lines = [" | ".join(head), "|".join(marks), *(" | ".join(row) for row in rows)]
    return "\n".join(f"|{line}|" if line.startswith("---") else f"| {line} |" for line in lines)


def _numeric(cell: str) -> bool:
    return cell[:1].isdigit() or cell == "-"


def _span(values: tuple[float, float], unit: float, digits: int) -> str:
    low, high = (f"{value / unit:.{digits}f}" for value in values)
    return low if low == high else f"{low}-{high}"


def _remarks(path: Path) -> str:
    """What is to be said of a run beside its figures, from the file of the same name that ends in .md."""
    remarks = path.with_suffix(".md")
    return remarks.read_text(encoding="utf-8") if remarks.is_file() else ""


def _order(path: Path) -> list[tuple[int, str]]:
    """Names in the order of their numbers: 7b before 13b."""
    return [(int(number or 0), text) for text, number in re.findall(r"([^0-9]+)([0-9]*)", path.name)]


def _read(path: Path) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.performance_page", description=__doc__)
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "performance.md")
    options = parser.parse_args(arguments)
    options.out.write_text(page(options.results), encoding="utf-8")
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
