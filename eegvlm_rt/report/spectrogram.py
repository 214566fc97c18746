"""The spectrogram of a night as a small PNG."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["HIGHEST_HZ", "RANGE_DB", "spectrogram_png"]

HIGHEST_HZ: Final = 30.0
RANGE_DB: Final = (-20.0, 25.0)
"""Colors go from the first to the second value, in dB of 1 µV^2/Hz."""

WINDOW_S: Final = 4
SFREQ_HZ: Final = 100


def spectrogram_png(conditioned: NDArray[np.float32]) -> str:
    """Base64 text of an 8-bit PNG, one column per 30 s, 0.5 Hz a row, 30 Hz at the top.

    `conditioned` (n,) is in µV at 100 Hz, NaN where samples are missing. A column is the median of the power
    in windows of 4 s (Hann taper); one without a whole window is transparent.
    """
    from scipy.signal import periodogram

    per_window, windows = WINDOW_S * SFREQ_HZ, 7
    columns = -(-len(conditioned) // 3000)
    x = np.full(columns * 3000, np.nan, dtype=np.float32)
    x[: len(conditioned)] = conditioned
    blocks = x.reshape(columns, 3000)[:, : windows * per_window].reshape(-1, per_window)
    _, power = periodogram(np.nan_to_num(blocks), SFREQ_HZ, window="hann", detrend="constant", axis=1)
    power[np.isnan(blocks).any(axis=1)] = np.nan
    power = power.reshape(columns, windows, -1)
    present = ~np.isnan(power[:, :, 0]).all(axis=1)
    middle = np.full((columns, power.shape[2]), np.nan)
    middle[present] = np.nanmedian(power[present], axis=1)
    # Two bins of 0.25 Hz make a row.
    shown = middle[:, 1 : 1 + int(HIGHEST_HZ * WINDOW_S)].reshape(columns, -1, 2).mean(axis=2)
    low, high = RANGE_DB
    db = 10 * np.log10(np.maximum(shown, 1e-6))
    level = np.clip(np.nan_to_num((db - low) / (high - low)), 0, 1)
    pixels = (1 + np.round(254 * level)).astype(np.uint8)
    pixels[~present] = 0
    return _png(pixels.T[::-1])


def _png(pixels: NDArray[np.uint8]) -> str:
    from matplotlib import colormaps
    from PIL import Image

    # Color 0 is transparent, 1 to 255 are viridis, which reads in gray and with every color vision.
    table = (colormaps["viridis"](np.linspace(0, 1, 255))[:, :3] * 255).round().astype(np.uint8)
    image = Image.new("P", (pixels.shape[1], pixels.shape[0]))
    image.putpalette([0, 0, 0, *table.ravel().tolist()])
    image.frombytes(np.ascontiguousarray(pixels).tobytes())
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True, transparency=0)
    return base64.b64encode(stream.getvalue()).decode("ascii")
