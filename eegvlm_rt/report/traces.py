"""The trace of one epoch as SVG, in microvolts and seconds, with the events that were measured in it
marked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ..hypnogram.course import runs
from ..hypnogram.palette import GRID, INK, MARKS, MUTED, UNSCORED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..findings.model import Span

__all__ = ["PARTS", "Trace", "trace_of"]

SFREQ_HZ: Final = 100
PARTS: Final = 3
PART_S: Final = 10
"""A trace is cut into three parts of 10 s, which stand side by side on a wide page and below each other on a
phone.
"""

X_PER_S: Final = 600
HEIGHT: Final = 2000
LANE: Final = 160
SCALES_UV: Final = (50, 100, 150, 200, 300, 500, 1000, 2000, 5000)


@dataclass(frozen=True, slots=True)
class Trace:
    """Parts of a trace and its scale: the upper edge is +`scale_uv` µV, the lower one -`scale_uv`."""

    parts: tuple[str, ...]
    scale_uv: int
    grid_uv: int


def trace_of(x_uv: NDArray[np.float32], marks: Mapping[str, Sequence[Span]]) -> Trace:
    """Draw (3000,) µV at 100 Hz, NaN where samples are missing. `marks` are (onset s, duration s) by kind of
    event, the kinds of `palette.MARKS`; each kind has a lane below the trace.
    """
    sizes_uv = np.abs(x_uv[np.isfinite(x_uv)])
    peak = float(np.quantile(sizes_uv, 0.995)) if sizes_uv.size else 0.0
    scale = next((step for step in SCALES_UV if peak <= step), SCALES_UV[-1])
    grid = {50: 25, 100: 50, 150: 50, 200: 100, 300: 100, 500: 250}.get(scale, scale // 2)
    return Trace(tuple(_part(x_uv, marks, part, scale, grid) for part in range(PARTS)), scale, grid)


def _part(
    x_uv: NDArray[np.float32], marks: Mapping[str, Sequence[Span]], part: int, scale: int, grid: int
) -> str:
    width, bottom = X_PER_S * PART_S, HEIGHT + LANE * len(MARKS)
    start_s = PART_S * part
    shapes = [_spans(spans, start_s, kind) for kind, spans in marks.items()]
    for second in range(PART_S + 1):
        color = MUTED if (start_s + second) % 5 == 0 else GRID
        shapes.append(_hair(f"M{X_PER_S * second} 0V{bottom}", color))
    levels = range(-(scale // grid) * grid, scale + 1, grid)
    shapes += [_hair(f"M0 {_y(level, scale):.0f}H{width}", GRID if level else MUTED) for level in levels]
    samples = x_uv[start_s * SFREQ_HZ : (start_s + PART_S) * SFREQ_HZ + 1]
    shapes.append(_missing(samples))
    shapes.append(
        f'<path d="{_line(samples, scale)}" stroke="{INK}" class="trace" fill="none" stroke-width="22"/>'
    )
    label = f"EEG from second {start_s} to {start_s + PART_S}, from -{scale} to {scale} µV"
    return (
        f'<svg class="eeg" viewBox="0 0 {width:g} {bottom:g}" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}">{"".join(shapes)}</svg>'
    )


def _spans(spans: Sequence[Span], start_s: float, kind: str) -> str:
    """A light band over the trace and a full one in the lane of the kind."""
    color = MARKS[kind]
    lane = HEIGHT + LANE * list(MARKS).index(kind)
    shapes = []
    for onset_s, duration_s in spans:
        first, last = max(onset_s - start_s, 0.0), min(onset_s + duration_s - start_s, float(PART_S))
        if last > first:
            place = f'x="{X_PER_S * first:.1f}" width="{X_PER_S * (last - first):.1f}"'
            shapes.append(f'<rect {place} y="0" height="{HEIGHT:g}" fill="{color}" opacity="0.16"/>')
            shapes.append(f'<rect {place} y="{lane + 40}" height="{LANE - 60}" fill="{color}"/>')
    return "".join(shapes)


def _missing(samples: NDArray[np.float32]) -> str:
    step = X_PER_S // SFREQ_HZ
    return "".join(
        f'<rect x="{step * first}" y="0" width="{step * (end - first)}" height="{HEIGHT}" fill="{UNSCORED}"/>'
        for first, end in runs(~np.isfinite(samples))
    )


def _line(samples: NDArray[np.float32], scale: int) -> str:
    """A path in whole units and relative steps, which take half the bytes of absolute places."""
    step = X_PER_S // SFREQ_HZ
    inside = np.clip(samples, -1.02 * scale, 1.02 * scale)
    heights = np.round(HEIGHT / 2 * (1 - inside.astype(np.float64) / scale))
    parts: list[str] = []
    for first, end in runs(np.isfinite(heights)):
        y = heights[first:end].astype(int)
        steps = " ".join(f"{step} {change}" for change in np.diff(y))
        parts.append(f"M{step * first} {y[0]}" + (f"l{steps}" if steps else "h1"))
    return "".join(parts)


def _hair(path: str, color: str) -> str:
    """A line of the grid. Browsers keep its width (style.css); other programs take the one here."""
    return f'<path d="{path}" stroke="{color}" class="hair" fill="none" stroke-width="10"/>'


def _y(value_uv: float, scale: int) -> float:
    return HEIGHT / 2 * (1 - value_uv / scale)
