"""The model card of a bundle: a template filled with figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Final

from eegvlm_rt.bundle import Manifest

from .gates import GateResult

__all__ = ["write_card"]

_TEMPLATE: Final = "card_template.md"
_EVALUATED: Final = (
    "Agreement with reference stages (`real`: human scorers; `sim`: the teachers of simulated nights), on "
    "epochs that no part of the model was trained on:"
)
_WITH_MEMORY: Final = (
    "It sees one channel. Its memory knows the epochs before this one, never those after; without the memory "
    "every epoch is staged by itself."
)
_ALONE: Final = "It sees one channel and one epoch at a time, nothing of the minutes before or after."
_ANSWERS: Final = ("head", "direct", "cot")


def write_card(
    path: Path,
    manifest: Manifest,
    parity: Mapping[str, Any],
    accuracy: Mapping[str, Any],
    gates: tuple[GateResult, ...],
    training: str = "",
) -> Path:
    """Write the card of a bundle to `path`; `training` is the checkpoint's own account of how it was trained.

    The same figures give the same text.
    """
    template = Template(files(__package__).joinpath(_TEMPLATE).read_text(encoding="utf-8"))
    render = manifest.render
    text = template.substitute(
        model_id=manifest.model_id,
        draft=_draft(manifest),
        tokens=manifest.visual_tokens,
        picture="{width} x {height} px, {rows} rows of ±{uv_range:g} µV".format(**render),
        layers=manifest.lm.num_layers,
        hidden=manifest.hidden_size,
        files="\n".join(_files(manifest)),
        epochs=parity["epochs"],
        reasoned=parity["reasoning_epochs"],
        agreement="\n".join(_agreement(parity)),
        accuracy=_accuracy(accuracy),
        sight=_WITH_MEMORY if "memory" in manifest.components else _ALONE,
        training=training.strip() or "The checkpoint says nothing about its training.",
        provenance="\n".join(_provenance(manifest.provenance, gates)),
    )
    path.write_text(text, encoding="utf-8")
    return path


def _files(manifest: Manifest) -> Iterator[str]:
    for name, component in manifest.components.items():
        entries = {component.precision: component.file, **component.variants}
        for precision, entry in entries.items():
            yield f"| {name} | `{entry.file}` | {precision} | {entry.bytes / 1e6:.2f} MB |"


def _agreement(parity: Mapping[str, Any]) -> Iterator[str]:
    for answer in _ANSWERS:
        if answer in parity["agreement"]:
            yield f"| {answer} | {parity['agreement'][answer]:.2%} | {parity['shift'][answer]:.4f} |"
    if "text" in parity["agreement"]:
        yield f"| text of the reasoning, word for word | {parity['agreement']['text']:.2%} | |"


def _accuracy(accuracy: Mapping[str, Any]) -> str:
    if not accuracy:
        return "The export measured no agreement with human scorers.\n"
    lines = [_EVALUATED, "", "| epochs of | answer | n | accuracy | Cohen's kappa | macro F1 |"]
    lines.append("|---|---|---:|---:|---:|---:|")
    for name, result in accuracy.items():
        for mode, groups in result["modes"].items():
            lines += [_row(name, group, mode, row) for group, row in groups.items() if "/" not in group]
    for name, result in accuracy.items():
        reasons = result.get("faithfulness")
        if reasons is not None and reasons["supported"] is not None:
            lines.append("")
            lines.append(
                f"Of {reasons['claims']} claims in the reasoning about the {name} epochs, "
                f"{reasons['supported']:.1%} agree with the signal within the tolerance of the check, "
                f"{reasons['strict']:.1%} exactly."
            )
    return "\n".join(lines) + "\n"


def _row(name: str, group: str, mode: str, figures: Mapping[str, Any]) -> str:
    kappa = "-" if figures["kappa"] is None else f"{figures['kappa']:.3f}"
    who = name if group == "all" else f"{name}: {group}"
    numbers = f"{figures['n']} | {figures['accuracy']:.3f} | {kappa} | {figures['macro_f1']:.3f}"
    return f"| {who} | {mode} | {numbers} |"


def _provenance(provenance: Mapping[str, Any], gates: tuple[GateResult, ...]) -> Iterator[str]:
    yield f"| checkpoint (SHA-256) | `{provenance['checkpoint_sha256']}` |"
    yield f"| renderer | version {provenance['renderer']} |"
    yield f"| ONNX opset | {provenance['opset']} |"
    packages = ", ".join(f"{name} {number}" for name, number in provenance["packages"].items())
    yield f"| made with | eegvlm_export {provenance['eegvlm_rt']}, {packages} |"
    failed = sum(not result.passed for result in gates)
    yield f"| gates | {len(gates)}, {f'{failed} failed' if failed else 'all passed'} |"


def _draft(manifest: Manifest) -> str:
    """The mark of a draft with its reasons; nothing for any other bundle."""
    if not manifest.draft:
        return ""
    reasons = "\n".join(f"- {reason}" for reason in manifest.draft)
    return f"\n**A draft, published with `--draft` though it falls short:**\n\n{reasons}\n"
