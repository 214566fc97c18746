"""Sections of the performance page for `benchmarks.cuda`, `benchmarks.gpu_llm` and `benchmarks.llm`, as
Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["beside_peers", "gpu_backend", "gpu_language", "gpu_operators", "texts_together"]

MODES: Final = ("head", "direct", "cot")
PERCENTS: Final = ("p50", "p95", "p99")
PREFILL_TOKENS: Final = 1152 + 64


def gpu_backend(name: str, figures: dict[str, Any]) -> str:
    """A bundle on a GPU beside the CPU."""
    gpu = figures.get("gpu", {})
    runtime = figures["onnxruntime"]
    parts = [
        f"""## `--backend cuda`: {gpu.get("name", "host memory, no GPU")}

{figures["bundle"]["model_id"]}, driver {gpu.get("driver_version", "none")}, {runtime["package"]}
{runtime["version"]}, {figures["environment"]["cpu"]}. "int4" is the graph of standard operators,
"int4_half_fused" the same integers with fused attention in half precision and short steps replayed from CUDA
graphs; "128 texts" decodes the texts of as many epochs in the same runs; "cpu int4_fused" is the default
backend with two threads, the others have four. Epochs are simulated.
All figures: `benchmarks/results/{name}`. Repeat: `{figures["command"]}`.
"""
    ]
    rows = [
        [
            mode,
            subject.removeprefix("gpu "),
            f"{row['epochs']}",
            f"{row['stages']:.1%}",
            f"{row['largest_shift']:.5f}",
            f"{row['texts']:.1%}" if "texts" in row else "-",
            "yes" if row["same_again"] else "no",
        ]
        for mode, place in figures.get("equality", {}).items()
        for subject, row in place.items()
        if isinstance(row, dict)
    ]
    if rows:
        head = ["answer", "graph", "epochs", "equal stages", "largest shift", "equal texts", "same again"]
        parts.append("### Equal to the CPU, same graph in single precision\n\n" + _table(head, rows))
    subjects = figures.get("subjects", {})
    differences = [
        [subject, *(f"{value:.1e}" for value in row["by_layer"].values())]
        for subject, row in subjects.items()
        if "by_layer" in row
    ]
    if differences:
        parts.append(
            "Root mean square of the differences, relative:\n\n"
            + _table(
                ["", "stage logits", "high level", "visual tokens", "logits of the language model"],
                differences,
            )
        )
    rows = [
        [subject, mode, *(f"{row['latency'][mode]['ms'][p]:.2f}" for p in PERCENTS)]
        for subject, row in subjects.items()
        for mode in MODES
        if mode in row.get("latency", {})
    ]
    if rows:
        head = ["", "answer", *PERCENTS]
        parts.append("### One epoch, from samples to answer, ms\n\n" + _table(head, rows))
    rows = [
        [subject, *(_seconds(row["night"], mode) for mode in MODES)]
        for subject, row in subjects.items()
        if "night" in row
    ]
    if rows:
        count = max(n["epochs"] for row in subjects.values() for n in _nights(row))
        head = ["", *(f"{mode} s" for mode in MODES)]
        parts.append(f"### A night of {count} epochs\n\n" + _table(head, rows))
    rows = [
        [subject.removeprefix("gpu "), *_counts(row["side_by_side"]), f"{row['side_by_side']['run_ms']:.2f}"]
        for subject, row in subjects.items()
        if "side_by_side" in row
    ]
    if rows:
        head = ["", "runs an epoch", "tokens asked for", "ms of a run"]
        parts.append("### Texts of many epochs in the same runs, `cot`\n\n" + _table(head, rows))
    rows = [
        [
            f"{row.get('mode', mode)}, {row['subject']}" if "subject" in row else mode,
            f"{row['processes']}",
            f"{row['epochs_per_s']:.0f}",
            f"{row['nights_per_hour']:.0f}",
            f"{row['gpu_busy']:.0%}" if "gpu_busy" in row else "-",
        ]
        for mode, row in figures.get("many_nights", {}).items()
        if isinstance(row, dict)
    ]
    if rows:
        head = ["answer", "processes", "epochs/s", "nights/hour", "GPU busy"]
        parts.append("### Many nights side by side\n\n" + _table(head, rows))
    starts = [
        [subject, f"{row['start']['load_s']:.2f}", f"{row['start']['first_answer_s']:.2f}"]
        for subject, row in subjects.items()
        if "start" in row
    ]
    if starts:
        parts.append("### Start\n\n" + _table(["", "load s", "first answer s"], starts))
    return "\n".join([*parts, *_gaps(figures)])


def texts_together(name: str, figures: dict[str, Any]) -> str:
    """Texts of many epochs in the same runs, counted where there is no GPU."""
    rows = [
        [
            row["name"],
            *(_counts(row["counts"]) if "counts" in row else [f"{row['cot']['runs_of_a_text']:.2f}", "100%"]),
            *(f"{row[mode]['processor_ms_per_epoch']:.1f}" for mode in ("direct", "cot")),
            *(f"{row[mode]['stages']:.1%}" for mode in ("direct", "cot")),
            f"{max(row[mode]['largest_shift'] for mode in ('direct', 'cot')):.5f}",
            f"{row['cot']['texts']:.1%}",
        ]
        for row in figures["subjects"].values()
    ]
    head = [
        "",
        "runs an epoch",
        "tokens asked for",
        "direct ms",
        "cot ms",
        "equal stages, direct",
        "cot",
        "largest shift",
        "equal texts",
    ]
    size = next(row["bytes_per_text"] for row in figures["subjects"].values() if "bytes_per_text" in row)
    return f"""## Texts of many epochs in the same runs, counted on a CPU

