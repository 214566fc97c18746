"""Sections of the performance page for `benchmarks.gpu_llm`, as Markdown."""

from __future__ import annotations

from typing import Any, Final

from ._bandwidth_model import SHAPES
from ._markdown import gaps, table

__all__ = ["gpu_language", "gpu_operators"]

PERCENTS: Final = ("p50", "p95", "p99")
PREFILL_TOKENS: Final = 1152 + 64
SHORT_RUNS: Final = ("1", "6", "7", "16", "32")
SHOWN_ROWS: Final = ("1", "7", "16", "1216")
LAYER: Final = (
    ("query, key, value", "qkv, 4 bits, blocks of 128, as it is", 1),
    ("attention, 1,216 keys", "attention, as it is", 1),
    ("its output", "out, 4 bits, blocks of 128, as it is", 1),
    ("gate and up", "gate_up, 4 bits, blocks of 128, as it is", 1),
    ("activation", "activation of the MLP", 1),
    ("down", "down, 4 bits, blocks of 128, as it is", 1),
    ("sum and norm, two", "sum and norm, merged", 2),
)
"""A layer of the graph with merged sums: what a part is called, the operation, how often a layer has it."""

LAST_PRODUCT: Final = "head, half precision"


def gpu_language(name: str, figures: dict[str, Any]) -> str:
    """The 4-bit language model of the paper's size."""
    device = figures.get("device", {})
    graphs = figures.get("graphs", {})
    size = next((facts["size"] for facts in graphs.values()), "")
    runtime = figures["onnxruntime"]
    models = figures["models"].values()
    parts = [
        f"""## The 4-bit language model: LLaVA-1.5-{size}'s shape, {device.get("name", "no GPU")}

Random weights, batch 1: 1,152 visual tokens and a prompt of 64; p50 / p95 / p99 in ms, p50 alone where one
number stands. {_graphs_in_words(figures)} in {runtime["package"]} {runtime["version"]}, picture tokens and
keys and values on the device; "recorded" replays steps of up to 32 tokens from CUDA graphs. The floor of a
token is every weight and every key and value read once. "cot" reads 73 tokens in 12 runs.
{_peer(figures)}{_rate(figures)}
All figures: `benchmarks/results/{name}`. Repeat: `{figures["command"]}`.
"""
    ]
    rows = []
    for model in models:
        memory = model.get("memory", {})
        memory_bytes = memory.get("gpu_bytes") or memory.get("allocated_bytes")
        prefill = model.get("prefill", {})
        prefill = prefill.get("ms") or prefill.get("merge_1", {}).get("ms")
        # Where the loop over tokens failed, single runs of one token tell the time as well.
        decode = model.get("decode", {}).get("ms") or model.get("runs", {}).get("1")
        share = _share(model, decode, figures)
        cells = [
            f"{memory_bytes / 1e9:.2f}" if memory_bytes else "-",
            f"{prefill['p50']:.1f}" if prefill else "-",
            " / ".join(f"{decode[p]:.2f}" for p in PERCENTS) if decode else "-",
            f"{share:.0%}" if share else "-",
        ]
        rows.append([model["name"], *cells])
    parts.append(table(["", "GB", "prefill ms", "token ms", "of the floor"], rows))
    rows = [
        [model["name"], *(_percents(model, key) for key in ("direct_ms", "cot_ms", "rationale_ms"))]
        for model in models
    ]
    parts.append(table(["", "direct ms", "cot ms", "300 tokens ms"], rows))
    rows = [
        [
            model["name"],
            *(f"{model['runs'][n]['p50']:.1f}" if n in model["runs"] else "-" for n in SHORT_RUNS),
            _whole_picture(model),
        ]
        for model in models
        if "runs" in model
    ]
    if rows:
        head = ["tokens in one run, ms", *SHORT_RUNS, f"{PREFILL_TOKENS:,}"]
        parts.append(table(head, rows))
    return "\n".join([*parts, *gaps(figures)])


def gpu_operators(name: str, figures: dict[str, Any]) -> str:
    """Operators of a decoder layer, each alone."""
    device, operations = figures.get("device", {}), figures["operations"]
    runtime = figures["onnxruntime"]
    speed = figures.get("ceilings", {}).get("gb_per_s")
    parts = [
        f"""## Operators of a layer of LLaVA-1.5-7b: {device.get("name", "no GPU")}

Microseconds of one operator by the rows (tokens) it reads, in recorded graphs up to 32 rows;
{runtime["package"]} {runtime["version"]}. Each is one of many copies, which together are larger than the
GPU's cache. "Of a copy's rate" is the bytes of its weights, or keys and values, over its time with one row,
as a share of what a copy reaches. Other numbers of rows are in the file. {_rate(figures)}
All figures: `benchmarks/results/{name}`. Repeat: `{figures["command"]}`.
"""
    ]
    if speed and all(operation in operations for _, operation, _ in LAYER) and LAST_PRODUCT in operations:
        parts.append("### A layer, part by part, µs\n\n" + _layer(operations, speed))
    shown = [n for n in SHOWN_ROWS if any(n in row["us"] for row in operations.values())]
    lines = []
    for operation, row in operations.items():
        share = f"{row['gb_per_s'] / speed:.0%}" if speed and "gb_per_s" in row else "-"
        times = (row["us"].get(n) for n in shown)
        lines.append([operation, *(f"{us['p50']:.1f}" if us else "-" for us in times), share])
    head = ["rows", *(f"{int(n):,}" for n in shown), "of a copy's rate"]
    parts.append("### Every operator, µs\n\n" + table(head, lines))
    return "\n".join([*parts, *gaps(figures)])


