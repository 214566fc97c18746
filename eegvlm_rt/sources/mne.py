"""One channel of an MNE `Raw` or `Epochs`, known by what they offer: MNE itself is never imported."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from ..errors import ChannelError, RecordingError
from ..signal.conditioning import check_sfreq
from ..signal.units import EPOCH_S, check_amplitude, to_microvolts
from .edf import Recording
from .edf_channel import channel_error
from .lights import lights_among

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["RawLike", "from_epochs", "from_raw", "is_epochs", "is_raw"]


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

    Samples under an annotation whose text begins with "bad", which MNE leaves out of its own analyses, become
    NaN: BAD_ACQ_SKIP was never recorded, the others somebody has marked. Lights off and on are those among
    its annotations, which MNE keeps in step with a crop. Raises ChannelError (listing the channels there
    are), SamplingRateError outside 50..4096 Hz, UnitError for amplitudes no EEG has and RecordingError for a
    Raw without samples.
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
    # MNE counts onsets from the start of the acquisition, with a measurement date or without one; a cropped
    # Raw begins later.
    marks = [
        (float(mark["onset"]) - first_s, float(mark["duration"]), str(mark["description"]))
        for mark in getattr(raw, "annotations", None) or ()
    ]
    for onset_s, duration_s, text in marks:
        if _is_bad(text):
            _blank(samples_uv, onset_s * sfreq, (onset_s + duration_s) * sfreq)
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
        lights_s=lights_among((onset_s, text) for onset_s, _, text in marks),
    )


def is_epochs(value: object) -> bool:
    """Whether `value` can be read by `from_epochs`."""
    return is_raw(value) and hasattr(value, "drop_log") and hasattr(value, "events")


def from_epochs(
    epochs: Any, channel: str | None = None
) -> tuple[NDArray[np.float32], float, NDArray[np.float64], str]:
    """One channel of MNE `Epochs` that are 30 s long.

    An epoch begins at its event, plus `tmin`: in seconds from where MNE counts samples from, the start of the
    acquisition, whatever was dropped or cropped before. Events of an `EpochsArray` that was given none number
    its epochs: these are then taken to follow each other by 30 s. What is annotated as bad and was not
    dropped becomes NaN.

    Returns:
        (n, m) samples in µV, rate in Hz, (n,) starts in s, name of the channel.

    Raises:
        ChannelError: no such channel, or several. RecordingError: no epochs. UnitError: amplitudes no EEG
        has.
    """
    names = tuple(str(name) for name in epochs.ch_names)
    if channel is None and len(names) == 1:
        channel = names[0]
    if channel not in names:
        raise ChannelError("channel", channel, "name one of: " + ", ".join(names), available=names)
    try:
        len(epochs)
    except RuntimeError:
        # Before bad epochs are dropped, events and data are not those of the same epochs.
        epochs = epochs.copy().drop_bad()
    volts = np.asarray(epochs.get_data(picks=[names.index(channel)]), dtype=np.float64)[:, 0]
    if volts.size == 0:
        raise RecordingError("epochs", len(volts), "the MNE Epochs hold no data")
    rate = check_sfreq(float(epochs.info["sfreq"]))
    samples_uv = np.array(to_microvolts(volts, "V"), dtype=np.float32)
    places = np.asarray(epochs.events)[:, 0].astype(np.float64)
    # Events count samples of the recording, also where the epochs were resampled or decimated since.
    starts_s = places / float(getattr(epochs, "_raw_sfreq", None) or rate) + float(epochs.tmin)
    if np.array_equal(places, getattr(epochs, "selection", ())):
        starts_s = EPOCH_S * places
    marks = getattr(epochs, "get_annotations_per_epoch", lambda: ())()
    for row, some in zip(samples_uv, marks, strict=False):
        for onset_s, duration_s, text, *_ in some:
            if _is_bad(text):
                first = (float(onset_s) - float(epochs.tmin)) * rate
                _blank(row, first, first + float(duration_s) * rate)
    check_amplitude(samples_uv, "V")
    return samples_uv, rate, starts_s, channel


def _is_bad(description: object) -> bool:
    return str(description).upper().startswith("BAD")


def _blank(samples_uv: NDArray[np.float32], first: float, last: float) -> None:
    """Samples from place `first` to `last` were never recorded, or are marked as bad."""
    start = max(0, round(first))
    samples_uv[start : max(start, round(last))] = np.nan


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