{figures["bundle"]["model_id"]}, {figures["night"]} simulated epochs with their night in mind; onnxruntime
{figures["onnxruntime"]}, {figures["environment"]["cpu"]}. The code is that of `--backend cuda`, in host
memory, beside one epoch at a time on the same graph, and on the CPU's default one. Runs are those of `cot`
behind the beginnings. "Tokens asked for" is the share of their tokens that a text needed; the others are of
texts that were complete. ms are processor time of a whole epoch by one thread, beside other work.
Keys and values of a text take {size / 1e6:.2f} MB, once to read and once to write.
All figures: `benchmarks/results/{name}`. Repeat: `{figures["command"]}`.

{_table(head, rows)}"""


def gpu_language(name: str, figures: dict[str, Any]) -> str:
    """The 4-bit language model of the paper's size."""
    device = figures.get("device", {})
    graphs = figures.get("graphs", {})
    size = next((facts["size"] for facts in graphs.values()), "")
    runtime = figures["onnxruntime"]
    blocks = " or ".join(sorted({str(facts["block"]) for facts in graphs.values()}, key=int, reverse=True))
    blocks = blocks or "-"
    rows = []
    for model in figures["models"].values():
        memory = model.get("memory", {})
        memory_bytes = memory.get("gpu_bytes") or memory.get("allocated_bytes")
        prefill = model.get("prefill", {})
        prefill = prefill.get("ms") or prefill.get("merge_1", {}).get("ms")
        # Where the loop over tokens failed, single runs of one token tell the time as well.
        decode = model.get("decode", {}).get("ms") or model.get("runs", {}).get("1")
        share = _share(model, decode, figures)
        rows.append(
            [
                model["name"],
                f"{memory_bytes / 1e9:.2f}" if memory_bytes else "-",
                f"{prefill['p50']:.1f}" if prefill else "-",
                " / ".join(f"{decode[p]:.2f}" for p in PERCENTS) if decode else "-",
                f"{share:.0%}" if share else "-",
                *(_percents(model, key) for key in ("direct_ms", "cot_ms", "rationale_ms")),
            ]
        )
    head = ["", "GB", "prefill ms", "token ms", "of the floor", "direct ms", "cot ms", "300 tokens ms"]
    speed = figures.get("ceilings", {}).get("gb_per_s")
    rate = f"A copy reaches {speed:,.0f} GB/s, bytes read and written." if speed else ""
    head_ms = [
        f"{model['name']} {model['answers']['head_ms']['p50']:.1f} ms"
        for model in figures["models"].values()
        if "head_ms" in model.get("answers", {})
    ]
    tower = f" The tower alone (`head`), in PyTorch: {', '.join(head_ms)}." if head_ms else ""
    text = f"""## The 4-bit language model: LLaVA-1.5-{size}'s shape, {device.get("name", "no GPU")}

Random weights, batch 1: 1,152 visual tokens and a prompt of 64; p50 / p95 / p99 in ms, p50 alone where one
number stands. "fused" and "Q/DQ" are our exporter's graphs in {runtime["package"]} {runtime["version"]}
(blocks of {blocks}), picture tokens and keys and values on the device; "recorded" replays steps of up to 32
tokens from CUDA graphs. PyTorch {device.get("torch", "")} records its steps too, and its answers begin at the
picture. The floor of a token is every weight and every key and value read once. {rate}{tower} "cot" reads 73
tokens in 12 runs.
All figures: `benchmarks/results/{name}`. Repeat: `{figures["command"]}`.

{_table(head, rows)}"""
    return "\n".join([text, *_gaps(figures)])


