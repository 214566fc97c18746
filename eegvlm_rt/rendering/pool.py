"""Memory for pictures that is used again: fresh pages cost more than the drawing, misaligned stores nearly
twice as much. Not a medical device."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from .renderer import OutputName, RenderSpec, render_batch
from .spec import checked_integer, checked_number, dtype_of

__all__ = ["ALIGNMENT", "PicturePool", "aligned_pictures"]

ALIGNMENT = 64
"""Bytes: a cache line of x86-64 and of the Cortex-A78AE, and the widest store there is."""

_MAX_BYTES = 1 << 40


def aligned_pictures(shape: Sequence[int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An uninitialized C-contiguous array whose first byte lies at a multiple of 64."""
    count = math.prod(shape)
    room = np.empty(count * dtype.itemsize + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + count * dtype.itemsize].view(dtype).reshape(shape)


class PicturePool:
    """Aligned buffers of `batch` pictures each, lent in turn and used again.

    spec, output: what the pictures are.
    batch: pictures in one buffer, at least 1.
    buffers: how many there are, at least 1: as many batches can be held at a time.

    Memory is touched once, here. Any thread may borrow and give back. Raises TypeError and InputError (a
    ValueError) that begin with the argument's name.
    """

    def __init__(
        self, spec: RenderSpec, *, output: OutputName = "f32", batch: int = 16, buffers: int = 2
    ) -> None:
        if not isinstance(spec, RenderSpec):
            raise TypeError(f"spec: {type(spec).__name__}; give a RenderSpec")
        self.spec, self.output = spec, output
        dtype = dtype_of(output)
        self.batch = checked_integer("batch", batch, 1, _MAX_BYTES)
        count = checked_integer("buffers", buffers, 1, 4096)
        shape = (self.batch, *spec.shape(output))
        if math.prod(shape) * dtype.itemsize > _MAX_BYTES // count:
            raise InputError("batch", batch, "give fewer pictures: the pool would need more than a tebibyte")
        self._free = [aligned_pictures(shape, dtype) for _ in range(count)]
        # Pages that were never written are given by the kernel at the first touch, in the middle of drawing;
        # here that is paid once.
        for buffer in self._free:
            buffer.fill(0)
        self._ready = threading.Condition()

    @property
    def free(self) -> int:
        """Buffers that are not lent."""
        return len(self._free)

    @contextmanager
    def lend(self, timeout: float | None = None) -> Iterator[NDArray[Any]]:
        """A buffer, (batch, ...), for the body of a `with`; afterwards it is another's.

        timeout: seconds to wait for one, or None for ever. Raises TimeoutError when they are over.
        """
        seconds = None if timeout is None else max(checked_number("timeout", timeout), 0.0)
        with self._ready:
            if not self._ready.wait_for(lambda: self._free, seconds):
                raise TimeoutError(f"timeout: {seconds} s; all buffers are lent: give one back or make more")
            buffer = self._free.pop()
        try:
            yield buffer
        finally:
            with self._ready:
                self._free.append(buffer)
                self._ready.notify()

    def render(
        self,
        x: ArrayLike,
        *,
        scale: float | Sequence[float] = 1.0,
        offset: float | Sequence[float] = 0.0,
        mask: ArrayLike | None = None,
        threads: int = 1,
    ) -> Iterator[NDArray[Any]]:
        """Draws x, (N, n) or (N, channels, n), batch by batch; yields up to `batch` pictures at a time.

        They lie in the pool and hold until the next step. Arguments and errors are those of `render_batch`;
        how many threads draw does not show in the bytes.
        """
        epochs = np.asanyarray(x)
        if epochs.ndim not in (2, 3):
            raise InputError("x", epochs.shape, "give (N, n) or (N, channels, n)")
        lost = None if mask is None else np.asarray(mask)
        whole = lost is None or lost.ndim < epochs.ndim or lost.shape[0] == 1
        if lost is not None and not whole and lost.shape[0] != epochs.shape[0]:
            raise InputError("mask", lost.shape, f"give what broadcasts to the shape of x, {epochs.shape}")
        for first in range(0, epochs.shape[0], self.batch):
            part = slice(first, first + self.batch)
            with self.lend() as buffer:
                yield render_batch(
                    epochs[part],
                    self.spec,
                    scale=scale,
                    offset=offset,
                    mask=lost if lost is None or whole else lost[part],
                    out=buffer[: len(epochs[part])],
                    output=self.output,
                    threads=threads,
                )
