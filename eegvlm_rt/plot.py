"""The night as one picture: hypnogram above hypnodensity. Needs matplotlib (the `viz` extra)."""

from __future__ import annotations

import io
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from .atomic import write_file
from .epoch import EPOCH_S
from .errors import InputError
from .stages import STAGES, Stage

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from .hypnogram.model import Hypnogram

__all__ = ["STAGE_COLORS", "available", "write_png"]

# Okabe & Ito's palette (jfly.uni-koeln.de/color): told apart with every common color vision deficiency.
STAGE_COLORS = {
    Stage.W: "#E69F00",
    Stage.R: "#CC3311",
    Stage.N1: "#9AD0F3",
    Stage.N2: "#3D8FCB",
    Stage.N3: "#0B3C6F",
}
_ROWS = (Stage.N3, Stage.N2, Stage.N1, Stage.R, Stage.W)
_INK, _GREY = "#22303C", "#8A97A3"
_NOTE = "eegvlm-rt, research software. Not a medical device."


def available() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def write_png(
    hypnogram: Hypnogram,
    path: str | os.PathLike[str],
    *,
    reference: Hypnogram | None = None,
    title: str = "",
    reference_name: str = "reference",
) -> Path:
    """Write a PNG of 1,650 x 840 pixels: stages over time, below them the probabilities, where there are any.

    `reference` (same length) is drawn as a thin line just above the stages. Raises InputError for an empty
    hypnogram, a reference of another length or a missing matplotlib, RecordingError where `path` cannot
    be written.
    """
    if not available():
        raise InputError("matplotlib", "not installed", "install it with: pip install 'eegvlm-rt[viz]'")
    if not len(hypnogram):
        raise InputError("stages", "0 epochs", "a picture needs at least one epoch")
    if reference is not None and len(reference) != len(hypnogram):
        raise InputError(
            "reference", f"{len(reference)} epochs", f"give {len(hypnogram)}, like the hypnogram"
        )
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    dense = hypnogram.probabilities is not None
    figure = Figure(figsize=(11, 5.6) if dense else (11, 3.4), dpi=150, facecolor="white")
    FigureCanvasAgg(figure)
    rows = figure.subplots(
        2 if dense else 1, 1, sharex=True, squeeze=False, height_ratios=[1.25, 1][: 1 + dense]
    )
    top = rows[0, 0]
    _draw_stages(top, hypnogram, reference, reference_name)
    if dense:
        _draw_density(rows[1, 0], hypnogram)
    _label_time(rows[-1, 0], hypnogram)
    figure.align_ylabels()
    figure.subplots_adjust(left=0.085, right=0.975, top=0.905, bottom=0.115 if dense else 0.17, hspace=0.1)
    figure.text(
        0.085,
        0.975,
        _plain(title),
        parse_math=False,
        fontsize=12,
        color=_INK,
        fontweight="bold",
        ha="left",
        va="top",
    )
    figure.text(0.975, 0.012, _NOTE, fontsize=7.5, color=_GREY, ha="right", va="bottom")
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure.savefig(stream, format="png", dpi=150)
    return write_file(path, stream.getvalue())


def _plain(title: str) -> str:
    return "".join(character if character.isprintable() else "�" for character in title)


def _draw_stages(axes: Axes, hypnogram: Hypnogram, reference: Hypnogram | None, reference_name: str) -> None:
    edges_h = np.arange(len(hypnogram) + 1) * (EPOCH_S / 3600.0)
    if reference is not None:
        axes.stairs(
            _heights(reference) + 0.16, edges_h, baseline=None, color=_GREY, lw=0.8, label=reference_name
        )
    heights = _heights(hypnogram)
    axes.stairs(heights, edges_h, baseline=None, color=_INK, lw=0.8)
    for stage in _ROWS:
        spans = [
            (edges_h[i], edges_h[i + 1] - edges_h[i]) for i in np.flatnonzero(heights == _ROWS.index(stage))
        ]
        axes.broken_barh(spans, (_ROWS.index(stage) - 0.13, 0.26), facecolors=STAGE_COLORS[stage], lw=0)
    unscored = np.flatnonzero(np.isnan(heights))
    if unscored.size:
        spans = [(edges_h[i], edges_h[i + 1] - edges_h[i]) for i in unscored]
        axes.broken_barh(spans, (-0.6, 5.2), facecolors="#ECEFF1", lw=0, label="unscored", zorder=0)
    axes.set_yticks(range(len(_ROWS)), [stage.name for stage in _ROWS], color=_INK)
    axes.set_ylim(-0.6, 4.6)
    axes.set_ylabel("stage", color=_INK)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color="#E3E8EC", lw=0.6)
    if reference is not None or unscored.size:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, frameon=False, fontsize=8.5)
    _bare(axes)


def _draw_density(axes: Axes, hypnogram: Hypnogram) -> None:
    """Stacked probabilities, N3 at the bottom and W at the top as in the stages above."""
    assert hypnogram.probabilities is not None
    unknown = (float("nan"),) * len(STAGES)
    table = np.array([unknown if row is None else row for row in hypnogram.probabilities])
    floor = np.zeros(len(table))
    edges_h = np.arange(len(table) + 1) * (EPOCH_S / 3600.0)
    for stage in _ROWS:
        ceiling = floor + table[:, stage]
        axes.stairs(
            np.nan_to_num(ceiling),
            edges_h,
            baseline=np.nan_to_num(floor),
            fill=True,
            color=STAGE_COLORS[stage],
            lw=0,
        )
        axes.fill_between([], [], color=STAGE_COLORS[stage], label=stage.name)
        floor = ceiling
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"], color=_INK)
    axes.set_ylabel("probability", color=_INK)
    _bare(axes)


def _heights(hypnogram: Hypnogram) -> NDArray[np.float64]:
    return np.array(
        [np.nan if stage is None else _ROWS.index(stage) for stage in hypnogram.stages], dtype=np.float64
    )


def _label_time(axes: Axes, hypnogram: Hypnogram) -> None:
    length_h = hypnogram.duration_s / 3600.0
    steps_h = (1 / 60, 1 / 30, 1 / 12, 1 / 6, 0.25, 0.5, 1.0, 2.0, 4.0, 12.0, 24.0)
    step_h = next((step for step in steps_h if length_h / step <= 12), 24.0)
    start = hypnogram.start
    offset_h = 0.0 if start is None else start.hour + start.minute / 60 + start.second / 3600
    first = np.ceil(offset_h / step_h - 1e-9) * step_h - offset_h
    ticks = np.arange(first, length_h + 1e-9, step_h)
    axes.set_xticks(ticks, [_clock(offset_h + tick) for tick in ticks], color=_INK)
    axes.set_xlim(0.0, length_h)
    axes.set_xlabel("clock time" if start is not None else "time since start (h:min)", color=_INK)


def _clock(hours: float) -> str:
    minutes = round(hours * 60)
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"


def _bare(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_GREY)
    axes.tick_params(color=_GREY, labelsize=9)
