"""The night as one picture: hypnogram above hypnodensity. Needs matplotlib (the `viz` extra)."""

from __future__ import annotations

import io
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import InputError
from ..files.outputs import write_file
from ..files.seal import SEAL
from ..signal.units import EPOCH_S
from ..stages import Stage
from .course import codes_of, runs
from .density import density_of
from .palette import GRID, INK, MUTED, STAGE_COLORS, STAGE_ROWS, UNSCORED
from .time_axis import time_ticks

if TYPE_CHECKING:
    import os

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .model import Hypnogram
    from .statistics import SleepStatistics

__all__ = ["DEFAULT_SIZE", "SUFFIXES", "available", "draw_night", "statistics_line", "write_picture"]

SUFFIXES: Final = (".png", ".svg", ".pdf")
DEFAULT_SIZE: Final = (1650, 900)
DPI: Final = 150
STEP_PX: Final = 12.0
NOTE: Final = "Research software. Not a medical device."

_HEIGHT = {stage: float(len(STAGE_ROWS) - 1 - row) for row, stage in enumerate(STAGE_ROWS)}


def available() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def write_picture(
    hypnogram: Hypnogram,
    path: str | os.PathLike[str],
    *,
    size: tuple[int, int] = DEFAULT_SIZE,
    title: str = "",
    model: str = "",
    statistics: SleepStatistics | None = None,
    reference: Hypnogram | None = None,
    reference_name: str = "reference",
    overwrite: bool = False,
) -> Path:
    """Write the picture that `draw_night` draws; the suffix of `path` says how: .png, .svg or .pdf.

    `size` is width and height in pixels (of a PNG; an SVG or PDF is as large at 150 dots per inch). Raises
    InputError for another suffix and as `draw_night` does, OutputError for a file of another that is there
    (unless `overwrite`), RecordingError where `path` cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError("path", str(path), "end the name with " + ", ".join(SUFFIXES))
    figure = draw_night(
        hypnogram,
        size=size,
        title=title,
        model=model,
        statistics=statistics,
        reference=reference,
        reference_name=reference_name,
    )
    import matplotlib as mpl

    stream = io.BytesIO()
    # The same night gives the same bytes: no date, ids from a fixed salt, text that stays text.
    fixed: dict[Any, Any] = {"svg.hashsalt": "eegvlm-rt", "svg.fonttype": "none"}
    by_suffix: dict[str, dict[str, Any]] = {
        ".png": {"Software": SEAL},
        ".svg": {"Date": None, "Description": SEAL},
        ".pdf": {"CreationDate": None, "Subject": SEAL},
    }
    with warnings.catch_warnings(), mpl.rc_context(fixed):
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure.savefig(stream, format=suffix[1:], dpi=DPI, metadata=by_suffix[suffix])
    return write_file(path, stream.getvalue(), overwrite=overwrite)


def draw_night(
    hypnogram: Hypnogram,
    *,
    size: tuple[int, int] = DEFAULT_SIZE,
    title: str = "",
    model: str = "",
    statistics: SleepStatistics | None = None,
    reference: Hypnogram | None = None,
    reference_name: str = "reference",
) -> Figure:
    """A matplotlib figure: stages over time, below them the probabilities, where there are any.

    `model` is named below, `statistics` above the stages; a night that a draft staged says so in its title.
    `reference` (same length) is a band of its own.

    Raises InputError for an empty hypnogram, a reference of another length, a size below 640 by 480 or above
    20,000 pixels, or a missing matplotlib.
    """
    if not available():
        cure = "install it with: pip install matplotlib, or the extra [viz] of this package"
        raise InputError("matplotlib", "not installed", cure)
    if not len(hypnogram):
        raise InputError("stages", "0 epochs", "a picture needs at least one epoch")
    if reference is not None and len(reference) != len(hypnogram):
        raise InputError(
            "reference", f"{len(reference)} epochs", f"give {len(hypnogram)}, like the hypnogram"
        )
    if not all(isinstance(n, int) and n <= 20_000 for n in size) or size[0] < 640 or size[1] < 480:
        raise InputError("size", size, "give width and height in pixels, at least 640 by 480, at most 20,000")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.transforms import blended_transform_factory

    width, height = size
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    dense = hypnogram.probabilities is not None
    # Margins in pixels, so that text has its room at every size.
    left, right, top, bottom = 125 / width, 1 - 42 / width, 1 - 150 / height, 120 / height
    shares = [5.0, *([0.5] if reference is not None else []), *([4.0] if dense else [])]
    panels = figure.subplots(len(shares), 1, sharex=True, squeeze=False, height_ratios=shares)[:, 0]
    figure.subplots_adjust(left=left, right=right, top=top, bottom=bottom, hspace=0.12)
    _draw_stages(panels[0], hypnogram)
    if reference is not None:
        _draw_band(panels[1], reference, reference_name)
    if dense:
        note = _draw_density(panels[-1], hypnogram, width * (right - left))
    _draw_time(panels[-1], hypnogram, width)
    for panel in panels:
        # Labels of the axes stand at one place, however wide the labels of the ticks are.
        place = blended_transform_factory(figure.transFigure, panel.transAxes)
        panel.yaxis.set_label_coords(34 / width, 0.5, transform=place)
    for panel in panels[:-1]:
        panel.tick_params(axis="x", length=0)

    def write(x: float, pixels: float, text: str, **style: Any) -> None:
        figure.text(x, pixels / height, _plain(text), parse_math=False, **style)

    room = (right - left) * width
    shown = f"Draft of a model, not for use. {title}" if hypnogram.draft else title
    write(left, height - 36, _fitted(shown, room / 16), size=12, color=INK, weight="bold", va="center")
    if statistics is not None:
        line = statistics_line(statistics, most=int(room / 10.5))
        write(left, height - 76, line, size=8.5, color=MUTED, va="center")
    _draw_legend(figure, left, (height - 124) / height, hypnogram)
    write(left, 20, _fitted(model, room / 9.2 - len(NOTE)), size=7.5, color=MUTED, va="center")
    write(right, 20, NOTE, size=7.5, color=MUTED, va="center", ha="right")
    if dense and note:
        write(right, height - 124, f"probabilities: {note}", size=7.5, color=MUTED, va="center", ha="right")
    return figure


def statistics_line(statistics: SleepStatistics, most: int = 1000) -> str:
    """The figures of a night that matter most, in a line of at most `most` characters; the last ones go
    first. Latencies are those that one stray epoch does not move.
    """
    parts = [f"TST {statistics.sleep_min:g} min", f"SE {statistics.efficiency_pct:.0f} %"]
    for name, value in (
        ("SOL of 3 epochs", statistics.onset_latency_3_epochs_min),
        ("REM latency of a period", statistics.rem_latency_period_min),
        ("WASO", statistics.waso_min),
    ):
        parts.append(f"{name} {'-' if value is None else f'{value:g} min'}")
    if statistics.unscored_min:
        parts.append(f"unscored {statistics.unscored_min:g} min")
    parts.append(f"lights {statistics.lights_off_known}")
    while len("   ".join(parts)) > most:
        parts.pop()
    return "   ".join(parts)


def _fitted(text: str, most: float) -> str:
    return text if len(text) <= most else text[: max(1, int(most) - 1)] + "…"


def _plain(text: str) -> str:
    return "".join(character if character.isprintable() else "�" for character in text)


def _draw_stages(axes: Axes, hypnogram: Hypnogram) -> None:
    codes = codes_of(hypnogram.stages)
    heights = np.array([np.nan if code < 0 else _HEIGHT[Stage(code)] for code in codes])
    edges_s = np.arange(len(codes) + 1) * EPOCH_S
    axes.stairs(heights, edges_s, baseline=None, color=MUTED, lw=0.6, alpha=0.55)
    for stage in STAGE_ROWS:
        spans = [(first * EPOCH_S, (end - first) * EPOCH_S) for first, end in runs(codes == stage)]
        axes.broken_barh(spans, (_HEIGHT[stage] - 0.2, 0.4), facecolors=STAGE_COLORS[stage], lw=0)
    gaps = [(first * EPOCH_S, (end - first) * EPOCH_S) for first, end in runs(codes < 0)]
    axes.broken_barh(gaps, (-0.6, 5.2), facecolors=UNSCORED, lw=0, zorder=0)
    axes.set_yticks([_HEIGHT[stage] for stage in STAGE_ROWS], [stage.name for stage in STAGE_ROWS], color=INK)
    axes.set_ylim(-0.6, 4.6)
    axes.set_ylabel("stage", color=INK)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=GRID, lw=0.6)
    _bare(axes)


def _draw_band(axes: Axes, hypnogram: Hypnogram, name: str) -> None:
    """Stages as one colored band."""
    codes = codes_of(hypnogram.stages)
    for stage in STAGE_ROWS:
        spans = [(first * EPOCH_S, (end - first) * EPOCH_S) for first, end in runs(codes == stage)]
        axes.broken_barh(spans, (0, 1), facecolors=STAGE_COLORS[stage], lw=0)
    axes.set_ylim(0, 1)
    axes.set_yticks([0.5], [_fitted(_plain(name), 10)], color=INK, parse_math=False)
    _bare(axes)
    axes.tick_params(left=False)
    axes.spines["left"].set_visible(False)


def _draw_density(axes: Axes, hypnogram: Hypnogram, width_px: float) -> str:
    """Stacked probabilities, in the order of the stages above; what was averaged, if anything was."""
    density = density_of(hypnogram, width_px)
    middles_s = (density.edges_s[:-1] + density.edges_s[1:]) / 2
    present = ~np.isnan(density.proba[:, 0])
    # Few epochs are drawn as they are, many as a course.
    steps = width_px / len(density.proba) >= STEP_PX
    axes.set_facecolor(UNSCORED if not present.all() else "white")
    for first, end in runs(present):
        # The areas reach the outer edges of the stretch they are of.
        rows = density.proba[first:end]
        if steps:
            places, rows = density.edges_s[first : end + 1], np.concatenate((rows, rows[-1:]))
        else:
            places = np.concatenate(([density.edges_s[first]], middles_s[first:end], [density.edges_s[end]]))
            rows = np.concatenate((rows[:1], rows, rows[-1:]))
        axes.stackplot(
            places,
            [rows[:, stage] for stage in STAGE_ROWS[::-1]],
            colors=[STAGE_COLORS[stage] for stage in STAGE_ROWS[::-1]],
            lw=0,
            step="post" if steps else None,
        )
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1], ["0", "50", "100"], color=INK)
    axes.set_ylabel("probability (%)" if axes.bbox.height > 180 else "%", color=INK)
    _bare(axes)
    return density.note


def _draw_legend(figure: Figure, left: float, height: float, hypnogram: Hypnogram) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=STAGE_COLORS[stage], label=stage.name) for stage in STAGE_ROWS]
    if None in hypnogram.stages:
        handles.append(Patch(color=UNSCORED, label="unscored"))
    legend = figure.legend(
        handles=handles,
        loc="center left",
        bbox_to_anchor=(left, height),
        ncols=len(handles),
        frameon=False,
        fontsize=8.5,
        borderpad=0,
        borderaxespad=0,
        handlelength=1.2,
        handleheight=0.9,
        handletextpad=0.5,
        columnspacing=1.3,
    )
    for text in legend.get_texts():
        text.set_color(INK)


def _draw_time(axes: Axes, hypnogram: Hypnogram, width_px: int) -> None:
    ticks = time_ticks(hypnogram.start, hypnogram.duration_s, most=max(3, min(13, width_px // 120)))
    axes.set_xticks([place for place, _ in ticks], [label for _, label in ticks], color=INK)
    axes.set_xlim(0.0, hypnogram.duration_s)
    axes.set_xlabel("clock time" if hypnogram.start is not None else "time since start (h:min)", color=INK)


def _bare(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(MUTED)
    axes.tick_params(color=MUTED, labelsize=9)
