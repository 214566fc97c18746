"""One EEG channel, or the annotations, of an EDF, EDF+, BDF or BDF+ file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from ..errors import RecordingError, UnitError
from ..signal.units import check_amplitude
from .edf_annotations import Annotation, parse_record
from .edf_channel import ChannelReader, record_bytes, records
from .edf_clock import start_shift
from .edf_header import open_regular, read_header
from .remark import Remark, RemarkKind, warn_of

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = [
    "AnnotationFile",
    "Recording",
    "channels",
    "read_annotation_file",
    "read_annotations",
    "read_channel",
]

_MAX_ANNOTATIONS = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One channel: `samples_uv` float32 (n,) in µV at `sfreq` Hz; `start` is None where unknown.

    `remarks` say what was left out of the file, or taken for granted. `lights_s` are lights off and on in s
    from its start, where the samples are not those of the whole file; None: as the file has them.
    """

    samples_uv: NDArray[np.float32]
    sfreq: float
    channel: str
    start: datetime | None = None
    path: Path | None = None
    remarks: tuple[Remark, ...] = ()
    lights_s: tuple[float | None, float | None] | None = None

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples_uv) / self.sfreq


@dataclass(frozen=True, slots=True)
class AnnotationFile:
    """The annotations of an EDF+ file in file order.

    `start` is the clock time from which onsets count, None where it is unknown. `odd` are the entries that
    are no annotation, `remarks` say what was left out.
    """

    path: Path
    start: datetime | None
    annotations: tuple[Annotation, ...]
    odd: tuple[bytes, ...] = ()
    remarks: tuple[Remark, ...] = ()


def channels(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Labels of the ordinary signals of an EDF or BDF file. Raises RecordingError."""
    target, handle, size = open_regular(path)
    with handle:
        return read_header(target, handle, size).labels


def read_channel(
    path: str | os.PathLike[str], channel: str | None = None, *, unit: str | None = None
) -> Recording:
    """Read one channel of an EDF, EDF+, BDF or BDF+ file, in µV.

    `channel` is a label of the file ("EEG Fpz-Cz"; case, spaces and a leading "EEG " do not matter). None
    takes the only EEG channel there is. `unit` is that of its physical values where the header is wrong about
    it. Memory is bounded by the channel itself, whatever else the file holds; what the channel does not need
    may be damaged. What is left out is in `remarks`, and given as a RecordingWarning each.

    Raises RecordingError for a missing or damaged file, or one with interruptions, ChannelError (listing the
    channels there are) for an unknown or ambiguous channel, SamplingRateError outside 50..4096 Hz and
    UnitError for a physical dimension that is no voltage or amplitudes no EEG has.
    """
    with ChannelReader(path, channel, unit=unit) as reader:
        header, signal = reader.header, reader.signal
        samples_uv = np.empty(reader.n_samples, dtype=np.float32)
        done = 0
        for block in reader.blocks():
            samples_uv[done : done + block.size] = block
            done += block.size
    try:
        check_amplitude(samples_uv, unit or signal.unit)
    except UnitError as error:
        raise UnitError(
            f"physical dimension of channel {signal.label!r}",
            error.value,
            "no EEG has that size; the unit may be off by a factor of 1e6 (V called uV, or uV called V): "
            "say it (unit, --unit)",
        ) from error
    warn_of(header.path.name, reader.remarks)
    return Recording(samples_uv, signal.sfreq, signal.label, reader.start, header.path, reader.remarks)


def read_annotation_file(path: str | os.PathLike[str]) -> AnnotationFile:
    """Read the annotations of an EDF+ file; entries that are none are left out, and counted.

    Raises RecordingError for a file that is no EDF+ file.
    """
    target, handle, size = open_regular(path)
    annotations: list[Annotation] = []
    odd: list[bytes] = []
    with handle:
        header = read_header(target, handle, size)
        columns = [signal for signal in header.signals if signal.is_annotations]
        if not columns:
            raise RecordingError(
                "file", target.name, "this file has no annotations; give an EDF+ file", path=str(target)
            )
        shift_s = start_shift(handle, header)
        for block in records(handle, header):
            for record in block:
                for signal in columns:
                    entries, others = parse_record(record_bytes(record, signal))
                    annotations.extend(entries)
                    odd.extend(others)
                if len(annotations) + len(odd) > _MAX_ANNOTATIONS:
                    raise RecordingError(
                        "annotations",
                        len(annotations) + len(odd),
                        f"more than {_MAX_ANNOTATIONS}; the file is damaged",
                        path=str(target),
                    )
    remarks = header.remarks
    if odd:
        text = f"{len(odd)} entries are no annotation and are left out, the first is {odd[0][:60]!r}"
        remarks += (Remark(RemarkKind.ANNOTATIONS, text),)
    return AnnotationFile(
        target,
        None if header.start is None else header.start + timedelta(seconds=shift_s),
        tuple(Annotation(round(a.onset_s - shift_s, 9), a.duration_s, a.text) for a in annotations),
        tuple(odd),
        remarks,
    )


def read_annotations(path: str | os.PathLike[str]) -> tuple[datetime | None, tuple[Annotation, ...]]:
    """Start and annotations of an EDF+ file in file order; onsets count from that start.

    What is left out is given as a RecordingWarning. Raises RecordingError for a file that is no EDF+ file.
    """
    file = read_annotation_file(path)
    warn_of(file.path.name, file.remarks)
    return file.start, file.annotations
