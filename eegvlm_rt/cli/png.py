"""Pictures as PNG files, with zlib alone."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["encode_png"]


def encode_png(pixels: NDArray[np.uint8], software: str = "eegvlm-rt") -> bytes:
    """An (H, W, 3) uint8 picture as an 8-bit RGB PNG (ISO/IEC 15948) that names the software which made it.

    Raises InputError for others.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise InputError("pixels", f"{pixels.dtype} {pixels.shape}", "give (H, W, 3) uint8")
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 3 * width), dtype=np.uint8)
    rows[:, 1:] = pixels.reshape(height, 3 * width)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    text = b"Software\0" + software.encode("latin-1", errors="replace")
    chunks = ((b"IHDR", head), (b"tEXt", text), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
