"""Exact coverage of a round pen, in double precision and by another method than the kernel's: what its
pictures are measured against.

Time runs along x, so that the points within half a line width of the trace at one x are one interval of y.
Its ends are found from the geometry of every segment under the pen: the two discs at its ends, and the two
lines parallel to it. Coverage is then exact along y; along x it is the mean of CUTS cuts in each pixel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from eegvlm_rt.rendering.renderer import RenderSpec

__all__ = ["CUTS", "exact_columns", "psnr_db", "signal_uv"]

CUTS: Final = 509
"""Cuts in each pixel: a prime, so that they do not fall where a renderer cuts."""


def signal_uv(rate_hz: int, seconds: int = 30, seed: int = 5) -> NDArray[np.float64]:
    """As steep as EEG gets: noise that falls with frequency, alpha, spindles, slow waves, two artifacts."""
    n = seconds * rate_hz
    t = np.arange(n) / rate_hz
    random = np.random.default_rng([seed, rate_hz])
    hz = np.fft.rfftfreq(n, 1 / rate_hz)
    spectrum = random.standard_normal((2, len(hz)))
    falling = (spectrum[0] + 1j * spectrum[1]) / np.maximum(hz, 0.5)
    x = np.fft.irfft(np.where(hz < 45, falling, 0.0), n)
    x *= 25.0 / x.std()
    x += 20.0 * np.sin(2 * np.pi * 10.0 * t) * (np.sin(0.7 * t) > 0.2)
    x += 15.0 * np.sin(2 * np.pi * 13.5 * t) * (np.sin(1.3 * t) > 0.7)
    x += 55.0 * np.sin(2 * np.pi * 0.8 * t) * (np.sin(0.25 * t) > 0.4)
    x[[n // 5, n // 2 + 7]] += 350.0
    return np.asarray(x)


def exact_columns(
    x_uv: NDArray[np.float64], spec: RenderSpec, columns: NDArray[np.int64], cuts: int = CUTS
) -> NDArray[np.float64]:
    """Gray of some pixel columns, (height, len(columns)), not rounded, for one channel without gaps."""
    reach = spec.line_width / 2
    band = spec.height / spec.rows
    xs = (np.arange(len(x_uv)) + 0.5) * spec.width * spec.rows / len(x_uv)
    ys = band / 2 * (1 - x_uv / spec.uv_range)
    xs, ys = _held(xs, ys, reach, band - reach)
    covered = np.zeros((spec.height, len(columns)))
    edges = np.arange(spec.height + 1)[:, None]
    for row in range(spec.rows):
        for i, column in enumerate(columns):
            at = row * spec.width + int(column) + (np.arange(cuts) + 0.5) / cuts
            top, bottom = _intervals(at, xs, ys, reach)
            # Strips share no point: what two of them cover of a pixel adds up.
            below = np.clip(edges - row * band, top, bottom)
            covered[:, i] += np.diff(below, axis=0).mean(axis=1)
    return 255.0 * (1.0 - covered)


def psnr_db(picture: NDArray[np.uint8], exact: NDArray[np.float64]) -> float:
    """Of gray pictures, over all pixels, against full scale."""
    return float(10 * np.log10(255.0**2 / np.mean((picture - exact) ** 2)))


def _held(
    xs: NDArray[np.float64], ys: NDArray[np.float64], least: float, most: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The polyline held between two heights: its own vertices and those where it crosses one."""
    rise = np.diff(ys)
    new_x, new_y = [xs], [ys]
    for level in (least, most):
        crossing = np.flatnonzero((ys[:-1] - level) * (ys[1:] - level) < 0)
        share = (level - ys[crossing]) / rise[crossing]
        new_x.append(xs[crossing] + share * (xs[crossing + 1] - xs[crossing]))
        new_y.append(np.full(len(crossing), level))
    all_x, all_y = np.concatenate(new_x), np.clip(np.concatenate(new_y), least, most)
    all_x, once = np.unique(all_x, return_index=True)
    return all_x, all_y[once]


def _intervals(
    cuts: NDArray[np.float64], xs: NDArray[np.float64], ys: NDArray[np.float64], reach: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Top and bottom of the stroke at each cut; top = bottom where there is none."""
    near = slice(
        max(int(np.searchsorted(xs, cuts[0] - reach)) - 1, 0), int(np.searchsorted(xs, cuts[-1] + reach)) + 1
    )
    x, y = xs[near, None], ys[near, None]
    aside = cuts[None] - x
    tall = np.sqrt(np.maximum(reach**2 - aside**2, 0.0))
    under = np.abs(aside) <= reach
    tops = [np.where(under, y - tall, np.inf)]
    bottoms = [np.where(under, y + tall, -np.inf)]
    along_x, along_y = np.diff(x, axis=0), np.diff(y, axis=0)
    length = np.hypot(along_x, along_y)
    for sign, edges, none in ((-1.0, tops, np.inf), (1.0, bottoms, -np.inf)):
        # The line parallel to the segment on this side, from one end's disc to the other's.
        from_x = x[:-1] - sign * reach * along_y / length
        from_y = y[:-1] + sign * reach * along_x / length
        share = (cuts[None] - from_x) / along_x
        edges.append(np.where((share >= 0) & (share <= 1), from_y + share * along_y, none))
    top = np.concatenate(tops).min(axis=0)
    bottom = np.concatenate(bottoms).max(axis=0)
    drawn = np.isfinite(top) & np.isfinite(bottom)
    return np.where(drawn, top, 0.0), np.where(drawn, bottom, 0.0)
