"""Pictures as a pipeline draws them: each thread keeps the memory for its own."""

from __future__ import annotations

import math
import threading
from time import perf_counter
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from ..rendering.pool import aligned_pictures
from ..rendering.renderer import render_batch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..rendering.renderer import RenderSpec

__all__ = ["Canvases"]

PICTURES_BYTES: Final = 2 << 20
"""Room for the pictures that a processor draws and reads at a time: that of its second-level cache. What had
to leave it is fetched again, and pushes out everything else."""


class Canvases:
    """Draws float32 pictures of one look, `gray_f32` or `f32`."""

    def __init__(self, spec: RenderSpec) -> None:
        self._spec = spec
        self._local = threading.local()

    def few(self, output: Literal["gray_f32", "f32"]) -> int:
        """Pictures that stay in a processor's cache together, at least 1."""
        return max(1, PICTURES_BYTES // (4 * math.prod(self._spec.shape(output))))

    def room(self, output: Literal["gray_f32", "f32"], n: int) -> NDArray[np.float32]:
        """Memory for n pictures, (n, ...), this thread's until it asks for it again: fresh pages would cost
        more than the drawing."""
        rooms: dict[str, NDArray[np.float32]] = self._local.__dict__.setdefault("rooms", {})
        room = rooms.get(output)
        if room is None or len(room) < n:
            room = aligned_pictures((n, *self._spec.shape(output)), np.dtype(np.float32))
            rooms[output] = room
        return room[:n]

    def draw(
        self, signals: NDArray[np.float32], output: Literal["gray_f32", "f32"], out: NDArray[np.float32]
    ) -> float:
        """Draw (n, 3000) signals to `out` (n, ...); returns the seconds that it took."""
        began = perf_counter()
        render_batch(signals, self._spec, output=output, out=out)
        return perf_counter() - began