def _layer(operations: dict[str, Any], speed: float) -> str:
    """What each part of a layer takes, beside its bytes alone, and what this comes to for the model."""
    layers = SHAPES["7b"].layers
    rows, sums, needed = [], {"1": 0.0, "7": 0.0}, 0.0
    for name, operation, count in LAYER:
        row = operations[operation]
        us = {n: count * row["us"][n]["p50"] for n in sums}
        floor = row["bytes"] / speed / 1e3
        sums = {n: total + us[n] for n, total in sums.items()}
        needed += floor
        cells = [f"{us['1']:.1f}", f"{floor:.1f}" if floor else "-"]
        rows.append([name, *cells, f"{floor / us['1']:.0%}" if floor else "-", f"{us['7']:.1f}"])
    cells = [f"{sums['1']:.1f}", f"{needed:.1f}", f"{needed / sums['1']:.0%}", f"{sums['7']:.1f}"]
    rows.append(["a layer", *cells])
    last = operations[LAST_PRODUCT]
    least = last["bytes"] / speed / 1e3
    whole, bytes_alone = layers * sums["1"] + last["us"]["1"]["p50"], layers * needed + least
    cells = [f"{whole:,.0f}", f"{bytes_alone:,.0f}", f"{bytes_alone / whole:.0%}"]
    rows.append(
        [f"{layers} layers, last product", *cells, f"{layers * sums['7'] + last['us']['7']['p50']:,.0f}"]
    )
    return table(["", "1 token", "bytes alone", "share", "7 tokens"], rows)


def _graphs_in_words(figures: dict[str, Any]) -> str:
    """What the names of the file's graphs and kernels mean."""
    names = " ".join(model["name"] for model in figures["models"].values())
    graphs = figures.get("graphs", {}).values()
    blocks = " or ".join(sorted({str(facts["block"]) for facts in graphs}, key=int, reverse=True)) or "-"
    if "merged" in names:
        return (
            f'"fused" is our exporter\'s graph (blocks of {blocks}), "merged" the same with each residual '
            'sum in one operator with the norm behind it, "half products" with the products for '
            'half-precision activations (blocks of 32), "flash" with flash attention'
        )
    return f'"fused" and "Q/DQ" are our exporter\'s graphs (blocks of {blocks})'


def _peer(figures: dict[str, Any]) -> str:
    """PyTorch, where it was run beside."""
    models = figures["models"]
    if not any(name.startswith("torch") for name in models):
        return ""
    text = (
        f"PyTorch {figures['device']['torch']} records its steps too, and its answers begin at the picture. "
    )
    head_ms = [
        f"{model['name']} {model['answers']['head_ms']['p50']:.1f} ms"
        for model in models.values()
        if "head_ms" in model.get("answers", {})
    ]
    return text + (f"The tower alone (`head`), in PyTorch: {', '.join(head_ms)}. " if head_ms else "")


def _rate(figures: dict[str, Any]) -> str:
    speed = figures.get("ceilings", {}).get("gb_per_s")
    return f"A copy reaches {speed:,.0f} GB/s, bytes read and written." if speed else ""


def _share(model: dict[str, Any], decode: dict[str, float] | None, figures: dict[str, Any]) -> float | None:
    """The time of a token by bandwidth alone, as a share of what it took behind a picture and a prompt."""
    if "floor" in model:
        return float(model["floor"]["share"])
    speed = figures.get("ceilings", {}).get("gb_per_s")
    if decode is None or speed is None:
        return None
    memory = model["memory"]
    weights = memory["bytes_per_token"] if "bytes_per_token" in memory else _weight_bytes(model, figures)
    return float((weights + _keys_values(figures)) / speed / 1e6 / decode["p50"])


def _keys_values(figures: dict[str, Any]) -> int:
    """Bytes of keys and values that a token reads, from the first model of the file that says them."""
    for model in figures["models"].values():
        per_token = model.get("memory", {}).get("kv_bytes_per_token")
        if per_token is not None:
            return int(per_token * PREFILL_TOKENS)
        if "floor" in model:
            return int(model["floor"]["bytes"] - _weight_bytes(model, figures))
    return 0


def _weight_bytes(model: dict[str, Any], figures: dict[str, Any]) -> int:
    """Of the graph that a model ran, which older files name by its precision alone."""
    return int(figures["graphs"][model.get("graph", model["precision"])]["weight_bytes"])


def _whole_picture(model: dict[str, Any]) -> str:
    """Picture and prompt in one run, which older files measured beside the answers' two."""
    prefill = model.get("prefill", {})
    row = prefill if prefill.get("runs") == 1 else model.get("prefill_at_once")
    return f"{row['ms']['p50']:.1f}" if row else "-"


def _percents(model: dict[str, Any], key: str) -> str:
    ms = model.get("answers", {}).get(key)
    return " / ".join(f"{ms[p]:.1f}" for p in PERCENTS) if ms else "-"
