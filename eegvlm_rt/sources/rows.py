"""The epochs of a recording in any form: an EDF file, an MNE object, an array, separate epochs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..signal.conditioning import Preprocessing, check_sfreq
from ..signal.epochs import Epoch, GridEpoch, check_length, cut_recording, row_of
from ..signal.units import EPOCH_S, array_of, check_amplitude, to_microvolts
from .edf import Recording, read_channel
from .mne import from_epochs, from_raw, is_epochs, is_raw

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["recording_of", "rows_of"]

Float32 = NDArray[np.float32]


def rows_of(
    source: Any, spec: Preprocessing, *, channel: str | None, sfreq: float | None, unit: str | None
) -> Iterator[GridEpoch]:
    """Rows of a recording or of separate epochs; what cannot be read is refused before the first row.

    Args:
        source: path of an EDF file, `Recording`, MNE `Raw` or `Epochs`, a sequence of `Epoch`, one long array
            (n_samples,) or separate epochs (n_epochs, n_samples).
        spec: how the signal is conditioned.
        channel: channel to read; for arrays, a name to carry along.
        sfreq: rate of an array in Hz; everything else knows its own.
        unit: unit of an array (None: uV), or of a file whose header is wrong about it (None: its header's).

    Raises:
        InputError: an unknown kind of source, a wrong shape or length; and what the readers raise.
    """
    if is_epochs(source):
        return _mne_epochs(source, spec, channel)
    recording = _as_recording(source, channel, unit)
    if recording is not None:
        return _recording(recording, spec)
    if isinstance(source, list | tuple) and source and all(isinstance(item, Epoch) for item in source):
        for epoch in source:
            check_length(len(epoch.samples_uv), check_sfreq(epoch.sfreq))
        return (
            row_of(epoch.samples_uv, float(epoch.sfreq), index, epoch.start_s, epoch.channel, spec)
            for index, epoch in enumerate(source)
        )
    return _array(source, spec, channel, sfreq, unit or "uV")


def recording_of(
    source: Any, *, channel: str | None, sfreq: float | None, unit: str | None = None
) -> Recording:
    """One recording of a source that is one: a path, a `Recording`, an MNE `Raw`, or an array (n_samples,).

    Raises:
        InputError: separate epochs, or another kind of source; and what the readers raise.
    """
    recording = None if is_epochs(source) else _as_recording(source, channel, unit)
    if recording is not None:
        return recording
    samples = array_of("source", source)
    if samples.ndim != 1 or samples.dtype.kind not in "fiub" or samples.size == 0:
        kind = f"{type(source).__name__} of {samples.dtype} {samples.shape}"
        cure = "a night is one recording: give a path, a Raw or (n_samples,); predict_recording takes epochs"
        cure += "; of one row pass source[0]" if samples.ndim == 2 and len(samples) == 1 else ""
        raise InputError("source", kind, cure)
    if sfreq is None:
        raise InputError("sfreq", None, "give the sampling rate of the array in Hz")
    samples_uv = to_microvolts(samples, unit or "uV")
    check_amplitude(samples_uv, unit or "uV")
    return Recording(samples_uv, check_sfreq(sfreq), channel or "")


def _as_recording(source: Any, channel: str | None, unit: str | None) -> Recording | None:
    if isinstance(source, str | os.PathLike):
        return read_channel(source, channel, unit=unit)
    if is_raw(source):
        return from_raw(source, channel)
    if hasattr(source, "samples_uv") and hasattr(source, "path"):
        return source  # type: ignore[no-any-return]
    return None


def _array(
    source: Any, spec: Preprocessing, channel: str | None, sfreq: float | None, unit: str
) -> Iterator[GridEpoch]:
    samples = array_of("source", source)
    if samples.ndim not in (1, 2) or samples.dtype.kind not in "fiub" or samples.size == 0:
        kind = f"{type(source).__name__} of {samples.dtype} {samples.shape}"
        raise InputError(
            "source", kind, "give a path, an MNE object, (n_samples,) or (n_epochs, n_samples) numbers"
        )
    if sfreq is None:
        raise InputError("sfreq", None, "give the sampling rate of the array in Hz")
    rate = check_sfreq(sfreq)
    samples_uv = to_microvolts(samples, unit)
    check_amplitude(samples_uv, unit)
    if samples.ndim == 1:
        return cut_recording(samples_uv, rate, channel, spec)
    if samples.shape[0] == 1 and abs(samples.shape[1] - EPOCH_S * rate) > 1:
        cure = "rows are separate epochs of 30 s; for one recording pass source[0]"
        raise InputError("source", f"shape {samples.shape}", cure)
    check_length(samples.shape[1], rate)
    starts_s: NDArray[np.float64] = EPOCH_S * np.arange(len(samples), dtype=np.float64)
    return _separate(samples_uv, rate, starts_s, channel, spec)


def _separate(
    samples_uv: Float32, rate: float, starts_s: NDArray[np.float64], channel: str | None, spec: Preprocessing
) -> Iterator[GridEpoch]:
    """Separate epochs (n, m), each conditioned on its own, with their starts in s."""
    for index, (row, start_s) in enumerate(zip(samples_uv, starts_s.tolist(), strict=True)):
        yield row_of(row, rate, index, start_s, channel, spec)


def _recording(recording: Recording, spec: Preprocessing) -> Iterator[GridEpoch]:
    rate = check_sfreq(recording.sfreq)
    return cut_recording(recording.samples_uv, rate, recording.channel, spec)


def _mne_epochs(source: Any, spec: Preprocessing, channel: str | None) -> Iterator[GridEpoch]:
    samples_uv, rate, starts_s, channel = from_epochs(source, channel)
    check_length(samples_uv.shape[1], rate)
    return _separate(samples_uv, rate, starts_s, channel, spec)
