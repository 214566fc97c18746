"""Sections of the performance page for parts of `benchmarks.cuda` that were run alone, as Markdown."""

from __future__ import annotations

from typing import Any, Final

from ._markdown import gaps, table

__all__ = ["gpu_busy", "gpu_parts"]

MODES: Final = ("head", "direct", "cot")


def gpu_parts(name: str, figures: dict[str, Any]) -> str:
    """Head and memory on the CPU, and the tower in 8 bits, beside all on the GPU."""
    subjects = figures["subjects"]
    places = {subject: _place(row) for subject, row in subjects.items()}
    parts = [
        f"""## Parts elsewhere, and the tower in 8 bits: {_gpu(figures)}

{_machine(figures)} The graph of standard operators (int4), 128 texts in the same runs, four
threads of the CPU, simulated epochs. "GPU" has everything there.
All figures: `benchmarks/results/{name}`. Repeat: `{figures["command"]}`.
"""
    ]
    for title, cell in (("One epoch at a time, p50 / p95 ms", _latency), ("A night, s", _night)):
        rows = [
            [places[subject], *(cell(row, mode) for mode in MODES)]
            for subject, row in subjects.items()
            if any(cell(row, mode) != "-" for mode in MODES)
        ]
        if rows:
            parts.append(f"### {title}\n\n" + table(["", *MODES], rows))
    rows = [
        [
            " beside ".join(places[subject] for subject in pair.split(" beside ")),
            mode,
            f"{row['stages']:.1%}",
            f"{row['largest_shift']:.6f}",
            f"{row['texts']:.1%}" if "texts" in row else "-",
        ]
        for mode, place in figures.get("equality", {}).items()
        for pair, row in place.items()
        if isinstance(row, dict)
    ]
    if rows:
        pairs = [row[0] for row in rows]
        count = max(
            row["epochs"]
            for place in figures["equality"].values()
            for row in place.values()
            if isinstance(row, dict)
        )
        head = ["", "answer", "equal stages", "largest shift", "equal texts"]
        rows.sort(key=lambda row: pairs.index(row[0]))
        parts.append(f"### Equality, {count} epochs, each without its night\n\n" + table(head, rows))
    return "\n".join([*parts, *gaps(figures)])


def gpu_busy(name: str, figures: dict[str, Any]) -> str:
    """Many nights on one GPU, by the number of processes."""
    nights = [row for row in figures["many_nights"].values() if isinstance(row, dict)]
    names = list(dict.fromkeys(row["subject"] for row in nights))
    seconds = max(row["seconds"] for row in nights)
    parts = [
        f"""## Many nights on one GPU: {_gpu(figures)}

{_machine(figures)} Every process stages a night of its own with one thread, the graph of standard
operators (int4), 128 texts in the same runs; {seconds:.0f} s each. "Busy" is what `nvidia-smi` says of this
GPU: the share of the time in which any kernel ran.
All figures: `benchmarks/results/{name}`. Repeat: `{figures["command"]}`.
"""
    ]
    for mode in dict.fromkeys(row["mode"] for row in nights):
        for subject in names:
            rows = [
                [
                    f"{row['processes']}",
                    f"{row['epochs_per_s']:,.0f}",
                    f"{row['nights_per_hour']:,.0f}",
                    f"{row['gpu_busy']:.1%}" if "gpu_busy" in row else "-",
                ]
                for row in nights
                if (row["mode"], row["subject"]) == (mode, subject)
            ]
            place = "head and memory on the CPU" if "on the CPU" in subject else "all on the GPU"
            head = ["processes", "epochs/s", "nights/hour", "busy"]
            parts.append(f"### `{mode}`, {place}\n\n" + table(head, rows))
    return "\n".join([*parts, *gaps(figures)])


def _gpu(figures: dict[str, Any]) -> str:
    return str(figures.get("gpu", {}).get("name", "host memory, no GPU"))


def _machine(figures: dict[str, Any]) -> str:
    runtime, here = figures["onnxruntime"], figures["environment"]
    driver = figures.get("gpu", {}).get("driver_version", "none")
    bundle = figures["bundle"]["model_id"]
    cores = f"{here['cpus_usable']} cores of an\n{here['cpu']}"
    return f"{bundle}, driver {driver}, {runtime['package']} {runtime['version']}, {cores}."


def _place(row: dict[str, Any]) -> str:
    """A subject in a few words."""
    where = "head and memory on the CPU" if row["small_here"] else "CPU" if row["where"] == "cpu" else "GPU"
    return f"{where}, int8 tower" if row["tower"] == "int8" else where


def _latency(row: dict[str, Any], mode: str) -> str:
    ms = row.get("latency", {}).get(mode, {}).get("ms")
    return f"{ms['p50']:.1f} / {ms['p95']:.1f}" if ms else "-"


def _night(row: dict[str, Any], mode: str) -> str:
    night = row.get("night", {}).get(mode)
    return f"{night['s']:.2f}" if night else "-"
