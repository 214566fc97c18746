"""The kernel against exact coverage: how far, at worst, a picture is from what a round pen would leave.

The reference knows nothing of the kernel's method. It asks of 24 x 24 points in each pixel whether they lie
within half a line width of the trace, segment by segment, and counts.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from eegvlm_rt.rendering.renderer import RenderSpec, render

POINTS = 24
PIXEL_COLUMNS = 5
LEAST_PSNR_DB = 38.0

SIZES = ((336, 336), (224, 224))
RATES_HZ = (50, 100, 128, 200, 256, 512)
GRID = [
    *((*size, rate, rows, 1.0) for size, rate, rows in itertools.product(SIZES, RATES_HZ, (1, 6))),
    *((336, 336, rate, rows, 2.0) for rate, rows in itertools.product(RATES_HZ, (1, 6))),
    *(
        (448, 224, rate, rows, line)
        for rate, rows, line in itertools.product((100, 256), (1, 6), (0.5, 0.7, 1.5, 8.0))
    ),
    *((336, 336, rate, rows, 1.0) for rate, rows in itertools.product((500, 1000), (1, 6))),
    *((224, 224, rate, rows, 1.0) for rate, rows in itertools.product((100, 512), (2, 3, 4))),
    (96, 160, 100, 4, 1.3),
    (97, 161, 512, 3, 0.9),
    (336, 112, 256, 1, 1.0),
    (64, 336, 128, 6, 1.0),
]


def night_signal_uv(rate_hz: int) -> np.ndarray:
    """30 s with the slopes of real EEG: a falling spectrum, alpha, spindles, slow waves and two spikes."""
    n = 30 * rate_hz
    t = np.arange(n) / rate_hz
    random = np.random.default_rng(rate_hz)
    f = np.fft.rfftfreq(n, 1 / rate_hz)
    spectrum = (random.standard_normal(len(f)) + 1j * random.standard_normal(len(f))) / np.maximum(
        f, 0.5
    ) ** 0.8
    spectrum[f > 35] = 0.0
    background = np.fft.irfft(spectrum, n)
    x = 20 * background / background.std()
    x += 25 * np.sin(2 * np.pi * 10 * t) * (np.sin(0.5 * t) > 0)
    x += 20 * np.sin(2 * np.pi * 13.3 * t) * (np.sin(1.1 * t) > 0.8)
    x += 60 * np.sin(2 * np.pi * 0.9 * t) * (np.sin(0.3 * t) > 0.3)
    x[[n // 3, n // 2]] += 400.0
    return np.asarray(x)


def held_vertices(
    x_px: np.ndarray, y_px: np.ndarray, least: float, most: float
) -> tuple[np.ndarray, np.ndarray]:
    """The vertices of a polyline held between two heights: its own and those where it crosses them."""
    xs, ys = [x_px[0]], [y_px[0]]
    for i in range(1, len(x_px)):
        rise = y_px[i] - y_px[i - 1]
        crossings = [
            (edge - y_px[i - 1]) / rise
            for edge in (least, most)
            if (edge - y_px[i - 1]) * (edge - y_px[i]) < 0
        ]
        for share in sorted(crossings):
            xs.append(x_px[i - 1] + share * (x_px[i] - x_px[i - 1]))
            ys.append(y_px[i - 1] + share * rise)
        xs.append(x_px[i])
        ys.append(y_px[i])
    return np.array(xs), np.clip(ys, least, most)


def points_inked(x: float, y: np.ndarray, xs: np.ndarray, ys: np.ndarray, reach: float) -> np.ndarray:
    """Which of the points (x, y) lie within reach of the polyline."""
    along_x, along_y = np.diff(xs)[:, None], np.diff(ys)[:, None]
    from_x, from_y = x - xs[:-1, None], y[None] - ys[:-1, None]
    length = np.maximum(along_x**2 + along_y**2, 1e-30)
    share = np.clip((from_x * along_x + from_y * along_y) / length, 0.0, 1.0)
    distance = (from_x - share * along_x) ** 2 + (from_y - share * along_y) ** 2
    return np.asarray(distance.min(axis=0) <= reach**2)


def exact_columns(x_uv: np.ndarray, spec: RenderSpec, columns: np.ndarray) -> np.ndarray:
    """Gray values of some pixel columns, (height, len(columns)), not rounded."""
    reach = spec.line_width / 2
    band = spec.height / spec.rows
    x_px = (np.arange(len(x_uv)) + 0.5) * spec.width * spec.rows / len(x_uv)
    y_px = band / 2 * (1 - x_uv / spec.uv_range)
    point_y = (np.arange(spec.height * POINTS) + 0.5) / POINTS
    inked = np.zeros((spec.height, len(columns)))
    for row in range(spec.rows):
        inside = np.flatnonzero((point_y >= row * band) & (point_y < (row + 1) * band))
        for i, sub in itertools.product(range(len(columns)), range(POINTS)):
            x = row * spec.width + columns[i] + (sub + 0.5) / POINTS
            near = slice(
                max(np.searchsorted(x_px, x - reach) - 1, 0),
                min(np.searchsorted(x_px, x + reach) + 1, len(x_px)),
            )
            xs, ys = held_vertices(x_px[near], y_px[near], reach, band - reach)
            # Points above and below all of these segments are not worth asking about.
            y = point_y[inside] - row * band
            beside = (y >= ys.min() - reach) & (y <= ys.max() + reach)
            hits = points_inked(x, y[beside], xs, ys, reach)
            np.add.at(inked[:, i], inside[beside] // POINTS, hits)
    return 255.0 * (1.0 - inked / POINTS**2)


@pytest.mark.parametrize(("width", "height", "rate_hz", "rows", "line_width"), GRID)
def test_a_picture_is_exact_to_38_db(
    width: int, height: int, rate_hz: int, rows: int, line_width: float
) -> None:
    spec = RenderSpec(width=width, height=height, rows=rows, line_width=line_width)
    x = night_signal_uv(rate_hz)
    columns = np.linspace(1, width - 2, PIXEL_COLUMNS).astype(int)
    error = render(x, spec)[:, columns, 0] - exact_columns(x, spec, columns)
    psnr_db = 10 * np.log10(255**2 / np.mean(error**2))
    assert psnr_db >= LEAST_PSNR_DB
