"""A picture of a signal that is still coming in: each new chunk redraws only the columns it touches.

Not a medical device.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ..errors import InputError
from .kernel import kernel
from .pool import aligned_pictures
from .renderer import OutputName, RenderSpec, checked_scaling, refuse_masked
from .spec import checked_integer, dtype_of, plan_of

__all__ = ["Sweep"]

_TYPES = tuple(np.dtype(code) for code in ("f2", "f4", "f8", "i2", "i4"))
_MAX_SAMPLES = int(kernel.build_config()["max_samples"])


class Sweep:
    """A ring of samples and its picture, like the sweep of a bedside monitor.

    At any time the picture holds the very bytes of

        render(sweep.samples, spec, mask=sweep.missing, scale=scale, offset=offset, output=output)

    whatever the chunks were. What has not been written yet is missing. Methods may be called from several
    threads; whoever reads `picture` meanwhile may see it half drawn.

    spec: the look of the picture.
    samples: number of samples that the whole picture spans, at least 1: 30 * sfreq for an epoch.
    dtype: of the samples: float16, float32, float64, int16 or int32; chunks must have it.
    scale, offset: samples * scale + offset is in microvolts; one for all channels, or one for each.
    blank: samples ahead of the newest that are blanked, so that the eye finds it: 0..samples - 1.
    output, out: as for `render`; without `out` the picture lies in aligned memory of its own.

    Raises TypeError and InputError (a ValueError) that begin with the argument's name.
    """

    def __init__(
        self,
        spec: RenderSpec,
        samples: int,
        *,
        dtype: DTypeLike = np.float32,
        scale: float | Sequence[float] = 1.0,
        offset: float | Sequence[float] = 0.0,
        blank: int = 0,
        output: OutputName = "f32",
        out: NDArray[Any] | None = None,
    ) -> None:
        if not isinstance(spec, RenderSpec):
            raise TypeError(f"spec: {type(spec).__name__}; give a RenderSpec")
        self._length = checked_integer("samples", samples, 1, _MAX_SAMPLES)
        self._blank = checked_integer("blank", blank, 0, self._length - 1)
        kind = np.dtype(dtype)
        if kind not in _TYPES:
            raise TypeError(f"dtype: {kind}; give float16, float32, float64, int16 or int32")
        self.spec = spec
        self._samples = np.zeros((spec.channels, self._length), kind)
        self._missing = np.ones((spec.channels, self._length), np.bool_)
        self._cursor = 0
        self._lock = threading.Lock()
        self.picture = self._target(spec, output, out)
        self._kernel = kernel.Sweep(
            plan_of(spec),
            self._samples[None],
            self.picture,
            self._missing[None],
            output,
            checked_scaling("scale", scale, spec.channels),
            checked_scaling("offset", offset, spec.channels),
        )

    @property
    def samples(self) -> NDArray[Any]:
        """What was written, (channels, samples), read-only; anything where `missing` is true."""
        return _frozen(self._samples)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """True where no sample is shown, (channels, samples), read-only."""
        return _frozen(self._missing)

    @property
    def cursor(self) -> int:
        """Where the next chunk begins."""
        return self._cursor

    def push(self, chunk: ArrayLike, mask: ArrayLike | None = None) -> NDArray[Any]:
        """Writes samples at the cursor, going on at the start where the end is reached; returns the picture.

        chunk: (m,) or (channels, m), of the sweep's dtype; of more than the ring holds the last ones count.
        mask: bool, broadcast to the chunk: true where a sample is missing.
        """
        values, lost = self._chunk(chunk, mask)
        with self._lock:
            count = values.shape[1]
            # Of a chunk longer than the ring only its end is left; the cursor moves as if all had been
            # written.
            visible = min(count, self._length)
            begin = (self._cursor + count - visible) % self._length
            self._cursor = (self._cursor + count) % self._length
            if count:
                self._put(begin, values[:, count - visible :], None if lost is None else lost[:, -visible:])
                # Samples ahead of the newest are hidden, so that the eye finds it.
                if self._blank:
                    self._hide(self._cursor, self._blank)
                self._redraw(begin, min(visible + self._blank, self._length))
        return self.picture

    def write(self, begin: int, chunk: ArrayLike, mask: ArrayLike | None = None) -> NDArray[Any]:
        """Writes samples from `begin` on, which must fit before the end, and leaves the cursor where it is:
        for what comes late. Returns the picture; arguments are those of `push`."""
        values, lost = self._chunk(chunk, mask)
        count = values.shape[1]
        start = checked_integer("begin", begin, 0, self._length)
        if start + count > self._length:
            raise InputError("chunk", count, f"give at most {self._length - start} samples from {start} on")
        with self._lock:
            self._put(start, values, lost)
            self._redraw(start, count)
        return self.picture

    def clear(self) -> NDArray[Any]:
        """Forgets all samples and moves the cursor to the start; returns the picture, which is empty."""
        with self._lock:
            self._missing[...] = True
            self._cursor = 0
            self._redraw(0, self._length)
        return self.picture

    def _chunk(
        self, chunk: ArrayLike, mask: ArrayLike | None
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        refuse_masked("chunk", chunk)
        values = np.asarray(chunk)
        if values.dtype != self._samples.dtype:
            raise TypeError(f"chunk: {values.dtype}; give {self._samples.dtype}")
        channels = self._samples.shape[0]
        if values.ndim == 1 and channels == 1:
            values = values[None]
        if values.ndim != 2 or values.shape[0] != channels:
            raise InputError("chunk", values.shape, f"give ({channels}, m)")
        if np.may_share_memory(values, self._samples):
            values = values.copy()
        if mask is None:
            return values, None
        lost = np.asarray(mask)
        if np.may_share_memory(lost, self._missing):
            lost = lost.copy()
        if lost.dtype != np.bool_:
            raise TypeError(f"mask: {lost.dtype}; give bool, true where a sample is missing")
        try:
            return values, np.broadcast_to(lost, values.shape)
        except ValueError:
            cure = f"give what broadcasts to the chunk's shape, {values.shape}"
            raise InputError("mask", lost.shape, cure) from None

    def _put(self, begin: int, values: NDArray[Any], lost: NDArray[np.bool_] | None) -> None:
        count = values.shape[1]
        first = min(count, self._length - begin)
        if first < count:
            self._put(0, values[:, first:], None if lost is None else lost[:, first:])
            values, lost = values[:, :first], None if lost is None else lost[:, :first]
        self._samples[:, begin : begin + first] = values
        self._missing[:, begin : begin + first] = False if lost is None else lost

    def _hide(self, begin: int, count: int) -> None:
        self._missing[:, begin : begin + count] = True
        if begin + count > self._length:
            self._missing[:, : begin + count - self._length] = True

    def _redraw(self, begin: int, count: int) -> None:
        end = begin + count
        self._kernel.redraw(begin, min(end, self._length))
        if end > self._length:
            self._kernel.redraw(0, end - self._length)

    @staticmethod
    def _target(spec: RenderSpec, output: OutputName, out: NDArray[Any] | None) -> NDArray[Any]:
        dtype, shape = dtype_of(output), spec.shape(output)
        if out is None:
            return aligned_pictures(shape, dtype)
        if not isinstance(out, np.ndarray):
            raise TypeError(f"out: {type(out).__name__}; give a numpy array")
        if out.dtype != dtype:
            raise TypeError(f"out: {out.dtype}; give {dtype} for output={output!r}")
        if out.shape != shape:
            raise InputError("out", out.shape, f"give shape {shape}")
        if not (out.flags.c_contiguous and out.flags.aligned and out.flags.writeable):
            raise InputError("out", "strided, misaligned or read-only", "give a writable C-contiguous array")
        return out


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view
