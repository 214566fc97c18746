"""What the picture of an epoch looks like."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Literal, TypeAlias, cast

import numpy as np

from ..errors import InputError
from .kernel import kernel

__all__ = ["OutputName", "RenderSpec", "checked_integer", "checked_number", "dtype_of", "plan_of"]

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
_LIMITS = kernel.build_config()
_MAX_SIDE = int(_LIMITS["max_side"])
_MAX_ROWS = int(_LIMITS["max_rows"])
_MAX_CHANNELS = int(_LIMITS["max_channels"])
_MAX_TICKS = int(_LIMITS["max_ticks"])
_MAX_SCALE_LINES = int(_LIMITS["max_scale_lines"])
_MIN_LINE, _MAX_LINE = 0.5, 8.0
_CUTS = (2, 4, 8)
_MIN_RANGE, _MAX_RANGE = 1e-6, 1e9
_MAX_SHARE = 1e6  # of full white; far beyond any, and single precision holds mean / std
# Normalization of the CLIP image encoder: Radford et al. 2021, arXiv 2103.00020, released preprocessing.
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_LATER = frozenset({"channel_uv_range", "ticks", "scale_lines", "mark_gray", "cuts"})


def checked_integer(name: str, value: object, least: int, most: int) -> int:
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: {value}; give an integer")
    try:
        number = operator.index(cast("int", value))
    except TypeError:
        raise TypeError(f"{name}: {type(value).__name__}; give an integer") from None
    if not least <= number <= most:
        raise InputError(name, number, f"give {least}..{most}")
    return number


def checked_number(name: str, value: object) -> float:
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
    red, green, blue = (checked_number(name, value) for value in values)
    return red, green, blue


def _numbers(name: str, values: object) -> tuple[float, ...]:
    if isinstance(values, str) or not isinstance(values, list | tuple):
        raise TypeError(f"{name}: {type(values).__name__}; give a tuple of numbers")
    return tuple(checked_number(name, value) for value in values)


@dataclass(frozen=True, slots=True)
class RenderSpec:
    """What the picture looks like.

    width, height: size in pixels, 1..4096.
    rows: rows the recording is folded into, 1..64; six rows of a 30 s epoch hold 5 s each.
    uv_range: half the height of a row in microvolts: +uv_range lies on the row's upper edge, -uv_range on its
        lower one. Larger values are held at the edge, where the whole stroke still shows.
    line_width: width of the stroke in pixels, 0.5..8.
    channels: traces per row, 1..8, the first one on top; each gets an equal share of the row.
    channel_uv_range: a range for each channel in place of uv_range, or () for uv_range in all.
    ticks: parts of equal length into which ticks on the lower edge of each row divide the recording: 30 for
        seconds of a 30 s epoch; 0..4096, 0 for none.
    scale_lines: microvolts at which a line runs through every row and channel, at most 16; those at +-37.5
        are 75 microvolts apart, the amplitude that the AASM manual asks of a slow wave.
    mark_gray: gray of ticks and scale lines, 0 (black) .. 255 (white). The trace lies over them.
    cuts: vertical cuts asked for through each pixel, at which its coverage is measured: 8, or 4 or 2 for a
        picture that is drawn faster and is less exact. More are taken where rows are tall for their length,
        which is where lines are steep (20 for one row of a square picture, not 8), or where line_width asks
        for it.
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
    channel_uv_range: tuple[float, ...] = ()
    ticks: int = 0
    scale_lines: tuple[float, ...] = ()
    mark_gray: int = 208
    cuts: int = 8

    def __post_init__(self) -> None:
        for name, most in (
            ("width", _MAX_SIDE),
            ("height", _MAX_SIDE),
            ("rows", _MAX_ROWS),
            ("channels", _MAX_CHANNELS),
        ):
            object.__setattr__(self, name, checked_integer(name, getattr(self, name), 1, most))
        object.__setattr__(self, "uv_range", checked_number("uv_range", self.uv_range))
        object.__setattr__(self, "line_width", checked_number("line_width", self.line_width))
        for name, values in (
            ("uv_range", (self.uv_range,)),
            ("channel_uv_range", _numbers("channel_uv_range", self.channel_uv_range)),
        ):
            if not all(_MIN_RANGE <= value <= _MAX_RANGE for value in values):
                raise InputError(name, getattr(self, name), f"give {_MIN_RANGE:g}..{_MAX_RANGE:g} microvolts")
        if not _MIN_LINE <= self.line_width <= _MAX_LINE:
            raise InputError("line_width", self.line_width, f"give {_MIN_LINE}..{_MAX_LINE} pixels")
        if self.rows * self.channels * self.line_width > self.height:
            raise InputError("height", self.height, "give every row and channel at least one line_width")
        object.__setattr__(self, "mean", _triple("mean", self.mean))
        object.__setattr__(self, "std", _triple("std", self.std))
        if max(map(abs, self.mean)) > _MAX_SHARE:
            raise InputError("mean", self.mean, f"give three values of at most {_MAX_SHARE:g} either way")
        if not 1e-6 <= min(self.std) <= max(self.std) <= _MAX_SHARE:
            raise InputError("std", self.std, f"give three values in 1e-6..{_MAX_SHARE:g}")
        ranges = _numbers("channel_uv_range", self.channel_uv_range)
        object.__setattr__(self, "channel_uv_range", ranges)
        if len(ranges) not in (0, self.channels):
            raise InputError(
                "channel_uv_range", ranges, f"give one for each of {self.channels} channels, or ()"
            )
        object.__setattr__(self, "ticks", checked_integer("ticks", self.ticks, 0, _MAX_TICKS))
        object.__setattr__(self, "scale_lines", _numbers("scale_lines", self.scale_lines))
        if len(self.scale_lines) > _MAX_SCALE_LINES:
            raise InputError("scale_lines", len(self.scale_lines), f"give at most {_MAX_SCALE_LINES}")
        object.__setattr__(self, "mark_gray", checked_integer("mark_gray", self.mark_gray, 0, 255))
        object.__setattr__(self, "cuts", checked_integer("cuts", self.cuts, _CUTS[0], _CUTS[-1]))
        if self.cuts not in _CUTS:
            raise InputError("cuts", self.cuts, f"give one of {', '.join(map(str, _CUTS))}")

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, fit for JSON. Of the later fields those that are set: what was written
        before there were any reads as it did."""
        plain: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in _LATER or value != field.default:
                plain[field.name] = list(value) if isinstance(value, tuple) else value
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> RenderSpec:
        """The inverse of `to_dict`. Fields left out take their default; unknown ones raise InputError."""
        if not isinstance(plain, Mapping):
            raise TypeError(f"plain: {type(plain).__name__}; give a mapping of RenderSpec fields")
        names = {field.name for field in fields(cls)}
        for name in plain:
            if name not in names:
                raise InputError("render", name, f"leave it out; known fields are {', '.join(sorted(names))}")
        return cls(**plain)

    def shape(self, output: OutputName = "u8") -> tuple[int, ...]:
        """Shape of one picture: (height, width, 3) for "u8", (height, width) for "gray" and "gray_f32", else
        (3, height, width)."""
        if output in ("gray", "gray_f32"):
            return (self.height, self.width)
        return (self.height, self.width, 3) if output == "u8" else (3, self.height, self.width)


def dtype_of(output: OutputName) -> np.dtype[Any]:
    """Of the pictures of one output. Raises TypeError and InputError that begin with "output"."""
    if not isinstance(output, str):
        raise TypeError(f"output: {type(output).__name__}; give one of {_OUTPUTS}")
    if output not in _DTYPES:
        raise InputError("output", output, f"give one of {_OUTPUTS}")
    return _DTYPES[output]


def plan_of(spec: RenderSpec) -> kernel.Plan:
    """What the kernel works out once for all pictures of one look."""
    last_spec, plan = _last[0]
    if last_spec is not spec:
        plan = _plan(spec)
        _last[0] = (spec, plan)
    return plan


@lru_cache(maxsize=64)
def _plan(spec: RenderSpec) -> kernel.Plan:
    return kernel.Plan(
        width=spec.width,
        height=spec.height,
        rows=spec.rows,
        channels=spec.channels,
        line_width=spec.line_width,
        uv_range=spec.channel_uv_range or (spec.uv_range,),
        scale=_triple("std", [1 / (255 * s) for s in spec.std]),
        bias=_triple("mean", [-m / s for m, s in zip(spec.mean, spec.std, strict=True)]),
        ticks=spec.ticks,
        scale_lines=spec.scale_lines,
        mark_gray=spec.mark_gray,
        cuts=spec.cuts,
    )


# Comparing identities is a good deal faster than hashing a spec.
_DEFAULT = RenderSpec()
_last = [(_DEFAULT, _plan(_DEFAULT))]
