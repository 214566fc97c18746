"""Recordings cut into conditioned epochs on the 30 s grid. Nothing is lost: a part of an epoch is a row
too.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .epoch import EPOCH_S, Epoch, Quality, array_of, assess, check_amplitude, is_real, to_microvolts
from .errors import ChannelError, InputError
from .preprocess import Preprocessing, check_sfreq, condition_epoch, condition_recording
from .sources.edf import Recording, read_channel
from .sources.mne import from_raw, is_raw

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["GridEpoch", "epoch_of_samples", "epochs_of", "recording_of", "rows_of"]

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class GridEpoch:
    """One row of the grid: conditioned `x` (3000,) in µV with NaN where samples are missing, and its
    place.
    """

    index: int
    start_s: float
    x: Float32
    quality: Quality
    channel: str | None = None


def epoch_of_samples(
    x: Any,
    sfreq: float,
    unit: str,
    spec: Preprocessing,
    *,
    channel: str | None = None,
    index: int = 0,
    start_s: float = 0.0,
) -> GridEpoch:
    """Condition one epoch of exactly 30 s, give or take one sample.

    Raises:
        InputError: another shape or length; the field `n_samples` names the length. UnitError: unit and
            amplitude do not fit. SamplingRateError: rate not supported.
    """
    rate = check_sfreq(sfreq)
    if not is_real(start_s) or abs(start_s) == math.inf:
        raise InputError("start_s", start_s, "give finite seconds")
    if not is_real(index) or index != index // 1:
        raise InputError("index", index, "give a whole number")
    samples = array_of("x", x)
    if samples.ndim != 1:
        raise InputError("x", f"shape {samples.shape}", "give one channel, shape (n_samples,)")
    _check_length(samples.shape[0], rate)
    epoch = Epoch.from_samples(samples, rate, unit=unit, channel=channel, start_s=start_s)
    return _row(epoch, int(index), spec)


def rows_of(
    source: Any, spec: Preprocessing, *, channel: str | None, sfreq: float | None, unit: str
) -> Iterator[GridEpoch]:
    """Rows of a recording or of separate epochs; what cannot be read is refused before the first row.

    Args:
        source: path of an EDF file, `Recording`, MNE `Raw` or `Epochs`, a sequence of `Epoch`, one long array
            (n_samples,) or separate epochs (n_epochs, n_samples).
        spec: how the signal is conditioned.
        channel: channel to read; for arrays, a name to carry along.
        sfreq: rate of an array in Hz; everything else knows its own.
        unit: unit of an array.

    Raises:
        InputError: an unknown kind of source, a wrong shape or length; and what the readers raise.
    """
    if _is_mne_epochs(source):
        return _mne_epochs(source, spec, channel)
    recording = _as_recording(source, channel)
    if recording is not None:
        return _recording(recording, spec)
    if isinstance(source, list | tuple) and source and all(isinstance(item, Epoch) for item in source):
        for epoch in source:
            _check_length(len(epoch.samples_uv), check_sfreq(epoch.sfreq))
        return (_row(epoch, index, spec) for index, epoch in enumerate(source))
    return _array(source, spec, channel, sfreq, unit)


def recording_of(source: Any, *, channel: str | None, sfreq: float | None, unit: str) -> Recording:
    """One recording of a source that is one: a path, a `Recording`, an MNE `Raw`, or an array (n_samples,).

    Raises:
        InputError: separate epochs, or another kind of source; and what the readers raise.
    """
    recording = None if _is_mne_epochs(source) else _as_recording(source, channel)
    if recording is not None:
        return recording
    samples = array_of("source", source)
    if samples.ndim != 1 or samples.dtype.kind not in "fiub" or samples.size == 0:
        found = f"{type(source).__name__} of {samples.dtype} {samples.shape}"
        cure = "a night is one recording: give a path, a Raw or (n_samples,); predict_recording takes epochs"
        raise InputError("source", found, cure)
    if sfreq is None:
        raise InputError("sfreq", None, "give the sampling rate of the array in Hz")
    samples_uv = to_microvolts(samples, unit)
    check_amplitude(samples_uv, unit)
    return Recording(samples_uv, check_sfreq(sfreq), channel or "")


def _as_recording(source: Any, channel: str | None) -> Recording | None:
    if isinstance(source, str | os.PathLike):
        return read_channel(source, channel)
    if is_raw(source):
        return from_raw(source, channel)
    if hasattr(source, "samples_uv") and hasattr(source, "path"):
        return source  # type: ignore[no-any-return]
    return None


def epochs_of(n_samples: int, sfreq: float) -> int:
    """Epochs that a recording gives: the whole ones, and a last one that is not."""
    return max(1, math.ceil((n_samples - 1) / (EPOCH_S * sfreq)))


def _array(
    source: Any, spec: Preprocessing, channel: str | None, sfreq: float | None, unit: str
) -> Iterator[GridEpoch]:
    samples = array_of("source", source)
    if samples.ndim not in (1, 2) or samples.dtype.kind not in "fiub" or samples.size == 0:
        found = f"{type(source).__name__} of {samples.dtype} {samples.shape}"
        raise InputError(
            "source", found, "give a path, an MNE object, (n_samples,) or (n_epochs, n_samples) numbers"
        )
    if sfreq is None:
        raise InputError("sfreq", None, "give the sampling rate of the array in Hz")
    rate = check_sfreq(sfreq)
    samples_uv = to_microvolts(samples, unit)
    check_amplitude(samples_uv, unit)
    if samples.ndim == 1:
        return _grid(samples_uv, rate, channel, spec)
    _check_length(samples.shape[1], rate)
    return _separate(samples_uv, rate, channel, spec)


def _separate(
    samples_uv: Float32, rate: float, channel: str | None, spec: Preprocessing
) -> Iterator[GridEpoch]:
    for index, row in enumerate(samples_uv):
        yield _row(Epoch(row, rate, channel, EPOCH_S * index, assess(row, rate)), index, spec)


def _recording(recording: Recording, spec: Preprocessing) -> Iterator[GridEpoch]:
    rate = check_sfreq(recording.sfreq)
    return _grid(recording.samples_uv, rate, recording.channel, spec)


def _grid(samples_uv: Float32, rate: float, channel: str | None, spec: Preprocessing) -> Iterator[GridEpoch]:
    if len(samples_uv) == 0:
        raise InputError("n_samples", 0, "give a recording that holds samples")
    return _cut(samples_uv, condition_recording(samples_uv, rate, spec), rate, channel, spec)


def _cut(
    samples_uv: Float32, conditioned: Float32, rate: float, channel: str | None, spec: Preprocessing
) -> Iterator[GridEpoch]:
    width = round(EPOCH_S * spec.sfreq)
    rows = epochs_of(len(samples_uv), rate)
    for index in range(rows):
        first, last = round(index * EPOCH_S * rate), round((index + 1) * EPOCH_S * rate)
        raw = samples_uv[first:last]
        short = last - first - len(raw)
        quality = assess(_filled(raw, last - first) if short > 1 else raw, rate)
        x = _filled(conditioned[index * width : (index + 1) * width], width)
        yield GridEpoch(index, EPOCH_S * index, x, quality, channel)


def _filled(x: Float32, length: int) -> Float32:
    if len(x) == length:
        return x
    return np.concatenate([x, np.full(length - len(x), np.nan, dtype=np.float32)])


def _row(epoch: Epoch, index: int, spec: Preprocessing) -> GridEpoch:
    x = condition_epoch(epoch.samples_uv, epoch.sfreq, spec)
    return GridEpoch(index, epoch.start_s, x, epoch.quality, epoch.channel)


def _check_length(n_samples: int, rate: float) -> None:
    if abs(n_samples - EPOCH_S * rate) > 1:
        raise InputError(
            "n_samples", n_samples, f"an epoch is 30 s: give {round(EPOCH_S * rate)} samples at {rate:g} Hz"
        )


def _is_mne_epochs(source: object) -> bool:
    return is_raw(source) and hasattr(source, "drop_log") and hasattr(source, "events")


def _mne_epochs(source: Any, spec: Preprocessing, channel: str | None) -> Iterator[GridEpoch]:
    names = [str(name) for name in source.ch_names]
    if channel is None and len(names) == 1:
        channel = names[0]
    if channel not in names:
        raise ChannelError("channel", channel, "name one of: " + ", ".join(names), available=tuple(names))
    volts = np.asarray(source.get_data(picks=[names.index(channel)]))[:, 0]
    return _array(volts, spec, channel, float(source.info["sfreq"]), "V")
