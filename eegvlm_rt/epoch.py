"""One 30 s epoch in microvolts, its units and its signal quality."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .errors import InputError, SamplingRateError, UnitError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "EPOCH_S",
    "Epoch",
    "Quality",
    "QualityFlag",
    "array_of",
    "assess",
    "check_amplitude",
    "is_real",
    "to_microvolts",
]

EPOCH_S: Final = 30.0

_UV_PER_UNIT: Final = {"uV": 1.0, "µV": 1.0, "μV": 1.0, "mV": 1e3, "V": 1e6, "nV": 1e-3}

LARGEST_SAMPLE_UV: Final = 1e9
SMALLEST_PEAK_UV: Final = 0.05
LARGEST_PEAK_UV: Final = 2e4

FLAT_UV: Final = 0.5
HIGH_UV: Final = 500.0
LOW_UV: Final = 5.0
MUSCLE_UV: Final = 6.0
MUSCLE_BAND_HZ: Final = (25.0, 45.0)
CLIP_RUN: Final = 4
FLAG_SHARE: Final = 0.1
UNSCORABLE_SHARE: Final = 0.5


class QualityFlag(StrEnum):
    """What was seen in the raw signal of an epoch, and on a stream also in the clock of its device.

    GAP: timestamps leave out time, whose samples are missing. OVERLAP: samples for a time that was filled
    already were dropped. DUPLICATE: the same with equal values, a packet sent twice. CLOCK: the device's
    clock jumped, back or out of reach, and the signal went on in its place. DRIFT: a sample was repeated or
    dropped, because the device's rate is not quite the nominal one.
    """

    FLAT = "flat"
    CLIPPED = "clipped"
    MISSING = "missing"
    HIGH_AMPLITUDE = "high amplitude"
    MUSCLE = "muscle"
    LOW_AMPLITUDE = "low amplitude"
    GAP = "gap"
    OVERLAP = "overlap"
    DUPLICATE = "duplicate"
    CLOCK = "clock"
    DRIFT = "drift"


@dataclass(frozen=True, slots=True)
class Quality:
    """Signal quality of one epoch.

    `missing_share` is 0..1, `amplitude_uv` the median peak-to-peak amplitude of its 2 s windows in µV (NaN
    where all is missing). `scorable` is False where more than half of the seconds are missing, flat, clipped
    or above 500 µV: the AASM manual's measure for an epoch that a disturbance obscures.
    """

    flags: frozenset[QualityFlag]
    missing_share: float
    amplitude_uv: float
    scorable: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields; flags sorted, an amplitude that could not be measured is None."""
        known = np.isfinite(self.amplitude_uv)
        return {
            "flags": sorted(self.flags),
            "missing_share": self.missing_share,
            "amplitude_uv": self.amplitude_uv if known else None,
            "scorable": self.scorable,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Epoch:
    """Raw samples of one epoch: float32 (n,) in µV, rate in Hz, start in s from the recording's."""

    samples_uv: NDArray[np.float32]
    sfreq: float
    channel: str | None
    start_s: float
    quality: Quality

    @classmethod
    def from_samples(
        cls, x: ArrayLike, sfreq: float, *, unit: str = "uV", channel: str | None = None, start_s: float = 0.0
    ) -> Epoch:
        """Convert to µV, check the amplitude against the unit, and assess the quality.

        Raises:
            InputError: not one-dimensional, or no real numbers.
            UnitError: unknown unit, or an amplitude that does not fit it.
        """
        samples_uv = to_microvolts(x, unit)
        if samples_uv.ndim != 1:
            raise InputError("x", f"shape {samples_uv.shape}", "give one channel, shape (n_samples,)")
        check_amplitude(samples_uv, unit)
        return cls(samples_uv, float(sfreq), channel, float(start_s), assess(samples_uv, sfreq))


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


def check_amplitude(x_uv: ArrayLike, unit: str) -> None:
    """Refuse samples whose size cannot be that of EEG in the unit they were given in.

    `x_uv` are the samples after conversion to µV, of any shape. The robust peak is the 99th percentile of the
    distance from the median. Exactly flat or wholly missing samples pass: that is a matter of quality.

    Raises:
        UnitError: robust peak below 0.05 µV or above 20 000 µV.
    """
    samples = np.asarray(x_uv, dtype=np.float64).ravel()
    samples = samples[np.isfinite(samples)]
    if samples.size == 0:
        return
    distance = np.abs(samples - np.median(samples))
    peak_uv = float(np.quantile(distance, 0.99))
    if peak_uv == 0.0 or SMALLEST_PEAK_UV <= peak_uv <= LARGEST_PEAK_UV:
        return
    shown = f"{unit}, with a peak of {peak_uv:.3g} µV"
    if peak_uv < SMALLEST_PEAK_UV:
        cure = "too small for EEG: volts given as microvolts are off by a factor of 1e6, pass unit='V'"
    else:
        cure = "too large for EEG: microvolts given as volts are off by a factor of 1e6, pass unit='uV'"
    raise UnitError("unit", shown, cure)


def assess(samples_uv: ArrayLike, sfreq: float) -> Quality:
    """Signal quality of (n,) raw samples in µV at `sfreq` Hz; NaN, infinite or >= 1e9 µV is missing.

    A second is flat below 0.5 µV peak to peak, too high above 500 µV, clipped where it holds a run of at
    least four samples at the epoch's largest or smallest value. A flag is raised where a tenth of the seconds
    show it; MISSING where any sample is missing; MUSCLE where in half of the seconds the 25-45 Hz activity
    exceeds 6 µV rms; LOW_AMPLITUDE where the amplitude is below 5 µV. These numbers are our own.

    Raises:
        InputError: not one-dimensional. SamplingRateError: rate not positive and finite.
    """
    x = np.asarray(samples_uv, dtype=np.float64)
    if x.ndim != 1:
        raise InputError("samples_uv", f"shape {x.shape}", "give one channel, shape (n_samples,)")
    rate = float(sfreq)
    if not (np.isfinite(rate) and rate > 0):
        raise SamplingRateError("sfreq", sfreq, "give a positive rate in Hz")
    missing = ~(np.abs(x) < LARGEST_SAMPLE_UV)
    if missing.all():
        return Quality(frozenset({QualityFlag.MISSING}), 1.0, float("nan"), False)

    if missing.any():
        index = np.arange(x.size)
        x = np.interp(index, index[~missing], x[~missing])
    width = max(4, round(rate))
    seconds = _windows(x, width)
    ptp = np.ptp(seconds, axis=1)
    gone = _windows(missing.astype(np.float64), width).mean(axis=1) > 0.5
    flat = (ptp < FLAT_UV) & ~gone
    high = (ptp > HIGH_UV) & ~gone
    clipped = _clipped(seconds, x) & ~gone & ~flat
    amplitude_uv = float(np.median(np.ptp(_windows(x, max(4, round(2 * rate))), axis=1)))

    flags = {
        flag
        for flag, share in (
            (QualityFlag.FLAT, flat.mean()),
            (QualityFlag.HIGH_AMPLITUDE, high.mean()),
            (QualityFlag.CLIPPED, clipped.mean()),
        )
        if share >= FLAG_SHARE
    }
    if missing.any():
        flags.add(QualityFlag.MISSING)
    if amplitude_uv < LOW_UV:
        flags.add(QualityFlag.LOW_AMPLITUDE)
    if np.mean(_fast_rms(seconds, rate) > MUSCLE_UV) >= 0.5:
        flags.add(QualityFlag.MUSCLE)
    obscured = float((gone | flat | high | clipped).mean())
    return Quality(frozenset(flags), float(missing.mean()), amplitude_uv, obscured <= UNSCORABLE_SHARE)


def _windows(x: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    return np.pad(x, (0, -x.size % width), mode="edge").reshape(-1, width)


def _clipped(seconds: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.bool_]:
    at_rail = (seconds == x.max()) | (seconds == x.min())
    if seconds.shape[1] < CLIP_RUN:
        return np.zeros(len(seconds), dtype=np.bool_)
    runs = np.lib.stride_tricks.sliding_window_view(at_rail, CLIP_RUN, axis=1)
    return np.asarray(np.any(np.all(runs, axis=2), axis=1))


def _fast_rms(seconds: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    n = seconds.shape[1]
    taper = np.hanning(n)
    spectrum = np.abs(np.fft.rfft((seconds - seconds.mean(axis=1, keepdims=True)) * taper, axis=1)) ** 2
    freqs = np.fft.rfftfreq(n, 1.0 / rate)
    band = (freqs >= MUSCLE_BAND_HZ[0]) & (freqs <= MUSCLE_BAND_HZ[1])
    return np.asarray(np.sqrt(2.0 * spectrum[:, band].sum(axis=1) / (n * np.sum(taper**2))))
