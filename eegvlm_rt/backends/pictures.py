"""What every network that reads pictures asks of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["check_pictures"]


def check_pictures(pixel_values: NDArray[np.float32], shape: tuple[int, ...]) -> None:
    """Refuse anything but float32 pictures (n, *shape), `shape` being (planes, H, W); raises InputError."""
    if pixel_values.ndim != 4 or pixel_values.shape[1:] != shape or pixel_values.dtype != np.float32:
        kind = f"{pixel_values.dtype} {pixel_values.shape}"
        raise InputError("pixel_values", kind, f"give float32 of shape (n, {', '.join(map(str, shape))})")
