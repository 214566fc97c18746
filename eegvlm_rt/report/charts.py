"""The panels of a night as SVG: x in epochs, y from 0 to 100, stretched to the width of the page.

Text stands beside the panels in HTML, so that it is as large on a phone as on a laptop; a panel holds shapes
alone.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from ..hypnogram.course import codes_of, runs
from ..hypnogram.density import density_of
from ..hypnogram.palette import GRID, INK, MUTED, STAGE_COLORS, STAGE_ROWS, UNSCORED
from ..hypnogram.time_axis import time_ticks
from ..signal.units import EPOCH_S
from ..stages import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from ..hypnogram.model import Hypnogram

__all__ = ["density_panel", "hypnogram_panel", "spectrogram_panel", "ticks_of"]

HEIGHT: Final = 100.0
PAGE_PX: Final = 900.0
"""Width for which probabilities are averaged."""

WIDE_PX: Final = 520.0
PHONE_PX: Final = 230.0
"""Width of a panel on the narrowest page that shows every label, and on a small phone."""

LETTER_PX: Final = 8.5
"""Room for a letter of a label, and some between labels."""

_ROW: Final = HEIGHT / len(STAGE_ROWS)
_TOP: Final = {stage: _ROW * row for row, stage in enumerate(STAGE_ROWS)}


def hypnogram_panel(hypnogram: Hypnogram, *, changed: Iterable[int] = (), marked: Iterable[int] = ()) -> str:
    """Stages over time. `changed` epochs have a dot, `marked` ones a small triangle above."""
    codes = codes_of(hypnogram.stages)
    shapes = [_rect(first, 0, end - first, HEIGHT, UNSCORED) for first, end in runs(codes < 0)]
    middles = (_num(_TOP[stage] + _ROW / 2) for stage in STAGE_ROWS)
    shapes += [_line(f"M0 {middle}H{len(codes)}", GRID) for middle in middles]
    shapes.append(_line(_steps(codes), MUTED, 0.6))
    for stage in STAGE_ROWS:
        top, color = _TOP[stage] + 0.22 * _ROW, STAGE_COLORS[stage]
        shapes += [_rect(first, top, end - first, 0.56 * _ROW, color) for first, end in runs(codes == stage)]
    for epoch in changed:
        if codes[epoch] >= 0:
            top = _TOP[Stage(codes[epoch])] + 0.84 * _ROW
            shapes.append(_rect(epoch, top, 1, 0.14 * _ROW, INK))
    wide = max(len(codes) / 220, min(0.35, len(codes) / 60))
    for epoch in marked:
        middle = epoch + 0.5
        shapes.append(
            f'<path d="M{_num(middle - wide / 2)} 0h{_num(wide)}l{_num(-wide / 2)} 4.5z" fill="{INK}"/>'
        )
    return _svg(len(codes), shapes, "Hypnogram: stages W, R, N1, N2 and N3 over the night")


def density_panel(hypnogram: Hypnogram) -> tuple[str, str]:
    """Stacked probabilities over time, and what was averaged."""
    density = density_of(hypnogram, PAGE_PX)
    edges = density.edges_s / EPOCH_S
    middles = (edges[:-1] + edges[1:]) / 2
    present = ~np.isnan(density.proba[:, 0])
    n = len(hypnogram)
    shapes = [_rect(0, 0, n, HEIGHT, UNSCORED)] if not present.all() else []
    for first, end in runs(present):
        x = np.concatenate(([edges[first]], middles[first:end], [edges[end]]))
        rows = density.proba[first:end]
        rows = np.concatenate((rows[:1], rows, rows[-1:]))
        # From the top down, each stage covers what is left below it.
        remainder = np.ones(len(x))
        for stage in STAGE_ROWS:
            top, remainder = HEIGHT * (1 - remainder), remainder - rows[:, stage]
            line = "L".join(f"{_num(a)} {_num(b)}" for a, b in zip(x, top, strict=True))
            path = f"M{line}L{_num(x[-1])} {HEIGHT:g}L{_num(x[0])} {HEIGHT:g}z"
            shapes.append(f'<path d="{path}" fill="{STAGE_COLORS[stage]}"/>')
    return _svg(n, shapes, "Probability of each stage over the night, stacked to 100 %"), density.note


def spectrogram_panel(epochs: int, png: str, first: float, last: float) -> str:
    """A spectrogram, a PNG as base64 text, that covers the epochs `first` to `last` of `epochs`."""
    image = (
        f'<image x="{_num(first)}" y="0" width="{_num(last - first)}" height="{HEIGHT:g}" '
        f'preserveAspectRatio="none" href="data:image/png;base64,{png}"/>'
    )
    shapes = [_rect(0, 0, epochs, HEIGHT, UNSCORED), image]
    return _svg(epochs, shapes, "Spectrogram: power from 0 to 30 Hz over the night")


def ticks_of(hypnogram: Hypnogram) -> list[dict[str, object]]:
    """Labels of the time axis: place in epochs, text, and whether a phone leaves it out.

    They stand on round times, as many as do not touch one another.
    """
    ticks, on_phone = _ticks_for(hypnogram, WIDE_PX), dict(_ticks_for(hypnogram, PHONE_PX))
    n = len(hypnogram)
    shown: list[dict[str, object]] = []
    for place_s, label in ticks:
        share = place_s / EPOCH_S / n
        text, _, day = label.partition("\n")
        shown.append(
            {
                "epoch": round(share * n, 3),
                "percent": round(100 * share, 3),
                "text": text,
                "day": day,
                "minor": place_s not in on_phone,
                "edge": _edge(share),
            }
        )
    return shown


def _ticks_for(hypnogram: Hypnogram, width_px: float) -> list[tuple[float, str]]:
    """Places in s and labels that an axis of this width has room for."""
    for most in range(12, 2, -1):
        ticks = time_ticks(hypnogram.start, hypnogram.duration_s, most=most)
        ends_px = [_ends_px(place_s / hypnogram.duration_s, label, width_px) for place_s, label in ticks]
        # A label at an end of the axis stays inside the page, and gives way where it then touches the next.
        if len(ends_px) > 2 and ends_px[0][1] > ends_px[1][0]:
            ticks, ends_px = ticks[1:], ends_px[1:]
        if len(ends_px) > 2 and ends_px[-2][1] > ends_px[-1][0]:
            ticks, ends_px = ticks[:-1], ends_px[:-1]
        if all(left[1] <= right[0] for left, right in pairwise(ends_px)):
            return ticks
    return ticks[:1]


def _ends_px(share: float, label: str, width_px: float) -> tuple[float, float]:
    """Where a label begins and ends."""
    wide = len(label.partition("\n")[0]) * LETTER_PX
    begin = share * width_px - {"first": 0.0, "last": wide}.get(_edge(share), wide / 2)
    return begin, begin + wide


def _edge(share: float) -> str:
    return "first" if share < 0.03 else "last" if share > 0.97 else ""


def _svg(width: int, shapes: Sequence[str], label: str) -> str:
    return (
        f'<svg class="night" viewBox="0 0 {width} {HEIGHT:g}" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}">{"".join(shapes)}</svg>'
    )


def _steps(codes: NDArray[np.int8]) -> str:
    """The line through the stages, broken where an epoch is unscored."""
    parts, before = [], -1
    for first, end in _stretches(codes):
        code = int(codes[first])
        if code >= 0:
            y = _num(_TOP[Stage(code)] + _ROW / 2)
            parts.append(f"M{first} {y}H{end}" if before < 0 else f"V{y}H{end}")
        before = code
    return "".join(parts)


def _stretches(codes: NDArray[np.int8]) -> list[tuple[int, int]]:
    cuts = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    return list(pairwise(cuts))


def _line(path: str, color: str, opacity: float = 1.0) -> str:
    """A thin line. Browsers keep its width at every size (style.css); other programs take the one here."""
    style = 'class="line" fill="none" stroke-width="0.5"'
    return f'<path d="{path}" stroke="{color}" opacity="{opacity:g}" {style}/>'


def _rect(x: float, y: float, width: float, height: float, color: str) -> str:
    return f'<rect x="{_num(x)}" y="{_num(y)}" width="{_num(width)}" height="{_num(height)}" fill="{color}"/>'


def _num(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
