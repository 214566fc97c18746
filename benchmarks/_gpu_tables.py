"""Sections of the performance page for `benchmarks.cuda` as a whole and for `benchmarks.llm`, as Markdown."""

from __future__ import annotations

from typing import Any, Final

from ._markdown import gaps, table

__all__ = ["beside_peers", "gpu_backend", "texts_together"]

MODES: Final = ("head", "direct", "cot")
PERCENTS: Final = ("p50", "p95", "p99")


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
        parts.append("### Equal to the CPU, same graph in single precision\n\n" + table(head, rows))
    subjects = figures.get("subjects", {})
    differences = [
        [subject, *(f"{value:.1e}" for value in row["by_layer"].values())]
        for subject, row in subjects.items()
        if "by_layer" in row
    ]
    if differences:
        parts.append(
            "Root mean square of the differences, relative:\n\n"
            + table(
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
        parts.append("### One epoch, from samples to answer, ms\n\n" + table(head, rows))
    rows = [
        [subject, *(_seconds(row["night"], mode) for mode in MODES)]
        for subject, row in subjects.items()
        if "night" in row
    ]
    if rows:
        count = max(n["epochs"] for row in subjects.values() for n in _nights(row))
        head = ["", *(f"{mode} s" for mode in MODES)]
        parts.append(f"### A night of {count} epochs\n\n" + table(head, rows))
    rows = [
        [subject.removeprefix("gpu "), *_counts(row["side_by_side"]), f"{row['side_by_side']['run_ms']:.2f}"]
        for subject, row in subjects.items()
        if "side_by_side" in row
    ]
    if rows:
        head = ["", "runs an epoch", "tokens asked for", "ms of a run"]
        parts.append("### Texts of many epochs in the same runs, `cot`\n\n" + table(head, rows))
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
        parts.append("### Many nights side by side\n\n" + table(head, rows))
    starts = [
        [subject, f"{row['start']['load_s']:.2f}", f"{row['start']['first_answer_s']:.2f}"]
        for subject, row in subjects.items()
        if "start" in row
    ]
    if starts:
        parts.append("### Start\n\n" + table(["", "load s", "first answer s"], starts))
    return "\n".join([*parts, *gaps(figures)])


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

{table(head, rows)}"""


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

{table(head, rows)}""",
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
