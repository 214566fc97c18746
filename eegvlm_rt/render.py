"""Draws an EEG epoch as the picture the model reads.

The picture holds the trace alone: a black stroke on white, no title, no text, no scale. A recording is folded
into rows, read from top to bottom; what it shows is documented in docs/rendering.md. Not a medical device.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _kernel
from .errors import InputError

__all__ = ["RENDERER_VERSION", "OutputName", "RenderSpec", "build_config", "render", "render_batch"]

RENDERER_VERSION = "2"
"""Changes whenever the same samples and the same RenderSpec give another picture."""

OutputName: TypeAlias = Literal["u8", "u8_chw", "f32", "f16", "gray", "gray_f32"]

_DTYPES: dict[str, np.dtype[Any]] = {
    "u8": np.dtype(np.uint8),
    "u8_chw": np.dtype(np.uint8),
    "f32": np.dtype(np.float32),
    "f16": np.dtype(np.float16),
    "gray": np.dtype(np.uint8),
    "gray_f32": np.dtype(np.float32),
}
_OUTPUTS = ", ".join(map(repr, _DTYPES))
_SAMPLE_KINDS = {"f2", "f4", "f8", "i2", "i4"}
_LIMITS = _kernel.build_config()
_MAX_SIDE = int(_LIMITS["max_side"])
_MAX_ROWS = int(_LIMITS["max_rows"])
_MAX_CHANNELS = int(_LIMITS["max_channels"])
_MAX_SAMPLES = int(_LIMITS["max_samples"])
_MIN_LINE, _MAX_LINE = 0.5, 8.0
_MAX_THREADS = 256
# Normalization of the CLIP image encoder: Radford et al. 2021, arXiv 2103.00020, released preprocessing.
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def _integer(name: str, value: object, least: int, most: int) -> int:
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: {value}; give an integer")
    try:
        number = operator.index(cast("int", value))
    except TypeError:
        raise TypeError(f"{name}: {type(value).__name__}; give an integer") from None
    if not least <= number <= most:
        raise InputError(name, number, f"give {least}..{most}")
    return number


def _number(name: str, value: object) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name}: {type(value).__name__}; give a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InputError(name, number, "give a finite number")
    return number


def _triple(name: str, values: object) -> tuple[float, float, float]:
    if isinstance(values, str) or not isinstance(values, list | tuple):
        raise TypeError(f"{name}: {type(values).__name__}; give three numbers")
    if len(values) != 3:
        raise InputError(name, len(values), "give three numbers: red, green, blue")
    red, green, blue = (_number(name, value) for value in values)
    return red, green, blue


@dataclass(frozen=True, slots=True)
class RenderSpec:
    """What the picture looks like.

    width, height: size in pixels, 1..4096.
    rows: rows the recording is folded into, 1..64; six rows of a 30 s epoch hold 5 s each.
    uv_range: half the height of a row in microvolts: +uv_range lies on the row's upper edge, -uv_range on its
        lower one. Larger values are held at the edge, where the whole stroke still shows.
    line_width: width of the stroke in pixels, 0.5..8.
    channels: traces per row, 1..8, the first one on top; each gets an equal share of the row.
    mean, std: red, green and blue of the normalization of float output, as shares of full white.

    Raises TypeError for a field of the wrong type and InputError (a ValueError) for one out of range.
    """

    width: int = 336
    height: int = 336
    rows: int = 6
    uv_range: float = 100.0
    line_width: float = 1.0
    channels: int = 1
    mean: tuple[float, float, float] = _CLIP_MEAN
    std: tuple[float, float, float] = _CLIP_STD

    def __post_init__(self) -> None:
        for name, most in (
            ("width", _MAX_SIDE),
            ("height", _MAX_SIDE),
            ("rows", _MAX_ROWS),
            ("channels", _MAX_CHANNELS),
        ):
            object.__setattr__(self, name, _integer(name, getattr(self, name), 1, most))
        object.__setattr__(self, "uv_range", _number("uv_range", self.uv_range))
        object.__setattr__(self, "line_width", _number("line_width", self.line_width))
        if not 1e-6 <= self.uv_range <= 1e9:
            raise InputError("uv_range", self.uv_range, "give 1e-6..1e9 microvolts")
        if not _MIN_LINE <= self.line_width <= _MAX_LINE:
            raise InputError("line_width", self.line_width, f"give {_MIN_LINE}..{_MAX_LINE} pixels")
        if self.rows * self.channels * self.line_width > self.height:
            raise InputError("height", self.height, "give every row and channel at least one line_width")
        object.__setattr__(self, "mean", _triple("mean", self.mean))
        object.__setattr__(self, "std", _triple("std", self.std))
        if min(self.std) < 1e-6:
            raise InputError("std", self.std, "give three values of at least 1e-6")

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, fit for JSON."""
        plain = asdict(self)
        return {**plain, "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> RenderSpec:
        """The inverse of `to_dict`. Fields left out take their default; unknown ones raise InputError."""
        if not isinstance(plain, Mapping):
            raise TypeError(f"plain: {type(plain).__name__}; give a mapping of RenderSpec fields")
        known = {field.name for field in fields(cls)}
        for name in plain:
            if name not in known:
                raise InputError("render", name, f"leave it out; known fields are {', '.join(sorted(known))}")
        return cls(**plain)

    def shape(self, output: OutputName = "u8") -> tuple[int, ...]:
        """Shape of one picture: (height, width, 3) for "u8", (height, width) for "gray" and "gray_f32", else
        (3, height, width)."""
        if output in ("gray", "gray_f32"):
            return (self.height, self.width)
        return (self.height, self.width, 3) if output == "u8" else (3, self.height, self.width)


_DEFAULT = RenderSpec()


def render(
    x: ArrayLike,
    spec: RenderSpec = _DEFAULT,
    *,
    scale: float = 1.0,
    offset: float = 0.0,
    out: NDArray[Any] | None = None,
    output: OutputName = "u8",
) -> NDArray[Any]:
    """Draws one recording; it spans the whole picture, however many samples it has.

    x: samples, shape (n,) or (channels, n), of float16, float32, float64, int16 or int32 and of any strides;
        x * scale + offset is in microvolts. NaN and infinities are gaps, which are never bridged.
    out: written and returned, if given; C-contiguous, of the output's shape and dtype, apart from x.
    output: "u8" for (height, width, 3) uint8, "f32" for (3, height, width) float32, which is
        (u8 / 255 - mean) / std.

    Raises TypeError for a wrong type or dtype, InputError (a ValueError) for a wrong shape or value; the
    message begins with the argument's name.
    """
    samples = _samples(x)
    if samples.ndim == 1:
        samples = samples[None]
    if samples.ndim != 2:
        raise InputError("x", samples.shape, "give (n,) or (channels, n)")
    picture = _target(out, _spec(spec).shape(_output(output)), output, samples)
    _draw(samples[None], spec, scale, offset, picture, output, threads=1)
    return picture


def render_batch(
    x: ArrayLike,
    spec: RenderSpec = _DEFAULT,
    *,
    scale: float = 1.0,
    offset: float = 0.0,
    out: NDArray[Any] | None = None,
    output: OutputName = "u8",
    threads: int = 1,
) -> NDArray[Any]:
    """Draws N recordings of one length: as `render` on each, whatever the number of threads.

    x: shape (N, n) or (N, channels, n). out: shape (N, height, width, 3) or (N, 3, height, width).
    threads: 1..256; no more are used than there are pictures.

    Raises as `render` does.
    """
    samples = _samples(x)
    if samples.ndim == 2:
        samples = samples[:, None]
    if samples.ndim != 3:
        raise InputError("x", samples.shape, "give (N, n) or (N, channels, n)")
    workers = _integer("threads", threads, 1, _MAX_THREADS)
    shape = (samples.shape[0], *_spec(spec).shape(_output(output)))
    pictures = _target(out, shape, output, samples)
    _draw(samples, spec, scale, offset, pictures, output, threads=workers)
    return pictures


def build_config() -> dict[str, str | int]:
    """How the kernel was compiled, and its limits and resolution."""
    return _kernel.build_config()


def _draw(
    samples: NDArray[Any],
    spec: RenderSpec,
    scale: float,
    offset: float,
    out: NDArray[Any],
    output: OutputName,
    *,
    threads: int,
) -> None:
    if samples.shape[1] != spec.channels:
        raise InputError("x", f"{samples.shape[1]} channels", f"give spec.channels = {spec.channels}")
    _kernel.render(
        samples,
        out,
        output=output,
        width=spec.width,
        height=spec.height,
        rows=spec.rows,
        line_width=spec.line_width,
        uv_range=spec.uv_range,
        gain=_number("scale", scale),
        offset=_number("offset", offset),
        scale=_triple("std", [1 / (255 * s) for s in spec.std]),
        bias=_triple("mean", [-m / s for m, s in zip(spec.mean, spec.std, strict=True)]),
        threads=threads,
    )


def _samples(x: ArrayLike) -> NDArray[Any]:
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError("x: masked array; fill what is masked with NaN")
    try:
        samples = np.asarray(x)
    except ValueError as error:
        raise InputError("x", type(x).__name__, f"give an array of samples ({error})") from None
    if samples.ndim and samples.shape[-1] > _MAX_SAMPLES:
        raise InputError("x", samples.shape, f"give at most {_MAX_SAMPLES} samples a picture")
    if samples.dtype.str[1:] not in _SAMPLE_KINDS:
        raise TypeError(f"x: {samples.dtype}; give float16, float32, float64, int16 or int32")
    return samples if samples.dtype.isnative else samples.astype(samples.dtype.newbyteorder("="))


def _target(
    out: NDArray[Any] | None, shape: tuple[int, ...], output: OutputName, samples: NDArray[Any]
) -> NDArray[Any]:
    dtype = _DTYPES[output]
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out: {type(out).__name__}; give a numpy array")
    if out.dtype != dtype:
        raise TypeError(f"out: {out.dtype}; give {dtype} for output={output!r}")
    if out.shape != shape:
        raise InputError("out", out.shape, f"give shape {shape}")
    if not out.flags.c_contiguous or not out.flags.aligned:
        raise InputError("out", "strided or misaligned", "give an aligned C-contiguous array")
    if not out.flags.writeable:
        raise InputError("out", "read-only", "give an array that may be written")
    if np.may_share_memory(out, samples):
        raise InputError("out", "overlaps x", "give an array of its own memory")
    return out


def _spec(spec: RenderSpec) -> RenderSpec:
    if not isinstance(spec, RenderSpec):
        raise TypeError(f"spec: {type(spec).__name__}; give a RenderSpec")
    return spec


def _output(output: OutputName) -> OutputName:
    if not isinstance(output, str):
        raise TypeError(f"output: {type(output).__name__}; give one of {_OUTPUTS}")
    if output not in _DTYPES:
        raise InputError("output", output, f"give one of {_OUTPUTS}")
    return output
