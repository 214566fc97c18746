"""The live trace: the signal as the model sees it, drawn by the project's own sweep renderer."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...errors import EegVlmError
from ...rendering.renderer import RenderSpec
from ...rendering.sweep import Sweep
from ...signal.conditioning import Preprocessing, conditioner

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Trace", "encode_gray_png"]

SPAN_S: Final = 30.0
BLANK_S: Final = 0.6
SIZES: Final = {"wide": (1200, 200), "narrow": (400, 160)}
"""A phone gets a picture of its own: a wide one that is made smaller loses the line."""


class Trace:
    """The latest 30 s of one bed as pictures. The signal goes through the model's filters first, so that an
    electrode's offset does not move it out of the picture; its height is 200 µV.
    """

    def __init__(self) -> None:
        self._sfreq = 0.0
        self._filter: Any = None
        self._sweeps: dict[str, Sweep] = {}
        self._drawn: dict[str, tuple[int, bytes]] = {}
        self.version = 0

    def push(self, blob: bytes, sfreq: float) -> None:
        """Take raw samples, little-endian float32 in µV."""
        samples = np.frombuffer(blob, "<f4").astype(np.float64)
        try:
            if sfreq != self._sfreq:
                self._begin(sfreq)
            y = np.ascontiguousarray(self._filter.push(samples), dtype=np.float32)
        except EegVlmError:
            return
        if len(y):
            lost = np.isnan(y)
            for sweep in self._sweeps.values():
                sweep.push(np.where(lost, np.float32(0), y), lost)
            self.version += 1

    def png(self, size: str = "wide") -> bytes:
        """The picture of a size as a PNG file; empty before the first sample."""
        if size not in self._sweeps or not self.version:
            return b""
        version, png = self._drawn.get(size, (-1, b""))
        if version != self.version:
            width, height = SIZES[size]
            png = encode_gray_png(self._sweeps[size].picture.reshape(height, width))
            self._drawn[size] = (self.version, png)
        return png

    def _begin(self, sfreq: float) -> None:
        spec = Preprocessing()
        self._filter, self._sfreq = conditioner(sfreq, spec), sfreq
        for name, (width, height) in SIZES.items():
            look = RenderSpec(
                width=width,
                height=height,
                rows=1,
                uv_range=100.0,
                line_width=1.5 if name == "wide" else 1.0,
                ticks=30,
                scale_lines=(-50.0, 0.0, 50.0),
            )
            count, blank = round(SPAN_S * spec.sfreq), round(BLANK_S * spec.sfreq)
            self._sweeps[name] = Sweep(look, count, blank=blank, output="gray")


def encode_gray_png(pixels: NDArray[np.uint8]) -> bytes:
    """An (H, W) uint8 picture as an 8-bit grey PNG (ISO/IEC 15948)."""
    height, width = pixels.shape
    rows = np.zeros((height, 1 + width), dtype=np.uint8)
    rows[:, 1:] = pixels
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows.tobytes(), 1)), (b"IEND", b""))
    out = b"\x89PNG\r\n\x1a\n"
    for kind, data in parts:
        out += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return out
