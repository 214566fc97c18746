"""The tables of a run of `benchmarks.paper_size`, as Markdown."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["paper_size"]

PERCENTS: Final = ("p50", "p95", "p99")
ANSWERS: Final = {
    "head_ms": "head: the tower's own stage",
    "direct_ms": "direct: one prefill",
    "direct_merge_2_ms": "direct, visual tokens merged 2 to 1",
    "direct_merge_4_ms": "direct, visual tokens merged 4 to 1",
    "cot_ms": "cot along the grammar",
    "rationale_ms": "free rationale",
}
TOWER: Final = {
    "enhancement": "enhancement module",
    "clip": "CLIP tower",
    "once": "both and the projector, CLIP once",
    "twice": "the same, CLIP twice",
}


def paper_size(name: str, figures: dict[str, Any]) -> str:
    """One section: device, memory, phases and answers of every model in the file `name`."""
    device, effort = figures.get("device", {}), figures["effort"]
    models = list(figures.get("models", {}).values())
    parts = [_head(name, figures, device, effort)]
    for title, lines in (
        ("Memory", _memory(models)),
        ("Tower, ms", _tower(models)),
        ("Decoder, ms", _decoder(models, figures.get("ceilings"))),
        ("One epoch from picture to answer, ms", _answers(models)),
    ):
        if len(lines) > 2:
            parts.append(f"### {title}\n\n" + "\n".join(lines) + "\n")
    for title in ("failed", "left_out"):
        if figures[title]:
            label = "Parts that failed" if title == "failed" else "Parts left out for want of time"
            parts.append(f"{label}: " + "; ".join(f"`{line}`" for line in figures[title]) + ".\n")
    return "\n".join(parts)


def _head(name: str, figures: dict[str, Any], device: dict[str, Any], effort: dict[str, Any]) -> str:
    limits = ""
    if "ceilings" in figures:
        reached = figures["ceilings"]
        limits = (
            f" Reached there: {reached['gb_per_s']:,.0f} GB/s by a copy (read and written), "
            f"{reached['tflop_per_s']:.0f} TFLOP/s by a product of 8192 x 8192 matrices in half precision."
        )
    versions = ", ".join(f"{key} {device[key]}" for key in ("torch", "bitsandbytes") if key in device)
    return f"""## The paper's size: {device.get("name", "CPU")}

LLaVA-1.5-7B- and -13B-shaped EEG-VLM with random weights: time and memory are those of a trained model, and
the answers mean nothing. Batch 1; 1,152 visual tokens and a prompt of {effort["prompt_tokens"]};
{versions}; n = {effort["repeats"]} where nothing else is said. "cot" reads {effort["cot_tokens"]} tokens in
{effort["cot_runs"]} runs of the decoder, as nano does along its grammar; the free rationale is
{effort["rationale_tokens"]} tokens, n = {effort["rationales"]}. Decoding replays CUDA graphs unless "eager"
is said, and the host reads each result. NF4 is that of bitsandbytes, for the decoder's layers. Merging
takes the mean of patch vectors before the projector: 2 one above the other, which show the same time, or 4 in
a square; what that costs in accuracy was not measured.{limits}

All figures: `benchmarks/results/{name}`. Repeat: `{figures["command"]}`.
"""


def _lines(head: list[str], rows: list[list[str]]) -> list[str]:
    marks = ["---", *["---:"] * (len(head) - 1)]
    return ["| " + " | ".join(head) + " |", "|" + "|".join(marks) + "|"] + [
        "| " + " | ".join(row) + " |" for row in rows
    ]


def _three(times: dict[str, float], digits: int = 1) -> list[str]:
    return [f"{times[p]:,.{digits}f}" for p in PERCENTS]


def _memory(models: list[dict[str, Any]]) -> list[str]:
    rows = []
    for model in models:
        memory, answers = model.get("memory"), model.get("answers", {})
        if memory is None:
            continue
        sizes = memory["weight_bytes"]
        eyes = sizes["clip"] + sizes["enhancement"] + sizes["projector"]
        numbers = [eyes, sizes["language_model"], memory["kv_bytes_per_token"] * memory["kv_tokens"]]
        peaks = [answers.get(f"{kind}_peak_bytes") for kind in ("direct", "cot")]
        cells = [f"{x / 1e9:.2f}" for x in numbers] + [f"{x / 1e9:.2f}" if x else "-" for x in peaks]
        rows.append([model["name"], *cells])
    head = [
        "model",
        "vision GB",
        "language model GB",
        "KV buffers GB",
        "peak direct GB",
        "peak with texts GB",
    ]
    return _lines(head, rows)


def _tower(models: list[dict[str, Any]]) -> list[str]:
    rows = []
    for model in models:
        for key, title in TOWER.items():
            for suffix, how in (("_ms", "graph"), ("_eager_ms", "eager")):
                times = model.get("tower", {}).get(f"{key}{suffix}")
                if times is not None:
                    rows.append([model["name"], title, how, *_three(times, 2)])
    return _lines(["model", "part", "launched", "p50", "p95", "p99"], rows)


def _decoder(models: list[dict[str, Any]], ceilings: dict[str, Any] | None) -> list[str]:
    rows = []
    for model in models:
        for merge, figures in model.get("prefill", {}).items():
            number = merge.removeprefix("merge_")
            title = f"prefill of {figures['tokens']:,} tokens" + (
                "" if number == "1" else f", merged {number}:1"
            )
            rows.append([model["name"], title, *_three(figures["ms"]), "-"])
        for how in ("eager", "graph", "compiled"):
            figures = model.get(f"decode_{how}")
            if figures is not None:
                floor = _floor(model, ceilings)
                over = f"{figures['ms']['p50'] / floor:.2f}x" if floor else "-"
                rows.append([model["name"], f"one token, {how}", *_three(figures["ms"], 2), over])
        for tokens, times in model.get("runs", {}).items():
            if tokens != "1":
                rows.append([model["name"], f"{tokens} tokens in one run", *_three(times, 2), "-"])
    return _lines(["model", "step", "p50", "p95", "p99", "over the bytes' floor"], rows)


def _floor(model: dict[str, Any], ceilings: dict[str, Any] | None) -> float | None:
    """Milliseconds that the copy's rate needs for the bytes one token reads, with the KV buffers."""
    if ceilings is None or "memory" not in model:
        return None
    memory = model["memory"]
    needed = memory["bytes_per_token"] + memory["kv_bytes_per_token"] * memory["kv_tokens"]
    return float(needed / (ceilings["gb_per_s"] * 1e6))


def _answers(models: list[dict[str, Any]]) -> list[str]:
    rows = []
    for model in models:
        for key, title in ANSWERS.items():
            times = model.get("answers", {}).get(key)
            if times is not None:
                rows.append([model["name"], title, *_three(times)])
    return _lines(["model", "answer", "p50", "p95", "p99"], rows)
