"""Other ways to a picture of the same trace: matplotlib, OpenCV, numpy on OpenCV's gray, and a memset."""

from __future__ import annotations

import ctypes
import itertools
import statistics
from typing import TYPE_CHECKING, Any

import numpy as np

from ._pairs import times_us

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from eegvlm_rt.rendering.renderer import RenderSpec

__all__ = ["Matplotlib", "OpenCV", "best_normalizer", "memset"]


def _rows(x: NDArray[np.float32], spec: RenderSpec) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """x and y in pixels of each row of a folded trace."""
    across = (np.arange(len(x)) + 0.5) * spec.width * spec.rows / len(x)
    band = spec.height / spec.rows
    down = band / 2 * (1 - np.clip(x / spec.uv_range, -1, 1))
    rows = np.minimum((across // spec.width).astype(int), spec.rows - 1)
    return [(across[rows == r] - r * spec.width, down[rows == r] + r * band) for r in range(spec.rows)]


class Matplotlib:
    """Agg with one line a row: the figure is made once, `set_data` moves the lines, the canvas is drawn."""

    def __init__(self, x: NDArray[np.float32], spec: RenderSpec) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(spec.width / 100, spec.height / 100), dpi=100)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, spec.width)
        axes.set_ylim(spec.height, 0)
        self._canvas = FigureCanvasAgg(figure)
        self._data = _rows(x, spec)
        points = 72 * spec.line_width / 100
        self._lines = [axes.plot([], [], "k-", lw=points)[0] for _ in self._data]

    def u8(self) -> NDArray[np.uint8]:
        """(height, width, 3) of the canvas, without a copy."""
        for line, (across, down) in zip(self._lines, self._data, strict=True):
            line.set_data(across, down)
        self._canvas.draw()
        return np.asarray(self._canvas.buffer_rgba())[..., :3]


class OpenCV:
    """`polylines` with LINE_AA into a gray picture that is used again; points have 4 fractional bits."""

    SHIFT = 4

    def __init__(self, x: NDArray[np.float32], spec: RenderSpec) -> None:
        import cv2

        self._cv2 = cv2
        cv2.setNumThreads(1)
        one = 1 << self.SHIFT
        self._thickness = max(round(spec.line_width), 1)
        # OpenCV's pixel centers lie at whole numbers.
        self._points = [
            np.round((np.stack(row, axis=1) - 0.5) * one).astype(np.int32) for row in _rows(x, spec)
        ]
        self.gray = np.empty((spec.height, spec.width), np.uint8)
        self._bgr = np.empty((spec.height, spec.width, 3), np.uint8)

    def draw(self) -> NDArray[np.uint8]:
        """(height, width)."""
        self.gray.fill(255)
        self._cv2.polylines(self.gray, self._points, False, 0, self._thickness, self._cv2.LINE_AA, self.SHIFT)
        return self.gray

    def u8(self) -> NDArray[np.uint8]:
        """(height, width, 3): gray first, then three planes, which is faster than drawing in three."""
        self.draw()
        return np.asarray(self._cv2.cvtColor(self.gray, self._cv2.COLOR_GRAY2BGR, dst=self._bgr))


def best_normalizer(
    gray: NDArray[np.uint8], spec: RenderSpec, out: NDArray[np.float32]
) -> tuple[str, Callable[[], object]]:
    """Of several ways from gray to (3, height, width) float32 normalized, the one that is fastest here."""
    import cv2

    scale = np.array([1 / (255 * s) for s in spec.std], np.float32)
    bias = np.array([-m / s for m, s in zip(spec.mean, spec.std, strict=True)], np.float32)
    table = np.arange(256, dtype=np.float32) * scale[:, None] + bias[:, None]
    single = np.empty(gray.shape, np.float32)

    def multiplied() -> None:
        single[...] = gray
        for plane in range(3):
            np.multiply(single, scale[plane], out=out[plane])
            np.add(out[plane], bias[plane], out=out[plane])

    def broadcast() -> None:
        np.multiply(gray[None], scale[:, None, None], out=out)
        np.add(out, bias[:, None, None], out=out)

    def looked_up() -> None:
        for plane in range(3):
            np.take(table[plane], gray, out=out[plane], mode="clip")

    def looked_up_by_opencv() -> None:
        for plane in range(3):
            cv2.LUT(gray, table[plane], dst=out[plane])

    ways: dict[str, Callable[[], object]] = {
        "float, then multiply and add": multiplied,
        "multiply and add, broadcast": broadcast,
        "numpy.take of a table": looked_up,
        "cv2.LUT": looked_up_by_opencv,
    }
    times = times_us(ways, 0.5, least_rounds=25)
    best = min(ways, key=lambda way: statistics.median(itertools.chain(*times[way].thread)))
    return best, ways[best]


def memset(out: NDArray[Any]) -> Callable[[], object]:
    """Fills the same bytes by the C library's memset."""
    call = ctypes.CDLL(None).memset
    call.argtypes, call.restype = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t), ctypes.c_void_p
    address, size = out.ctypes.data, out.nbytes

    def fill(_kept: NDArray[Any] = out) -> object:
        return call(address, 0, size)

    return fill
