"""Draws a batch of EEG epochs straight into a tensor on a CUDA device, byte for byte as `render_batch` does.

Needs libeegvlm_cuda.so, which the CMake option EEGVLM_BUILD_CUDA builds; it is looked for where the variable
EEGVLM_CUDA_LIBRARY of the environment points, then beside this file. Not a medical device.
"""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from ..errors import BackendError, InputError
from .renderer import RenderSpec, checked_scaling
from .spec import plan_of

__all__ = ["render_batch_cuda"]

_TYPES: Final = {"f2": 0, "f4": 1, "f8": 2, "i2": 3, "i4": 4}
_VALUES: Final = {"u1": 0, "f2": 1, "f4": 2}


_MAX_CHANNELS: Final = 8
_PerChannel = ctypes.c_double * _MAX_CHANNELS


class _Call(ctypes.Structure):
    _fields_ = (
        ("x", ctypes.c_void_p),
        ("picture_stride", ctypes.c_int64),
        ("channel_stride", ctypes.c_int64),
        ("stride", ctypes.c_int64),
        ("pictures", ctypes.c_int64),
        ("out", ctypes.c_void_p),
        ("mask", ctypes.c_void_p),
        ("mask_picture_stride", ctypes.c_int64),
        ("mask_channel_stride", ctypes.c_int64),
        ("mask_stride", ctypes.c_int64),
        ("stream", ctypes.c_void_p),
        ("uv_range", _PerChannel),
        ("gain", _PerChannel),
        ("offset", _PerChannel),
        ("scale", ctypes.c_float * 3),
        ("bias", ctypes.c_float * 3),
        ("type", ctypes.c_int32),
        ("values", ctypes.c_int32),
        ("planes", ctypes.c_int32),
    )


