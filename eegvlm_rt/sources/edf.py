"""One EEG channel, or the annotations, of an EDF, EDF+, BDF or BDF+ file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from ..errors import RecordingError, UnitError
from ..signal.units import check_amplitude
from .edf_annotations import Annotation, parse_record
from .edf_channel import ChannelReader, record_bytes, record_start, records
from .edf_header import open_regular, read_header

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Recording", "channels", "read_annotations", "read_channel"]

_MAX_ANNOTATIONS = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One channel: `samples_uv` float32 (n,) in µV at `sfreq` Hz; `start` is None where unknown."""

    samples_uv: NDArray[np.float32]
    sfreq: float
    channel: str
    start: datetime | None = None
    path: Path | None = None

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples_uv) / self.sfreq


def channels(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Labels of the ordinary signals of an EDF or BDF file. Raises RecordingError."""
    target, handle, size = open_regular(path)
    with handle:
        return read_header(target, handle, size).labels


def read_channel(path: str | os.PathLike[str], channel: str | None = None) -> Recording:
    """Read one channel of a continuous EDF, EDF+, BDF or BDF+ file, in µV.

    `channel` is a label of the file ("EEG Fpz-Cz"; case, spaces and a leading "EEG " do not matter). None
    takes the only EEG channel there is. Memory is bounded by the channel itself, whatever else the file
    holds.

    Raises RecordingError for a missing, cut off, damaged or discontinuous file, ChannelError (listing the
    channels there are) for an unknown or ambiguous channel, SamplingRateError outside 50..4096 Hz and
    UnitError for a physical dimension that is no voltage or amplitudes no EEG has.
    """
    with ChannelReader(path, channel) as reader:
        header, signal = reader.header, reader.signal
        samples_uv = np.empty(reader.n_samples, dtype=np.float32)
        done = 0
        for block in reader.blocks():
            samples_uv[done : done + block.size] = block
            done += block.size
    try:
        check_amplitude(samples_uv, signal.unit)
    except UnitError as error:
        raise UnitError(
            f"physical dimension of channel {signal.label!r}",
            error.value,
            "no EEG has that size; the unit may be off by a factor of 1e6 (V called uV, or uV called V)",
        ) from error
    start = None if header.start is None else header.start + timedelta(seconds=reader.first_s)
    return Recording(samples_uv, signal.sfreq, signal.label, start, header.path)


def read_annotations(path: str | os.PathLike[str]) -> tuple[datetime | None, tuple[Annotation, ...]]:
    """Start and annotations of an EDF+ file in file order; onsets count from that start.

    Raises RecordingError for a file that is no continuous EDF+ file or whose annotations are damaged.
    """
    target, handle, size = open_regular(path)
    found: list[Annotation] = []
    with handle:
        header = read_header(target, handle, size)
        columns = [signal for signal in header.signals if signal.is_annotations]
        if not header.plus or not columns:
            raise RecordingError(
                "file", target.name, "this file has no annotations; give an EDF+ file", path=str(target)
            )
        shift_s: float | None = None
        for block in records(handle, header):
            for record in block:
                for i, signal in enumerate(columns):
                    onset, annotations = parse_record(
                        record_bytes(record, signal), target, timekeeping=i == 0
                    )
                    if shift_s is None and onset is not None:
                        shift_s = record_start(header, onset)
                    found.extend(annotations)
                if len(found) > _MAX_ANNOTATIONS:
                    raise RecordingError(
                        "annotations",
                        len(found),
                        f"more than {_MAX_ANNOTATIONS}; the file is damaged",
                        path=str(target),
                    )
    shift = shift_s or 0.0
    start = None if header.start is None else header.start + timedelta(seconds=shift)
    return start, tuple(Annotation(round(a.onset_s - shift, 9), a.duration_s, a.text) for a in found)
