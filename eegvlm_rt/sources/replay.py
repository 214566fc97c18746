"""Recordings played as if they were live: files, MNE objects and arrays, at any speed."""

from __future__ import annotations

import math
import os
import time
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..errors import InputError, SourceError
from ..signal.conditioning import check_sfreq
from ..signal.units import array_of, check_amplitude, is_real, to_microvolts
from .chunk import QUIET_S, Chunk, SourceEvent, SourceEventKind
from .edf import Recording
from .edf_channel import ChannelReader
from .mne import from_raw, is_raw
from .remark_warning import warn_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from numpy.typing import NDArray

    from .chunk import ChunkSource
    from .remark import Remark

__all__ = ["EdfSource", "RecordingSource", "ReplaySource", "replay"]

CHUNK_S = 1.0


class _FiniteSource:
    """Blocks of samples on a clock that begins at 0 s with the first sample."""

    name: str
    sfreq: float
    channel: str
    start: datetime | None

    def __init__(self) -> None:
        self._playing: Iterator[Chunk] | None = None
        self._closed = False
        self._first = 0

    def chunks(self) -> Iterator[Chunk]:
        """Chunks to the end; an iteration that was left is gone on with by the next."""
        if self._closed:
            raise SourceError("source", self.name, "it is closed; open it again")
        if self._playing is None:
            self._playing = self._play()
        while (chunk := next(self._playing, None)) is not None:
            yield chunk

    def seek(self, time_s: float) -> None:
        """Begin with the first sample at or after `time_s`; timestamps stay those of the whole. Raises
        InputError for a time that is none, SourceError where playing has begun.
        """
        if not is_real(time_s) or not 0 <= time_s < math.inf:
            raise InputError("time_s", time_s, "give seconds from the first sample, 0 or more")
        if self._playing is not None:
            raise SourceError("source", self.name, "it is playing; seek before the first chunk")
        self._first = math.ceil(time_s * self.sfreq - 1e-6)

    def close(self) -> None:
        """Let go of the file."""
        self._closed = True

    def _blocks(self, first: int) -> Iterator[NDArray[np.float32]]:
        """Blocks from sample `first` on."""
        raise NotImplementedError

    def _play(self) -> Iterator[Chunk]:
        done = self._first
        events: tuple[SourceEvent, ...] = (self._event(SourceEventKind.CONNECTED),)
        for block in self._blocks(done):
            # Times are counted from the first sample, not added up: a night of chunks makes no error.
            times = np.arange(done, done + len(block), dtype=np.float64) / self.sfreq
            yield Chunk(block.astype(np.float64), times, time.time(), events)
            done += len(block)
            events = ()
        empty = np.empty(0)
        yield Chunk(empty, empty, time.time(), (*events, self._event(SourceEventKind.ENDED)))

    def _event(self, kind: SourceEventKind) -> SourceEvent:
        return SourceEvent(kind, time.time(), self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class EdfSource(_FiniteSource):
    """One channel of an EDF or BDF file, read as it is played: memory does not grow with the file.

    `start` is the clock time of the first sample, None where the file hides it. Raises what `read_channel`
    raises, except that amplitudes are left to each epoch's quality; a file that is cut while it is played
    raises RecordingError out of `chunks`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        channel: str | None = None,
        *,
        unit: str | None = None,
        chunk_s: float = CHUNK_S,
    ) -> None:
        super().__init__()
        self._chunk_s = _positive("chunk_s", chunk_s)
        self._reader = ChannelReader(path, channel, unit=unit)
        header, signal = self._reader.header, self._reader.signal
        self.name = f"edf:{header.path.name}"
        self.sfreq, self.channel, self.start = signal.sfreq, signal.label, self._reader.start
        self.remarks = self._reader.remarks
        warn_of(header.path.name, self.remarks)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self._reader.n_samples / self.sfreq

    def close(self) -> None:
        super().close()
        self._reader.close()

    def _blocks(self, first: int) -> Iterator[NDArray[np.float32]]:
        per_record = self._reader.signal.samples_per_record
        record, rest = divmod(min(first, self._reader.n_samples), per_record)
        step = max(1, round(self._chunk_s * self.sfreq))
        for block in self._reader.blocks(self._chunk_s, record):
            for start in range(rest, len(block), step):
                yield block[start : start + step]
            rest = 0


class RecordingSource(_FiniteSource):
    """A recording in memory."""

    def __init__(self, recording: Recording, *, chunk_s: float = CHUNK_S, name: str = "array") -> None:
        super().__init__()
        self._step = max(1, round(_positive("chunk_s", chunk_s) * recording.sfreq))
        self._samples_uv = recording.samples_uv
        self.name = name
        self.sfreq, self.channel, self.start = recording.sfreq, recording.channel, recording.start
        self.duration_s = recording.duration_s

    def _blocks(self, first: int) -> Iterator[NDArray[np.float32]]:
        for start in range(first, len(self._samples_uv), self._step):
            yield self._samples_uv[start : start + self._step]


class ReplaySource:
    """Another source held back to `speed` times real time; `math.inf` plays as fast as it is read.

    A chunk is handed over when its last sample is due, as a device would; until then an empty one comes every
    quarter of a second. A listener who is late is not waited for: the next chunks come at once until the play
    has caught up.
    """

    def __init__(self, source: ChunkSource, speed: float = 1.0) -> None:
        if not is_real(speed) or speed <= 0:
            raise InputError("speed", speed, "give a number above 0, 1 for real time, inf for at once")
        self._source = source
        self.speed = float(speed)
        self.name, self.sfreq, self.channel = source.name, source.sfreq, source.channel
        self.start: datetime | None = getattr(source, "start", None)
        self.duration_s: float | None = getattr(source, "duration_s", None)
        self.remarks: tuple[Remark, ...] = getattr(source, "remarks", ())
        self._origin: tuple[float, float] | None = None
        self._stopped = False

    def chunks(self) -> Iterator[Chunk]:
        """Chunks, each when it is due."""
        for chunk in self._source.chunks():
            if len(chunk) and math.isfinite(self.speed):
                if self._origin is None:
                    self._origin = (time.monotonic(), float(chunk.timestamps[0]))
                began, first_s = self._origin
                due = began + (float(chunk.timestamps[-1]) - first_s + 1.0 / self.sfreq) / self.speed
                while not self._wait(due):
                    yield Chunk(np.empty(0), np.empty(0), time.time())
            if self._stopped:
                return
            yield Chunk(chunk.samples, chunk.timestamps, time.time(), chunk.events)

    def seek(self, time_s: float) -> None:
        """Begin with the first sample at or after `time_s` of a file, MNE object or array, before anything
        is played. Raises what they raise, SourceError for a source that cannot.
        """
        seek = getattr(self._source, "seek", None)
        if seek is None:
            raise SourceError("source", self.name, "it cannot begin elsewhere than at its first sample")
        seek(time_s)

    def stop(self) -> None:
        """Let `chunks` end within a quarter of a second. It takes no lock: safe in a signal handler too."""
        self._stopped = True

    def close(self) -> None:
        """Close the source; who waits for a chunk stops waiting."""
        self.stop()
        self._source.close()

    def _wait(self, due: float) -> bool:
        """Wait until then, but not longer than `QUIET_S`; whether the time has come."""
        left_s = due - time.monotonic()
        if left_s > 0 and not self._stopped:
            time.sleep(min(QUIET_S, left_s))
        return self._stopped or left_s <= QUIET_S

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def replay(
    source: Any,
    channel: str | None = None,
    *,
    speed: float = 1.0,
    sfreq: float | None = None,
    unit: str | None = None,
    chunk_s: float = CHUNK_S,
) -> ReplaySource:
    """Play a recording at `speed` times real time, in chunks of about `chunk_s` seconds.

    `source` is the path of an EDF or BDF file, a `Recording`, an MNE `Raw`, or an array (n_samples,) with its
    `sfreq` in Hz and its `unit` (uV). `unit` of a file is that of its physical values where its header is
    wrong about it. Raises InputError and its subclasses for what cannot be played.
    """
    if isinstance(source, str | os.PathLike):
        return ReplaySource(EdfSource(source, channel, unit=unit, chunk_s=chunk_s), speed)
    if is_raw(source):
        return ReplaySource(RecordingSource(from_raw(source, channel), chunk_s=chunk_s, name="mne"), speed)
    if isinstance(source, Recording):
        return ReplaySource(RecordingSource(source, chunk_s=chunk_s, name="recording"), speed)
    samples = array_of("source", source)
    if samples.ndim != 1 or samples.size == 0 or sfreq is None:
        kind = f"{type(source).__name__} {samples.shape}, sfreq {sfreq}"
        raise InputError("source", kind, "give a path, a recording, an MNE Raw, or (n_samples,) with sfreq")
    samples_uv = to_microvolts(samples, unit or "uV")
    check_amplitude(samples_uv, unit or "uV")
    recording = Recording(samples_uv, check_sfreq(sfreq), channel or "EEG")
    return ReplaySource(RecordingSource(recording, chunk_s=chunk_s), speed)


def _positive(field: str, value: float) -> float:
    if not is_real(value) or not 0 < value < math.inf:
        raise InputError(field, value, "give seconds above 0")
    return float(value)