@dataclass(frozen=True, slots=True)
class _Array:
    """What __cuda_array_interface__ says: address, shape, strides in bytes, kind and size of an element."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    kind: str
    read_only: bool

    @property
    def span(self) -> tuple[int, int]:
        """Addresses of the first byte and of the one after the last."""
        reach = [(n - 1) * s for n, s in zip(self.shape, self.strides, strict=True)]
        low = self.address + sum(r for r in reach if r < 0)
        return low, self.address + sum(r for r in reach if r > 0) + int(self.kind[1:])


def render_batch_cuda(
    x: Any,
    spec: RenderSpec,
    *,
    out: Any,
    scale: float | Sequence[float] = 1.0,
    offset: float | Sequence[float] = 0.0,
    mask: Any = None,
    stream: int = 0,
) -> Any:
    """Draws N recordings of one length on the current CUDA device; returns `out` before it is filled.

    x: on the device, anything with __cuda_array_interface__ (PyTorch, CuPy, Numba, JAX): shape (N, n) or
        (N, channels, n) of float16, float32, float64, int16 or int32, any strides; x * scale + offset is in
        microvolts.
    scale, offset: one for all channels, or one for each.
    mask: on the device, bool of the shape of x, any strides: true where a sample is missing.
    out: on the device, C-contiguous, apart from x and mask: uint8, float16 or float32 of shape (N, 3, height,
        width), (N, height, width, 3) or, in gray, (N, height, width). Floats are (u8 / 255 - mean) / std,
        gray ones with the first of mean and std; float16 is rounded to nearest, ties to even.
    stream: in whose order it is filled: a cudaStream_t as an integer, such as
        torch.cuda.current_stream().cuda_stream; 0 is the default one.

    Raises TypeError and InputError that begin with the argument's name, and BackendError where there is no
    library or no device.
    """
    if not isinstance(spec, RenderSpec):
        raise TypeError(f"spec: {type(spec).__name__}; give a RenderSpec")
    samples, pictures = _array("x", x), _array("out", out)
    if samples.kind not in _TYPES:
        raise TypeError(f"x: {samples.kind}; give float16, float32, float64, int16 or int32")
    if pictures.kind not in _VALUES:
        raise TypeError(f"out: {pictures.kind}; give uint8, float16 or float32")
    if len(samples.shape) not in (2, 3):
        raise InputError("x", samples.shape, "give (N, n) or (N, channels, n)")
    count, length = samples.shape[0], samples.shape[-1]
    if length < 1:
        raise InputError("x", samples.shape, "give at least one sample")
    if (samples.shape[1] if len(samples.shape) == 3 else 1) != spec.channels:
        raise InputError("x", samples.shape, f"give spec.channels = {spec.channels}")
    size = int(samples.kind[1:])
    if any(step % size for step in (samples.address, *samples.strides)):
        raise InputError("x", "misaligned", f"give strides and an address that are multiples of {size}")
    planes = _planes(pictures, count, spec)
    if not _contiguous(pictures):
        raise InputError("out", pictures.strides, "give a C-contiguous array")
    if pictures.address % int(pictures.kind[1:]):
        raise InputError("out", "misaligned", "give an aligned array")
    if pictures.read_only:
        raise InputError("out", "read-only", "give an array that may be written")
    gain = checked_scaling("scale", scale, spec.channels)
    shift = checked_scaling("offset", offset, spec.channels)
    missing = None if mask is None else _mask(mask, samples.shape)
    if isinstance(stream, bool) or not isinstance(stream, int):
        raise TypeError(f"stream: {type(stream).__name__}; give a cudaStream_t as an integer")
    if count == 0:
        return out
    if samples.span[0] < pictures.span[1] and pictures.span[0] < samples.span[1]:
        raise InputError("out", "overlaps x", "give an array of its own memory")
    if missing and missing.span[0] < pictures.span[1] and pictures.span[0] < missing.span[1]:
        raise InputError("out", "overlaps mask", "give an array of its own memory")
    triple = ctypes.c_float * 3
    call = _Call(
        x=samples.address,
        picture_stride=samples.strides[0],
        channel_stride=samples.strides[1] if len(samples.shape) == 3 else 0,
        stride=samples.strides[-1],
        pictures=count,
        out=pictures.address,
        stream=stream or None,
        mask=missing.address if missing else None,
        mask_picture_stride=missing.strides[0] if missing else 0,
        mask_channel_stride=missing.strides[1] if missing and len(missing.shape) == 3 else 0,
        mask_stride=missing.strides[-1] if missing else 0,
        uv_range=_per_channel(spec.channel_uv_range or (spec.uv_range,), spec.channels),
        gain=_per_channel(gain, spec.channels),
        offset=_per_channel(shift, spec.channels),
        scale=triple(*(1 / (255 * s) for s in spec.std)),
        bias=triple(*(-m / s for m, s in zip(spec.mean, spec.std, strict=True))),
        type=_TYPES[samples.kind],
        values=_VALUES[pictures.kind],
        planes=planes,
    )
    library = _library()
    device = ctypes.c_int()
    _done(library, library.eegvlm_cuda_device(ctypes.byref(device)))
    plan = _plan(device.value, spec, length)
    _done(library, library.eegvlm_cuda_render(plan.handle, ctypes.byref(call)))
    return out


class _Plan:
    def __init__(self, spec: RenderSpec, length: int) -> None:
        self._library = _library()
        self.handle = ctypes.c_void_p()
        look = (spec.width, spec.height, spec.rows, spec.channels, spec.line_width)
        background = plan_of(spec).background()
        behind = None if background is None else background.ctypes.data_as(ctypes.c_void_p)
        status = self._library.eegvlm_cuda_plan(*look, spec.cuts, length, behind, ctypes.byref(self.handle))
        _done(self._library, status)

    def __del__(self) -> None:
        if getattr(self, "handle", None):
            self._library.eegvlm_cuda_free(self.handle)


@lru_cache(maxsize=16)
def _plan(_device: int, spec: RenderSpec, length: int) -> _Plan:
    return _Plan(spec, length)


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    named = os.environ.get("EEGVLM_CUDA_LIBRARY")
    path = Path(named) if named else Path(__file__).with_name("libeegvlm_cuda.so")
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        cure = "build it with -DEEGVLM_BUILD_CUDA=ON and point EEGVLM_CUDA_LIBRARY to it"
        raise BackendError("libeegvlm_cuda", str(error), cure) from None
    library.eegvlm_cuda_error.restype = ctypes.c_char_p
    library.eegvlm_cuda_free.argtypes = [ctypes.c_void_p]
    library.eegvlm_cuda_free.restype = None
    whole = ctypes.c_int
    library.eegvlm_cuda_plan.argtypes = [
        *(whole,) * 4,
        ctypes.c_double,
        whole,
        ctypes.c_int64,
        ctypes.c_void_p,
        ctypes.POINTER(ctypes.c_void_p),
    ]
    library.eegvlm_cuda_render.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Call)]
    return library


def _done(library: ctypes.CDLL, failed: int) -> None:
    if failed:
        reason = library.eegvlm_cuda_error().decode(errors="replace")
        raise BackendError("cuda", reason, "give a CUDA device with a driver for CUDA 13 and enough memory")


def _array(name: str, array: Any) -> _Array:
    facts = getattr(array, "__cuda_array_interface__", None)
    if not isinstance(facts, dict):
        raise TypeError(f"{name}: {type(array).__name__}; give a device array with __cuda_array_interface__")
    if facts.get("mask") is not None:
        raise TypeError(f"{name}: masked array; fill what is masked with NaN, or give mask=")
    typestr = str(facts["typestr"])
    if typestr[0] == ">":
        raise TypeError(f"{name}: big-endian; give native byte order")
    shape = tuple(int(n) for n in facts["shape"])
    strides = facts.get("strides")
    size = int(typestr[2:]) if typestr[2:].isdigit() else 1
    steps = tuple(int(s) for s in strides) if strides is not None else _dense(shape, size)
    address, read_only = facts["data"]
    return _Array(int(address or 0), shape, steps, typestr[1:], bool(read_only))


def _dense(shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    return tuple(size * math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _contiguous(array: _Array) -> bool:
    dense = _dense(array.shape, int(array.kind[1:]))
    return all(n == 1 or s == d for n, s, d in zip(array.shape, array.strides, dense, strict=True))


def _planes(out: _Array, count: int, spec: RenderSpec) -> int:
    height, width = spec.height, spec.width
    shapes = ((count, 3, height, width), (count, height, width, 3), (count, height, width))
    if out.shape not in shapes:
        raise InputError("out", out.shape, f"give one of {shapes}")
    return shapes.index(out.shape)


def _mask(mask: Any, shape: tuple[int, ...]) -> _Array:
    missing = _array("mask", mask)
    if missing.kind != "b1":
        raise TypeError(f"mask: {missing.kind}; give bool, true where a sample is missing")
    if missing.shape != shape:
        raise InputError("mask", missing.shape, f"give the shape of x, {shape}")
    return missing


def _per_channel(values: Sequence[float], channels: int) -> ctypes.Array[ctypes.c_double]:
    return _PerChannel(*(values if len(values) == channels else tuple(values) * channels))
