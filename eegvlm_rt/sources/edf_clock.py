"""When each data record of an EDF+ or BDF+ file begins, and whether the records follow each other.

EDF+D allows interruptions between data records, EDF+C does not, and recorders write either name on files of
either kind. So the name is not believed: the time-keeping entries are read. One of them that is damaged stops
nobody; a step of the clock that the next records keep is an interruption, and is refused, because every
stage after it would stand at a wrong time.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, BinaryIO, NoReturn

import numpy as np

from ..errors import RecordingError
from .edf_annotations import record_onset
from .remark import Remark, RemarkKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .edf_header import EdfHeader

__all__ = ["RecordClock", "record_clock", "start_shift"]

_STEP_S = 0.5
_DRIFT = 1e-3
_ODD_SHARE = 0.1
_FURTHEST_S = 7 * 86_400.0
_CURE = "export the recording as continuous parts (EDF+C or BDF+C)"


@dataclass(frozen=True, slots=True)
class RecordClock:
    """What the time-keeping entries of a file say.

    Attributes:
        first_s: start of the first data record, in s after the start in the header.
        n_records: data records that belong to the recording.
        remarks: what was left out or taken for granted.
    """

    first_s: float
    n_records: int
    remarks: tuple[Remark, ...] = ()


def record_clock(handle: BinaryIO, header: EdfHeader) -> RecordClock:
    """Read the time of every data record. A file without annotation signal counts as continuous.

    Raises RecordingError for interruptions, records whose times leave the sampling rate by more than 0.1 %,
    a file that says it may have interruptions and not where, and one that was cut meanwhile.
    """
    onsets_s = _onsets(handle, header)
    n_records = _without_junk(header, onsets_s)
    onsets_s = onsets_s[:n_records]
    # The shift of a record is how much later it begins than in a file that begins at 0 s and never stops. It
    # is the same for every record of a file without interruptions.
    shifts_s = onsets_s - header.record_s * np.arange(n_records)
    timed = np.flatnonzero(np.isfinite(shifts_s))
    if not len(timed):
        return _without_times(header, n_records)
    # Neighbours whose clocks agree form a run. A record that agrees with no neighbour is damage, as long as
    # such records are few; two runs are an interruption.
    runs = np.split(timed, np.flatnonzero(np.abs(np.diff(shifts_s[timed])) > _STEP_S) + 1)
    sure = [run for run in runs if len(run) > 1] if len(runs) > 1 else runs
    places = np.concatenate(sure) if sure else np.empty(0, dtype=np.int64)
    if len(places) < (1.0 - _ODD_SHARE) * len(timed):
        _refuse_step(header, onsets_s, runs[0], runs[1])
    for before, after in pairwise(sure):
        if abs(shifts_s[after[0]] - shifts_s[before[-1]]) > _STEP_S:
            _refuse_step(header, onsets_s, before, after)
    first_s = float(shifts_s[places[0]])
    # An odd record at either end may be the other side of an interruption: no neighbour can tell. The first
    # one is refused, since the start of the night depends on it; the last one is left out.
    if runs[0][0] != places[0] and not shifts_s[runs[0][0]] > first_s >= 0.0:
        _refuse_step(header, onsets_s, runs[0], sure[0])
    remarks: list[Remark] = []
    last = n_records - 1
    if timed[-1] == last != places[-1] and shifts_s[last] > shifts_s[places[-1]]:
        text = (
            f"the last data record begins at {onsets_s[last]:g} s, "
            f"{shifts_s[last] - shifts_s[places[-1]]:g} s after the one before it ends: it is left out"
        )
        remarks.append(Remark(RemarkKind.CLOCK, text, 1, header.record_s))
        n_records = last
    remarks += _about_odd(n_records, places)
    remarks += _about_drift(header, shifts_s[places], places)
    remarks += _about_start(first_s)
    return RecordClock(first_s, n_records, tuple(remarks))


def start_shift(handle: BinaryIO, header: EdfHeader) -> float:
    """Start of the first data record in s after the start in the header; 0 where that cannot be read."""
    try:
        return record_clock(handle, header).first_s
    except RecordingError:
        onsets = [onset for onset in _onsets(handle, header)[:1] if np.isfinite(onset)]
        return float(onsets[0]) if onsets else 0.0


def _onsets(handle: BinaryIO, header: EdfHeader) -> NDArray[np.float64]:
    """Start of each data record in s, NaN where none can be read."""
    keeper = header.timekeeper
    onsets_s = np.full(header.n_records, np.nan)
    if keeper is None:
        return onsets_s
    descriptor, width = handle.fileno(), header.sample_bytes * header.record_samples
    first = header.header_bytes + header.sample_bytes * keeper.first_sample
    count = header.sample_bytes * keeper.samples_per_record
    for i in range(header.n_records):
        raw = os.pread(descriptor, count, first + i * width)
        if len(raw) < count:
            raise RecordingError(
                "file", header.path.name, "the file was cut while it was read", path=str(header.path)
            )
        onset_s = record_onset(raw)
        if onset_s is not None and abs(onset_s) <= _FURTHEST_S:
            onsets_s[i] = onset_s
    return onsets_s


def _without_junk(header: EdfHeader, onsets_s: NDArray[np.float64]) -> int:
    """Data records of the recording: those beyond what the header promises must have a time."""
    if header.timekeeper is None or header.promised is None:
        return header.n_records
    timed = np.flatnonzero(np.isfinite(onsets_s))
    if not len(timed):
        return header.n_records
    return max(min(header.promised, header.n_records), int(timed[-1]) + 1)


def _without_times(header: EdfHeader, n_records: int) -> RecordClock:
    if header.interrupted and header.record_s > 0.0:
        cure = f"it may have interruptions, and nothing in it says where; {_CURE}"
        raise RecordingError("reserved", "EDF+D", cure, path=str(header.path))
    if header.timekeeper is None or header.record_s == 0.0:
        return RecordClock(0.0, n_records)
    if header.promised not in (None, header.n_records):
        raise RecordingError(
            "file",
            f"{header.n_records} data records instead of {header.promised}",
            "not one has a time-keeping entry: the header is damaged; copy the recording again",
            path=str(header.path),
        )
    text = "no data record has a time that can be read: they are taken to follow each other"
    return RecordClock(0.0, n_records, (Remark(RemarkKind.CLOCK, text),))


def _about_odd(n_records: int, places: NDArray[np.int64]) -> list[Remark]:
    odd = np.setdiff1d(np.arange(n_records), places)
    if not len(odd):
        return []
    text = (
        f"{len(odd)} of {n_records} data records (first: {odd[0] + 1}) have no time that can be read or that "
        "fits: they are taken to follow the record before"
    )
    return [Remark(RemarkKind.CLOCK, text)]


def _about_drift(header: EdfHeader, shifts_s: NDArray[np.float64], places: NDArray[np.int64]) -> list[Remark]:
    """Raises RecordingError where the drift is more than a recorder's clock has."""
    drift_s = float(shifts_s[-1] - shifts_s[0])
    length_s = float(header.record_s * (places[-1] - places[0]))
    if abs(drift_s) <= _STEP_S:
        return []
    text = f"the times of the data records and the sampling rate part by {drift_s:+.3g} s in {length_s:g} s"
    if abs(drift_s) > _STEP_S + _DRIFT * length_s:
        cure = f"{text}, which are many small interruptions or a wrong rate; {_CURE}"
        raise RecordingError("data record duration", f"{header.record_s:g} s", cure, path=str(header.path))
    return [Remark(RemarkKind.CLOCK, f"{text}: epochs are cut by the sampling rate")]


def _about_start(first_s: float) -> list[Remark]:
    if 0.0 <= first_s < 1.0:
        return []
    text = f"the first data record begins {first_s:g} s after the start in the header: the start is moved"
    return [Remark(RemarkKind.CLOCK, text)]


def _refuse_step(
    header: EdfHeader, onsets_s: NDArray[np.float64], before: NDArray[np.int64], after: NDArray[np.int64]
) -> NoReturn:
    due_s = onsets_s[before[-1]] + header.record_s * (after[0] - before[-1])
    raise RecordingError(
        "data record",
        int(after[0]) + 1,
        f"starts at {onsets_s[after[0]]:g} s, not {due_s:g} s: the recording has interruptions; {_CURE}",
        path=str(header.path),
    )
