"""Draws an EEG epoch as the picture the model reads.

The picture holds the trace alone: a black stroke on white, no title, no text, no scale. A recording is folded
into rows, read from top to bottom; what it shows is documented in docs/rendering.md. Not a medical device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..versions import RENDERER_VERSION
from .kernel import kernel
from .spec import OutputName, RenderSpec, checked_integer, checked_number, dtype_of, plan_of

__all__ = [
    "RENDERER_VERSION",
    "OutputName",
    "RenderSpec",
    "build_config",
    "checked_scaling",
    "refuse_masked",
    "render",
    "render_batch",
]

_MAX_SAMPLES = int(kernel.build_config()["max_samples"])
_MAX_THREADS = 256
_MAX_BYTES = 1 << 40
_MAX_SCALING = kernel.MAX_SCALING
_SAMPLE_TYPES = frozenset(
    np.dtype(code).num for code in "efdhil" if np.dtype(code).str[1:] in ("f2", "f4", "f8", "i2", "i4")
)
_DEFAULT = RenderSpec()


def render(
    x: ArrayLike,
    spec: RenderSpec = _DEFAULT,
    *,
    scale: float | Sequence[float] = 1.0,
    offset: float | Sequence[float] = 0.0,
    mask: ArrayLike | None = None,
    out: NDArray[Any] | None = None,
    output: OutputName = "u8",
) -> NDArray[Any]:
    """Draws one recording; it spans the whole picture, however many samples it has.

    x: samples, shape (n,) or (channels, n), of float16, float32, float64, int16 or int32 and of any strides;
        x * scale + offset is in microvolts. NaN and infinities are gaps, which are never bridged.
    scale, offset: one for all channels, or one for each.
    mask: bool, broadcast to the shape of x: true where a sample is missing, which makes it a gap.
    out: written and returned, if given; C-contiguous, of the output's shape and dtype, apart from x and mask.
    output: "u8" for (height, width, 3) uint8, "f32" for (3, height, width) float32, which is
        (u8 / 255 - mean) / std.

    Raises TypeError for a wrong type or dtype, InputError (a ValueError) for a wrong shape or value; the
    message begins with the argument's name.
    """
    # The usual call is checked and drawn at once; the rest explains what is wrong with any other.
    usual = out is not None and mask is None and type(spec) is RenderSpec
    if usual and plan_of(spec).render_one(x, out, output, scale, offset):
        return cast("NDArray[Any]", out)
    samples = _samples(x)
    missing = None if mask is None else _mask(mask, samples.shape)
    if samples.ndim == 1:
        samples = samples[None]
        missing = None if missing is None else missing[None]
    if samples.ndim != 2:
        raise InputError("x", samples.shape, "give (n,) or (channels, n)")
    shape = _spec(spec).shape(output)
    return _draw(
        samples[None],
        spec,
        scale,
        offset,
        None if missing is None else missing[None],
        _target(out, shape, output),
        output,
        threads=1,
    )


def render_batch(
    x: ArrayLike,
    spec: RenderSpec = _DEFAULT,
    *,
    scale: float | Sequence[float] = 1.0,
    offset: float | Sequence[float] = 0.0,
    mask: ArrayLike | None = None,
    out: NDArray[Any] | None = None,
    output: OutputName = "u8",
    threads: int = 1,
) -> NDArray[Any]:
    """Draws N recordings of one length: as `render` on each, whatever the number of threads.

    x: shape (N, n) or (N, channels, n). out: shape (N, height, width, 3) or (N, 3, height, width).
    mask: bool, broadcast to the shape of x.
    threads: 1..256; no more are used than there are pictures.

    Raises as `render` does.
    """
    samples = _samples(x)
    missing = None if mask is None else _mask(mask, samples.shape)
    if samples.ndim == 2:
        samples = samples[:, None]
        missing = None if missing is None else missing[:, None]
    if samples.ndim != 3:
        raise InputError("x", samples.shape, "give (N, n) or (N, channels, n)")
    workers = checked_integer("threads", threads, 1, _MAX_THREADS)
    shape = (samples.shape[0], *_spec(spec).shape(output))
    pictures = _target(out, shape, output)
    return _draw(samples, spec, scale, offset, missing, pictures, output, threads=workers)


def build_config() -> dict[str, str | int]:
    """How the kernel was compiled, and its limits and resolution."""
    return kernel.build_config()


def checked_scaling(name: str, value: float | Sequence[float], channels: int) -> tuple[float, ...]:
    """One number of at most 1e30 either way for all channels, or one for each.

    Raises TypeError and InputError that begin with `name`.
    """
    if type(value) is float and -_MAX_SCALING <= value <= _MAX_SCALING:
        return (value,)
    values = value if isinstance(value, list | tuple) else (value,)
    if len(values) not in (1, channels):
        raise InputError(name, value, f"give one number, or one for each of {channels} channels")
    numbers = tuple(checked_number(name, one) for one in values)
    for number in numbers:
        if abs(number) > _MAX_SCALING:
            raise InputError(name, number, f"give at most {_MAX_SCALING:g} either way")
    return numbers


def refuse_masked(name: str, array: object) -> None:
    """Raises TypeError that begins with `name` for a masked array: its mask would not be seen."""
    if isinstance(array, np.ma.MaskedArray):
        cure = f"fill what is masked with NaN, or give {name}.data and mask={name}.mask"
        raise TypeError(f"{name}: masked array; {cure}")


def _draw(
    samples: NDArray[Any],
    spec: RenderSpec,
    scale: float | Sequence[float],
    offset: float | Sequence[float],
    mask: NDArray[np.bool_] | None,
    out: NDArray[Any],
    output: OutputName,
    *,
    threads: int,
) -> NDArray[Any]:
    channels = samples.shape[1]
    if channels != spec.channels:
        raise InputError("x", f"{channels} channels", f"give spec.channels = {spec.channels}")
    gain, shift = checked_scaling("scale", scale, channels), checked_scaling("offset", offset, channels)
    try:
        plan_of(spec).render(samples, out, mask, output, gain, shift, threads)
    except ValueError as error:
        # The kernel alone sees that input and output share memory; all else was checked before.
        name, _, reason = str(error).partition(": ")
        if not reason.startswith("overlaps"):
            raise
        raise InputError(name, reason, "give an array of its own memory") from None
    return out


def _samples(x: ArrayLike) -> NDArray[Any]:
    if type(x) is not np.ndarray:
        refuse_masked("x", x)
        try:
            x = np.asarray(x)
        except ValueError as error:
            raise InputError("x", type(x).__name__, f"give an array of samples ({error})") from None
    samples = cast("NDArray[Any]", x)
    if samples.ndim and samples.shape[-1] > _MAX_SAMPLES:
        raise InputError("x", samples.shape, f"give at most {_MAX_SAMPLES} samples a picture")
    dtype = samples.dtype
    if dtype.num not in _SAMPLE_TYPES:
        raise TypeError(f"x: {dtype}; give float16, float32, float64, int16 or int32")
    return samples if dtype.isnative else samples.astype(dtype.newbyteorder("="))


def _mask(mask: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    cure = f"give what broadcasts to the shape of x, {shape}"
    try:
        missing = np.asarray(mask)
    except ValueError as error:
        raise InputError("mask", type(mask).__name__, f"{cure} ({error})") from None
    if missing.dtype != np.bool_:
        raise TypeError(f"mask: {missing.dtype}; give bool, true where a sample is missing")
    try:
        return np.broadcast_to(missing, shape)
    except ValueError:
        raise InputError("mask", missing.shape, cure) from None


def _target(out: NDArray[Any] | None, shape: tuple[int, ...], output: OutputName) -> NDArray[Any]:
    dtype = dtype_of(output)
    if out is None:
        if math.prod(shape) * dtype.itemsize > _MAX_BYTES:
            raise InputError("x", f"{shape[0]} pictures", "give fewer: they would need more than a tebibyte")
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out: {type(out).__name__}; give a numpy array")
    if out.dtype != dtype:
        raise TypeError(f"out: {out.dtype}; give {dtype} for output={output!r}")
    if out.shape != shape:
        raise InputError("out", out.shape, f"give shape {shape}")
    flags = out.flags
    if not flags.c_contiguous or not flags.aligned:
        raise InputError("out", "strided or misaligned", "give an aligned C-contiguous array")
    if not flags.writeable:
        raise InputError("out", "read-only", "give an array that may be written")
    return out


def _spec(spec: RenderSpec) -> RenderSpec:
    if not isinstance(spec, RenderSpec):
        raise TypeError(f"spec: {type(spec).__name__}; give a RenderSpec")
    return spec
