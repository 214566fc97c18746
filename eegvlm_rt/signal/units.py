"""Units of a signal, the size an EEG may have in them, and arrays of real numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import InputError, UnitError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "EPOCH_S",
    "LARGEST_PEAK_UV",
    "LARGEST_SAMPLE_UV",
    "SMALLEST_PEAK_UV",
    "array_of",
    "check_amplitude",
    "is_real",
    "not_one_channel",
    "one_channel",
    "to_microvolts",
]

EPOCH_S: Final = 30.0

_UV_PER_UNIT: Final = {"uV": 1.0, "µV": 1.0, "μV": 1.0, "mV": 1e3, "V": 1e6, "nV": 1e-3}

LARGEST_SAMPLE_UV: Final = 1e9

SMALLEST_PEAK_UV: Final = 0.05

LARGEST_PEAK_UV: Final = 2e4

_MOST_SAMPLES: Final = 1 << 19


def is_real(value: object) -> bool:
    """Whether `value` is one real number that is not NaN; infinity is."""
    if not isinstance(value, int | float | np.integer | np.floating):
        return False
    return bool(value == value)


def array_of(field: str, x: Any) -> NDArray[Any]:
    """`x` as an array; raises InputError for a masked one, whose mask would be lost, and for ragged lists."""
    if isinstance(x, np.ma.MaskedArray):
        raise InputError(field, "masked array", "fill what is masked with NaN")
    try:
        return np.asarray(x)
    except ValueError as error:
        raise InputError(
            field, type(x).__name__, "give an array of real numbers, all rows equally long"
        ) from error


def to_microvolts(x: ArrayLike, unit: str) -> NDArray[np.float32]:
    """`x` in µV as float32, same shape. `unit` is one of uV, µV, mV, V, nV.

    Raises:
        UnitError: unknown unit. InputError: no real numbers.
    """
    if not isinstance(unit, str) or unit not in _UV_PER_UNIT:
        raise UnitError("unit", unit, "use one of uV, µV, mV, V, nV")
    samples = array_of("x", x)
    if samples.dtype.kind not in "fiub":
        raise InputError("x", f"dtype {samples.dtype}", "give real numbers")
    factor = _UV_PER_UNIT[unit]
    with np.errstate(over="ignore"):
        if factor == 1.0:
            return np.asarray(samples, dtype=np.float32)
        return (samples.astype(np.float64) * factor).astype(np.float32)


def one_channel(field: str, x: Any, unit: str) -> NDArray[np.float32]:
    """The samples of one channel, (n,) in µV.

    Raises:
        InputError: not one-dimensional (a row or column of it is named), or no real numbers. UnitError:
        unknown unit.
    """
    samples = array_of(field, x)
    if samples.ndim != 1:
        raise not_one_channel(field, samples.shape)
    return to_microvolts(samples, unit)


def not_one_channel(field: str, shape: tuple[int, ...]) -> InputError:
    """The error for samples of another shape than (n,); where one row or column is all, it says how to take
    it."""
    cure = "give one channel, shape (n_samples,)"
    if len(shape) == 2 and 1 in shape:
        cure += f": {field}[0]" if shape[0] == 1 else f": {field}[:, 0]"
    return InputError(field, f"shape {shape}", cure)


def check_amplitude(x_uv: ArrayLike, unit: str) -> None:
    """Refuse samples whose size cannot be that of EEG in the unit they were given in.

    `x_uv` are the samples after conversion to µV, of any shape. The robust peak is the 99th percentile of the
    distance from the median, of a long recording over half a million samples that are evenly spread. Exactly
    flat or wholly missing samples pass: that is a matter of quality.

    Raises:
        UnitError: robust peak below 0.05 µV or above 20 000 µV.
    """
    # A unit that is wrong is wrong by 1,000 or 1,000,000: a rough measure is enough, if no artefact moves it.
    # So not the largest sample but a high quantile, around the median because of the offset of DC amplifiers.
    every = np.ravel(x_uv)
    samples = every[:: -(-len(every) // _MOST_SAMPLES) or 1].astype(np.float64)
    samples = samples[np.isfinite(samples)]
    if samples.size == 0:
        return
    samples -= np.median(samples, overwrite_input=True)
    peak_uv = float(np.quantile(np.abs(samples, out=samples), 0.99, overwrite_input=True))
    if peak_uv == 0.0 or SMALLEST_PEAK_UV <= peak_uv <= LARGEST_PEAK_UV:
        return
    shown = f"{unit}, with a peak of {peak_uv:.3g} µV"
    if peak_uv < SMALLEST_PEAK_UV:
        cure = "too small for EEG: volts called microvolts are off by a factor of 1e6; say V (unit, --unit)"
    else:
        cure = "too large for EEG: microvolts called volts are off by a factor of 1e6; say uV (unit, --unit)"
    raise UnitError("unit", shown, cure)
