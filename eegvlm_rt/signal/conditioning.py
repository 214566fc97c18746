"""Conditioning of raw microvolts into the 100 Hz signal that pictures and measurements are made from.

The filters are causal, so a stream and a stored night give the same samples. The resampling filter is
linear-phase and reads about 0.1 s ahead; nothing else reads ahead.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from dataclasses import fields as dataclass_fields
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError, SamplingRateError
from .conditioner import Conditioner, lookahead_samples
from .filters import butterworth
from .units import EPOCH_S, not_one_channel

__all__ = [
    "MAX_SFREQ_HZ",
    "MIN_SFREQ_HZ",
    "Preprocessing",
    "check_sfreq",
    "condition",
    "condition_epoch",
    "condition_epochs",
    "condition_recording",
    "conditioner",
    "filter_sos",
    "lookahead_s",
    "resampling_ratio",
]

MIN_SFREQ_HZ: Final = 50.0
MAX_SFREQ_HZ: Final = 4096.0

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Output rate and causal Butterworth filters.

    The default pass band 0.3-35 Hz is the AASM manual's recommended display filter for EEG.
    """

    sfreq: float = 100.0
    highpass_hz: float = 0.3
    highpass_order: int = 2
    lowpass_hz: float = 35.0
    lowpass_order: int = 4

    def __post_init__(self) -> None:
        if not 0 < self.highpass_hz < self.lowpass_hz < self.sfreq / 2:
            raise InputError(
                "preprocessing",
                f"{self.highpass_hz}-{self.lowpass_hz} Hz at {self.sfreq} Hz",
                "give 0 < highpass_hz < lowpass_hz < sfreq / 2",
            )
        for name in ("highpass_order", "lowpass_order"):
            order = getattr(self, name)
            if not 1 <= order <= 8:
                raise InputError(name, order, "give an order from 1 to 8")

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Preprocessing:
        """Inverse of `to_dict`; raises InputError for a missing or unknown field."""
        names = {field.name for field in dataclass_fields(cls)}
        if set(fields) != names:
            raise InputError("preprocessing", sorted(fields), f"give exactly the fields {sorted(names)}")
        for name, value in fields.items():
            kinds = (int,) if name.endswith("_order") else (int, float)
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise InputError(f"preprocessing.{name}", value, f"give a number ({kinds[-1].__name__})")
        return cls(**fields)


def check_sfreq(sfreq: float) -> float:
    """`sfreq` as a float; raises SamplingRateError outside 50..4096 Hz."""
    try:
        rate = float(sfreq)
    except (TypeError, ValueError, OverflowError):
        rate = math.nan
    if not MIN_SFREQ_HZ <= rate <= MAX_SFREQ_HZ:
        raise SamplingRateError("sfreq", sfreq, f"give a rate from {MIN_SFREQ_HZ:g} to {MAX_SFREQ_HZ:g} Hz")
    return rate


def filter_sos(sfreq: float, spec: Preprocessing = Preprocessing()) -> Float64:
    """Second-order sections (k, 6) of the causal filters at `sfreq`; no low-pass where it cannot act."""
    return _filter_sos(check_sfreq(sfreq), spec)


@lru_cache(maxsize=32)
def _filter_sos(rate: float, spec: Preprocessing) -> Float64:
    sections = [butterworth(spec.highpass_order, spec.highpass_hz, "highpass", rate)]
    if rate * 0.5 > spec.lowpass_hz:
        sections.append(butterworth(spec.lowpass_order, spec.lowpass_hz, "lowpass", rate))
    return np.concatenate(sections)


def resampling_ratio(sfreq: float, spec: Preprocessing = Preprocessing()) -> Fraction:
    """Output samples per input sample, as the fraction used by the polyphase filter."""
    return _ratio(check_sfreq(sfreq), spec)


def _ratio(rate: float, spec: Preprocessing) -> Fraction:
    return (Fraction(spec.sfreq) / Fraction(rate)).limit_denominator(4096)


def condition_recording(x_uv: ArrayLike, sfreq: float, spec: Preprocessing = Preprocessing()) -> Float32:
    """Filter and resample a whole recording.

    Args:
        x_uv: (n,) samples in µV; NaN, infinite or >= 1e9 µV samples are gaps.
        sfreq: their rate, 50..4096 Hz.
        spec: filters and output rate.

    Returns:
        (round(n * spec.sfreq / sfreq),) float32 in µV; NaN where the input was missing. A gap holds its last
        good sample for 1 s; a longer one lets the filters start anew after it. See `Conditioner`.

    Raises:
        InputError: not one-dimensional. SamplingRateError: rate not supported.
    """
    samples = np.asarray(x_uv)
    if samples.ndim != 1:
        raise not_one_channel("x_uv", samples.shape)
    rate = check_sfreq(sfreq)
    return condition(samples, rate, spec, round(len(samples) * spec.sfreq / rate))


def condition_epoch(x_uv: ArrayLike, sfreq: float, spec: Preprocessing = Preprocessing()) -> Float32:
    """Filter and resample one epoch of exactly 30 s: (m,) µV at `sfreq` -> (3000,) float32 µV at 100 Hz.

    Raises:
        InputError: not one-dimensional, or not 30 s long. SamplingRateError: rate not supported.
    """
    samples = np.asarray(x_uv)
    if samples.ndim != 1:
        raise not_one_channel("x_uv", samples.shape)
    conditioned: Float32 = condition_epochs(samples[None], sfreq, spec)[0]
    return conditioned


def condition_epochs(x_uv: ArrayLike, sfreq: float, spec: Preprocessing = Preprocessing()) -> Float32:
    """`condition_epoch` for a batch: (n, m) µV -> (n, 3000) float32 µV. Every row is filtered on its own."""
    rate = check_sfreq(sfreq)
    samples = np.asarray(x_uv)
    expected = round(EPOCH_S * rate)
    if samples.ndim != 2 or abs(samples.shape[1] - EPOCH_S * rate) > 1:
        raise InputError(
            "x_uv", f"shape {samples.shape}", f"give 30 s at {rate:g} Hz: {expected} samples an epoch"
        )
    width = round(EPOCH_S * spec.sfreq)
    out = np.empty((len(samples), width), dtype=np.float32)
    for row, x in zip(out, samples, strict=True):
        row[:] = condition(x, rate, spec, width)
    return out


def conditioner(rate: float, spec: Preprocessing = Preprocessing()) -> Conditioner:
    """The conditioning with its state, for samples that come in pieces, at a rate that `check_sfreq` gave."""
    return Conditioner(_filter_sos(rate, spec), _ratio(rate, spec), rate, spec.sfreq)


def lookahead_s(sfreq: float, spec: Preprocessing = Preprocessing()) -> float:
    """Seconds of input that must follow a moment before its output is there: 0 at the output rate, else 10
    samples of the slower of both rates, 0.1 s from 100 Hz on.
    """
    rate = check_sfreq(sfreq)
    return lookahead_samples(_ratio(rate, spec)) / rate


def condition(samples: NDArray[Any], rate: float, spec: Preprocessing, length: int) -> Float32:
    """(n,) samples in µV as `length` conditioned ones, at a rate that `check_sfreq` gave. Raises InputError
    for what is no numbers.
    """
    if len(samples) == 0:
        return np.full(length, np.nan, dtype=np.float32)
    if samples.dtype.kind not in "fiub":
        raise InputError("x_uv", samples.dtype, "give real numbers in microvolts")
    state = conditioner(rate, spec)
    out = state.push(samples)[:length]
    return np.concatenate([out, state.finish(length)])
