"""Plots of an evaluation: confusion, reliability, coverage against accuracy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eegvlm_rt.extras import install_command
from eegvlm_rt.hypnogram.palette import INK, MUTED, STAGE_COLORS
from eegvlm_rt.stages import STAGES, Stage

__all__ = ["plot_figures", "plot_learning", "pyplot"]


def pyplot() -> Any:
    """matplotlib.pyplot without a display; raises ValueError, naming the extra, where it is missing."""
    try:
        import matplotlib as mpl
    except ModuleNotFoundError as error:
        raise ValueError(f"plots: matplotlib is missing; {install_command('viz')}") from error
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def plot_figures(result: dict[str, Any], folder: Path) -> list[Path]:
    """Write `NAME.png` for every mode and peer of `eegvlm_train evaluate`'s figures."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figures in [*result["modes"].items(), *result.get("peers", {}).items()]:
        safe = "".join(c if c.isalnum() else "-" for c in name).strip("-").lower()
        path = folder / f"{result['data']}-{safe}.png"
        _plot(name, figures, path)
        written.append(path)
    return written


def _plot(name: str, figures: dict[str, Any], path: Path) -> None:
    plt = pyplot()
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    confusion = np.asarray(figures["rows"]["all"]["confusion"], dtype=np.float64)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    left.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    labels = [*(stage.name for stage in STAGES), "?"]
    left.set_xticks(range(len(labels)), labels)
    left.set_yticks(range(len(STAGES)), labels[:-1])
    for (i, j), count in np.ndenumerate(confusion.astype(int)):
        left.text(j, i, count, ha="center", va="center", color="white" if shares[i, j] > 0.5 else "black")
    left.set(title=name, xlabel="said", ylabel="reference")
    bins = np.asarray(figures["calibration"]["reliability"])
    middle.plot([0, 1], [0, 1], color=MUTED, linewidth=1)
    middle.plot(bins[:, 0], bins[:, 1], marker="o", color=STAGE_COLORS[Stage.N2])
    middle.set(title=f"ECE {figures['calibration']['ece']:.3f}", xlabel="confidence", ylabel="share right")
    curve = figures["coverage"]
    right.plot(
        [row["coverage"] for row in curve],
        [row["accuracy"] for row in curve],
        marker="o",
        color=STAGE_COLORS[Stage.N2],
    )
    right.set(title="abstaining when unsure", xlabel="share of epochs answered", ylabel="accuracy")
    # Whole axes: a part of one makes a trend of noise.
    for axes in (middle, right):
        axes.set(xlim=(0, 1), ylim=(0, 1.02))
    figure.savefig(path, dpi=110)
    plt.close(figure)


def plot_learning(runs: Sequence[Path], path: Path) -> None:
    """Training loss and held-out kappas of training runs (folders with `log.jsonl`), one row a run.

    Raises ValueError for a run without a line of training.
    """
    plt = pyplot()
    figure, axes = plt.subplots(
        len(runs), 2, figsize=(8, 2.4 * len(runs)), squeeze=False, layout="constrained"
    )
    for (left, right), run in zip(axes, runs, strict=True):
        lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        train = [line for line in lines if line["kind"] == "train"]
        validation = [line for line in lines if line["kind"] == "validation"]
        if not train:
            raise ValueError(f"{run}: log.jsonl has no line of training")
        left.plot([line["step"] for line in train], [line["loss"] for line in train], linewidth=1, color=INK)
        left.set(title=run.name, xlabel="step", ylabel="training loss (nats)")
        left.set_ylim(bottom=0)
        for name in sorted({key for line in validation for key in line if key.endswith("_kappa")}):
            points = [(line["step"], line[name]) for line in validation if name in line]
            right.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name[: -len("_kappa")])
        right.set(xlabel="step", ylabel="κ, held-out nights", ylim=(0, 1))
        if validation:
            right.legend(frameon=False, fontsize=7)
    figure.savefig(path, dpi=90)
    plt.close(figure)
