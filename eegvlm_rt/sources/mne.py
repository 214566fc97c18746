"""One channel of an MNE `Raw`, known by what it offers: MNE itself is never imported."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from ..errors import RecordingError
from ..signal.conditioning import check_sfreq
from ..signal.units import check_amplitude, to_microvolts
from .edf import Recording
from .edf_channel import channel_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["RawLike", "from_raw", "is_raw"]


@runtime_checkable
class RawLike(Protocol):
    """The part of `mne.io.BaseRaw` that is used. Data are in V, as MNE keeps them."""

    ch_names: list[str]
    info: Any

    def get_channel_types(self) -> list[str]: ...

    def get_data(self, picks: Any) -> Any: ...


def is_raw(value: object) -> bool:
    """Whether `value` can be read by `from_raw`."""
    return isinstance(value, RawLike)


def from_raw(raw: RawLike, channel: str | None = None) -> Recording:
    """Take one EEG channel of an MNE `Raw`, V to µV; `channel` None takes the only one.

    Samples under a "BAD_ACQ_SKIP" annotation, which MNE fills with zeros, become NaN: they were never
    recorded. Raises ChannelError (listing the channels there are) outside 50..4096 Hz,
    UnitError for amplitudes no EEG has and RecordingError for a Raw without samples.
    """
    names = tuple(str(name) for name in raw.ch_names)
    index = _pick(names, raw.get_channel_types(), channel)
    sfreq = float(raw.info["sfreq"])
    check_sfreq(sfreq)
    volts = np.asarray(raw.get_data(picks=[index]), dtype=np.float64)[0]
    if volts.size == 0:
        raise RecordingError("samples", 0, "the recording holds no data")
    samples_uv = np.asarray(to_microvolts(volts, "V"), dtype=np.float32)
    first_s = float(getattr(raw, "first_time", 0.0))
    _blank_skips(raw, samples_uv, sfreq, first_s)
    check_amplitude(samples_uv, "V")
    start = raw.info.get("meas_date")
    filenames = getattr(raw, "filenames", None) or ()
    return Recording(
        samples_uv=samples_uv,
        sfreq=sfreq,
        channel=names[index],
        start=start.replace(tzinfo=None) + timedelta(seconds=first_s)
        if isinstance(start, datetime)
        else None,
        path=Path(filenames[0]) if filenames and filenames[0] is not None else None,
    )


def _blank_skips(raw: RawLike, samples_uv: NDArray[np.float32], sfreq: float, first_s: float) -> None:
    for skip in getattr(raw, "annotations", None) or ():
        if str(skip["description"]).upper() == "BAD_ACQ_SKIP":
            onset_s = float(skip["onset"]) - (first_s if skip.get("orig_time") is not None else 0.0)
            first = max(0, round(onset_s * sfreq))
            last = max(first, round((onset_s + float(skip["duration"])) * sfreq))
            samples_uv[first:last] = np.nan


def _pick(names: Sequence[str], kinds: Sequence[str], channel: str | None) -> int:
    if channel is not None:
        if channel not in names:
            raise channel_error(names, channel, "there is no such channel")
        return names.index(channel)
    eeg = [i for i, kind in enumerate(kinds) if kind == "eeg"]
    if len(eeg) != 1:
        cure = f"{len(eeg)} EEG channels; name one" if eeg else "no EEG channel; name one"
        raise channel_error(names, None, cure)
    return eeg[0]