def gpu_operators(name: str, figures: dict[str, Any]) -> str:
    """Operators of a decoder layer, each alone."""
    device, operations = figures.get("device", {}), figures["operations"]
    runtime = figures["onnxruntime"]
    rows = sorted({int(n) for row in operations.values() for n in row["us"]})
    speed = figures.get("ceilings", {}).get("gb_per_s")
    lines = []
    for operation, row in operations.items():
        share = f"{row['gb_per_s'] / speed:.0%}" if speed and "gb_per_s" in row else "-"
        times = (row["us"].get(str(n)) for n in rows)
        lines.append([operation, *(f"{us['p50']:.1f}" if us else "-" for us in times), share])
    head = ["", *(f"{n}" for n in rows), "of a copy's rate"]
    text = f"""## Operators of a layer of LLaVA-1.5-7b: {device.get("name", "no GPU")}

Microseconds of one operator by the rows (tokens) it reads, in recorded graphs up to 32 rows;
{runtime["package"]} {runtime["version"]}. Each is one of many copies, which together are larger than the
GPU's cache. The last column is the bytes of its weights, or keys and values, over its time with the fewest
rows, as a share of what a copy reaches.
All figures: `benchmarks/results/{name}`. Repeat: `{figures["command"]}`.

{_table(head, lines)}"""
    return "\n".join([text, *_gaps(figures)])


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


def beside_peers(name: str, figures: dict[str, Any]) -> str:
    """Decoding on the CPU beside llama.cpp and onnxruntime-genai."""
    rows, missing = [], []
    for model, place in figures["models"].items():
        for runtime, row in place["runtimes"].items():
            rows.append(
                [
                    f"{model}, {place['threads']} thread{'s' * (place['threads'] > 1)}",
                    runtime,
                    f"{row['prefill_tokens_per_s']:,.0f}",
                    f"{row['tokens_per_s']:,.0f}",
                    f"{row['best_tokens_per_s']:,.0f}",
                    f"{row['ours_is_faster']:.2f}x",
                    f"{row['peak_mib']:.0f}",
                ]
            )
        missing += [f"- {model}, {peer}: `{reason}`" for peer, reason in place["missing"].items()]
    head = ["model", "runtime", "prefill tokens/s", "tokens/s", "best process", "ours over it", "peak MiB"]
    text = figures["rationale"]
    peers = ", ".join(f"{peer} {version}" for peer, version in sorted(figures["peers"].items()))
    load = figures["environment"]["load_average"]
    busy = f"load average {load[0]:.0f} at the start, so trust ratios; " if load and load[0] > 2 else ""
    lines = [
        f"""## Decoding on a CPU beside its peers

{figures["environment"]["cpu"]}, {busy}the same weights in 4 bits,
blocks of 32, the last product in 8; {figures["prompt"]} tokens read, {figures["tokens"]} written one by one;
every runtime in processes of its own, in turns. llama.cpp is Q4_0 through xllamacpp ({peers}).
"smollm2" has SmolLM2-135M's shape and random weights.
All figures: `benchmarks/results/{name}`. Repeat: `{figures["command"]}`.

{_table(head, rows)}""",
        *missing,
        f"""A rationale of nano, {text["tokens"]:.0f} tokens: {text["jump_forward_ms"]["p50"]:.1f} ms in
{text["runs"]:.0f} runs, the text between the choices read at once; {text["token_by_token_ms"]["p50"]:.1f} ms
token by token: {text["ratio"]:.2f}x (n = {text["epochs"]}).
""",
    ]
    return "\n".join(lines)


def _counts(counts: dict[str, Any]) -> list[str]:
    return [f"{counts['runs_per_epoch']:.2f}", f"{counts['useful_share']:.0%}"]


def _nights(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [value for value in row.get("night", {}).values() if isinstance(value, dict)]


def _seconds(nights: dict[str, Any], mode: str) -> str:
    return f"{nights[mode]['s']:.2f}" if mode in nights else "-"


def _percents(model: dict[str, Any], key: str) -> str:
    ms = model.get("answers", {}).get(key)
    return " / ".join(f"{ms[p]:.1f}" for p in PERCENTS) if ms else "-"


def _gaps(figures: dict[str, Any]) -> list[str]:
    """What was not measured, and why."""
    lines = []
    for kind, title in (("failed", "Failed"), ("left_out", "Left out for want of time")):
        if figures.get(kind):
            shown = [f"- `{line.splitlines()[0][:120]}`" for line in figures[kind]]
            lines += [f"{title}:\n\n" + "\n".join(shown) + "\n"]
    return lines


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    numeric = [all(row[i][:1].isdigit() or row[i] == "-" for row in rows) for i in range(len(head))]
    marks = ["---:" if column else "---" for column in numeric]
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(marks)}|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"
