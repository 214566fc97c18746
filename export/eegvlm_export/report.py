"""The report of an export as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from eegvlm_rt.files import write_file
from eegvlm_rt.files.seal import SEAL

if TYPE_CHECKING:
    from .build import Measurements
    from .recipe import Recipe

__all__ = ["write_report"]

_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}"
    "table{border-collapse:collapse;margin:1rem 0;width:100%}td,th{padding:.25rem .6rem;text-align:right;"
    "border-bottom:1px solid #d8dee4}td:first-child,th:first-child{text-align:left}"
    ".bar{background:#4c78a8;height:.7rem;display:inline-block}.fail{color:#b00020;font-weight:600}"
)


def write_report(path: Path, measured: Measurements, recipe: Recipe, *, overwrite: bool = False) -> Path:
    """Write gates, the comparison of precisions, sizes, times and the error of every weight to `path`."""
    figures, manifest = measured.figures, measured.manifest
    parts = [
        f"<h1>{escape(manifest.model_id)}</h1>",
        f"<p>Compared with the checkpoint on {figures['epochs']} epochs, {figures['reasoning_epochs']} with "
        f"reasoning. Language model in 4 bits by <b>{escape(recipe.method)}</b>, blocks of "
        f"{recipe.block_size}. Times are medians on the exporting machine.</p>",
        *_shortcomings(measured),
        "<h2>Gates</h2>",
        _table(("figure", "wanted", "measured", ""), _gates(measured)),
        "<h2>Tower</h2>",
        _table(
            (
                "precision",
                "MB",
                "ms",
                "cosine",
                "largest difference",
                "same stage, head",
                "same stage, direct",
            ),
            _towers(measured),
        ),
        "<h2>Language model</h2>",
        _table(
            (
                "precision",
                "MB",
                "ms reading",
                "ms answer",
                "logits, relative error",
                "same token",
                "same stage",
            ),
            _models(measured),
        ),
        "<h2>Error of the weights</h2>",
        "<p>Share of a weight's energy that quantisation lost.</p>",
        _table(("weight", "lost", ""), _errors(measured.weight_errors)),
    ]
    page = f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(manifest.model_id)}</title>"
    text = f"{page}<!-- {SEAL} --><style>{_STYLE}</style><body>{''.join(parts)}</body></html>\n"
    return write_file(path, text.encode(), overwrite=overwrite)


def _shortcomings(measured: Measurements) -> Iterable[str]:
    if measured.shortcomings:
        items = "".join(f"<li>{escape(text)}</li>" for text in measured.shortcomings)
        yield f"<p class=fail>A draft at best: it falls short.</p><ul>{items}</ul>"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def _gates(measured: Measurements) -> Iterable[tuple[str, ...]]:
    for result in measured.gates:
        value = "not measured" if result.value is None else f"{result.value:g}"
        verdict = "pass" if result.passed else "<span class=fail>fail</span>"
        yield escape(result.gate.figure), escape(result.gate.wanted), value, verdict


def _size(measured: Measurements, part: str, precision: str) -> str:
    file = measured.manifest.components[part].at(precision)
    return f"{(file.bytes + sum(entry.bytes for entry in file.data)) / 1e6:.2f}"


def _time(measured: Measurements, name: str) -> str:
    value = measured.speed_ms.get(name)
    return "-" if value is None else f"{value:.2f}"


def _towers(measured: Measurements) -> Iterable[tuple[str, ...]]:
    for name, row in measured.figures["tower"].items():
        tokens: Mapping[str, Any] = row["visual_tokens"]
        yield (
            escape(name),
            _size(measured, "tower", name),
            _time(measured, f"tower.{name}"),
            f"{tokens['cosine']:.6f}",
            f"{tokens['max_abs']:g}",
            f"{row['head']['agreement']:.1%}",
            f"{row['direct']['agreement']:.1%}",
        )


def _models(measured: Measurements) -> Iterable[tuple[str, ...]]:
    for name, row in measured.figures["llm"].items():
        yield (
            escape(name),
            _size(measured, "llm", name),
            _time(measured, f"llm.{name}.prefill"),
            _time(measured, f"llm.{name}.direct"),
            f"{row['logits']['relative_rms']:.4f}",
            f"{row['same_token']:.1%}",
            f"{row['direct']['agreement']:.1%}",
        )


def _errors(errors: Mapping[str, float]) -> Iterable[tuple[str, ...]]:
    most = max(errors.values(), default=1.0) or 1.0
    for name, lost in errors.items():
        bar = f'<span class=bar style="width:{160 * lost / most:.0f}px"></span>'
        yield escape(name), f"{lost:.3%}", bar
