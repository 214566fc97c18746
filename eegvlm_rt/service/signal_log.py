"""The raw signal of a night on disk: appended only, whole frames, readable while it is written.

A night has one or more segments, `signal-0001.frames` and so on; every start of the service begins another
one, so that nothing is ever written behind the part of a frame that a crash left. Format: docs/service.md.
"""

from __future__ import annotations

import json
import os
import re
import struct
import threading
import zlib
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["Frame", "SignalLog", "read_frames"]

PREAMBLE: Final = b"EVLMSIG\x01"
MARK: Final = 0x53C4E70A
HEAD: Final = struct.Struct("<IIQdII")
"""Mark, bytes of the body, sequence number, `received_s`, number of samples, bytes of the events."""
CRC: Final = struct.Struct("<I")
MAX_BODY: Final = 1 << 22
RECENT_BYTES: Final = 1 << 21
UNWRITTEN_BYTES: Final = 32 << 20
_EVERY: Final = 64
_NAME: Final = re.compile(r"signal-(\d{4,9})\.frames")


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Some consecutive samples: `samples` float32 (n,) in µV, `timestamps` float64 (n,) seconds of the
    device's clock, `received_s` the host's clock when the last of them came, `events` what the source told.
    """

    sequence: int
    received_s: float
    samples: NDArray[np.float32]
    timestamps: NDArray[np.float64]
    events: tuple[dict[str, Any], ...] = ()

    def encode(self) -> bytes:
        """Bytes of the frame as they stand in the file."""
        events = json.dumps(self.events, separators=(",", ":")).encode() if self.events else b""
        body = self.samples.astype("<f4").tobytes() + self.timestamps.astype("<f8").tobytes() + events
        head = HEAD.pack(MARK, len(body), self.sequence, self.received_s, len(self.samples), len(events))
        return head + body + CRC.pack(zlib.crc32(body, zlib.crc32(head)))


class SignalLog:
    """The signal of one night. One thread appends, any may read.

    A disk that is full loses nothing at first: frames wait in memory, up to 32 MB, and are written when there
    is room again. Beyond that the oldest that wait are lost to the disk, which `lost_frames` counts.

    Attributes:
        error: why the last frame could not be written, None while all is well.
        lost_frames: frames that are in memory no more and were never written.
        samples: samples appended since the log was opened.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.error: str | None = None
        self.lost_frames = 0
        self.samples = 0
        self._lock = threading.Lock()
        self._grown = threading.Condition(self._lock)
        self._handle: BinaryIO | None = None
        self._path: Path | None = None
        self._size = 0
        self._recent: deque[tuple[int, Frame, int]] = deque()
        self._recent_bytes = 0
        self._unwritten: deque[tuple[int, bytes]] = deque()
        self._unwritten_bytes = 0
        self._unsynced = False
        self._index: list[tuple[int, Path, int]] = []
        self.next_sequence = self._scan()
        self.closed = False

    def append(
        self,
        samples: NDArray[np.float32],
        timestamps: NDArray[np.float64],
        received_s: float,
        events: tuple[dict[str, Any], ...] = (),
    ) -> Frame:
        """Take samples; they are in the operating system's hands when this returns, unless `error` says why
        not. Never raises for a disk.
        """
        with self._lock:
            frame = Frame(self.next_sequence, received_s, samples, timestamps, events)
            data = frame.encode()
            self.next_sequence += 1
            self.samples += len(samples)
            self._recent.append((frame.sequence, frame, len(data)))
            self._recent_bytes += len(data)
            while self._recent_bytes > RECENT_BYTES and len(self._recent) > 1:
                self._recent_bytes -= self._recent.popleft()[2]
            self._unwritten.append((frame.sequence, data))
            self._unwritten_bytes += len(data)
            while self._unwritten_bytes > UNWRITTEN_BYTES:
                self._unwritten_bytes -= len(self._unwritten.popleft()[1])
                self.lost_frames += 1
            self._write()
            self._grown.notify_all()
        return frame

    def sync(self) -> None:
        """Bring what was written to the disk (fsync). Never raises."""
        with self._lock:
            if self._unwritten:
                self._write()
            handle, due = self._handle, self._unsynced
            self._unsynced = False
        if handle is not None and due:
            try:
                os.fsync(handle.fileno())
            except (OSError, ValueError) as error:
                self.error = f"not brought to the disk: {getattr(error, 'strerror', None) or error}"

    def close(self) -> None:
        """Write what waits, sync, let go of the file."""
        self.sync()
        with self._lock:
            self.closed = True
            handle, self._handle = self._handle, None
            self._grown.notify_all()
        if handle is not None:
            with suppress(OSError):
                handle.close()

    def forget(self) -> None:
        """Let go of what is in memory and on the disk; it is read from there."""
        with self._lock:
            self._recent.clear()
            self._recent_bytes = 0

    def read(self, first: int, limit_bytes: int = 1 << 19) -> list[Frame]:
        """Frames from sequence number `first` on, about `limit_bytes` of them; from memory or the disk."""
        frames: list[Frame] = []
        total = 0
        with self._lock:
            recent = [frame for sequence, frame, _ in self._recent if sequence >= first]
            oldest = self._recent[0][0] if self._recent else self.next_sequence
            waiting = [data for sequence, data in self._unwritten if first <= sequence < oldest]
            start = self._index_before(first)
        if first < oldest:
            for frame in self._stored(first, start):
                frames.append(frame)
                total += 12 * len(frame.samples) + 64
                if total >= limit_bytes or frame.sequence >= oldest - 1:
                    break
            # What a full disk refused may wait in memory although it is not recent any more.
            reached = frames[-1].sequence + 1 if frames else first
            for data in waiting:
                content = _decode(data)
                if content is not None and content.sequence >= reached and total < limit_bytes:
                    frames.append(content)
                    total += len(data)
            if total >= limit_bytes:
                return frames
        for frame in recent:
            if total >= limit_bytes:
                break
            if not frames or frame.sequence > frames[-1].sequence:
                frames.append(frame)
                total += 12 * len(frame.samples) + 64
        return frames

    def wait(self, first: int, timeout_s: float) -> None:
        """Wait until frame `first` is there, or the time is over."""
        with self._grown:
            self._grown.wait_for(lambda: self.next_sequence > first or self.closed, timeout_s)

    @property
    def bytes_on_disk(self) -> int:
        """Size of all segments."""
        return sum(path.stat().st_size for path in segments(self.folder) if path.exists())

    def _scan(self) -> int:
        """Find what former segments hold: the next sequence number, and an index to it.

        Only the heads of the frames are read, which takes a blink for a night of a hundred megabytes; what
        is between them is checked when it is read.
        """
        following = 0
        for path in segments(self.folder):
            for count, (sequence, offset) in enumerate(_heads_of(path)):
                if count % _EVERY == 0:
                    self._index.append((sequence, path, offset))
                following = max(following, sequence + 1)
        return following

    def _index_before(self, first: int) -> int:
        low, high = 0, len(self._index)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._index[middle][0] <= first else (low, middle)
        return low - 1

    def _stored(self, first: int, start: int) -> Iterator[Frame]:
        if not self._index:
            return
        _, begin, offset = self._index[max(0, start)]
        paths = segments(self.folder)
        for path in paths[paths.index(begin) :] if begin in paths else ():
            for frame, _ in _frames_of(path, offset):
                if frame.sequence >= first:
                    yield frame
            offset = len(PREAMBLE)

    def _write(self) -> None:
        """Write what waits, in order, each frame whole or not at all."""
        try:
            handle = self._handle or self._open()
            while self._unwritten:
                sequence, data = self._unwritten[0]
                self._put(handle, data)
                if sequence % _EVERY == 0 or not self._index:
                    assert self._path is not None
                    self._index.append((sequence, self._path, self._size))
                self._size += len(data)
                self._unwritten.popleft()
                self._unwritten_bytes -= len(data)
                self._unsynced = True
            self.error = None
        except OSError as error:
            self.error = error.strerror or str(error)

    def _put(self, handle: BinaryIO, data: bytes) -> None:
        done = 0
        try:
            while done < len(data):
                done += os.pwrite(handle.fileno(), data[done:], self._size + done)
        except OSError:
            # A part of a frame is taken back, so that the next attempt begins at the same place.
            with suppress(OSError):
                os.ftruncate(handle.fileno(), self._size)
            raise

    def _open(self) -> BinaryIO:
        existing = segments(self.folder)
        number = int(_number(existing[-1])) + 1 if existing else 1
        path = self.folder / f"signal-{number:04}.frames"
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
        handle = os.fdopen(os.open(path, flags, 0o640), "r+b", buffering=0)
        try:
            os.pwrite(handle.fileno(), PREAMBLE, 0)
        except OSError:
            handle.close()
            path.unlink(missing_ok=True)
            raise
        self._handle, self._path, self._size = handle, path, len(PREAMBLE)
        # Every segment has an entry of its own, so that reading never begins in the wrong one.
        self._index.append(
            (self._unwritten[0][0] if self._unwritten else self.next_sequence, path, self._size)
        )
        return handle


def read_frames(folder: Path) -> Iterator[Frame]:
    """All whole frames of a night's folder, in order of their sequence numbers; what is no frame ends its
    segment.
    """
    last = -1
    for path in segments(folder):
        for frame, _ in _frames_of(path):
            if frame.sequence > last:
                last = frame.sequence
                yield frame


def segments(folder: Path) -> list[Path]:
    """Segments of a folder, in order."""
    try:
        return sorted((path for path in folder.iterdir() if _NAME.fullmatch(path.name)), key=_number)
    except OSError:
        return []


def _number(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else 0


def _frames_of(path: Path, offset: int = len(PREAMBLE)) -> Iterator[tuple[Frame, int]]:
    """Frames of a segment and where they begin. Ends at the first bytes that are no whole frame."""
    try:
        with path.open("rb") as handle:
            if handle.read(len(PREAMBLE)) != PREAMBLE:
                return
            handle.seek(offset)
            while len(head := handle.read(HEAD.size)) == HEAD.size:
                mark, size, _, _, _, _ = HEAD.unpack(head)
                if mark != MARK or size > MAX_BODY:
                    return
                frame = _decode(head + handle.read(size + CRC.size))
                if frame is None:
                    return
                yield frame, offset
                offset += HEAD.size + size + CRC.size
    except OSError:
        return


def _heads_of(path: Path) -> Iterator[tuple[int, int]]:
    """Sequence number and place of each frame whose bytes are all there; the last one is checked whole."""
    try:
        with path.open("rb") as handle:
            end = handle.seek(0, os.SEEK_END)
            handle.seek(0)
            offset = len(PREAMBLE) if handle.read(len(PREAMBLE)) == PREAMBLE else end
            while len(head := handle.read(HEAD.size)) == HEAD.size:
                mark, size, sequence, _, _, _ = HEAD.unpack(head)
                following = offset + HEAD.size + size + CRC.size
                if mark != MARK or size > MAX_BODY or following > end:
                    return
                if following == end and _decode(head + handle.read(size + CRC.size)) is None:
                    return
                yield sequence, offset
                offset = handle.seek(following)
    except OSError:
        return


def _decode(data: bytes) -> Frame | None:
    mark, size, sequence, received_s, count, n_stamps = HEAD.unpack_from(data)
    end = HEAD.size + size
    if mark != MARK or len(data) != end + CRC.size or 12 * count + n_stamps != size:
        return None
    if CRC.unpack_from(data, end)[0] != zlib.crc32(memoryview(data)[:end]):
        return None
    samples = np.frombuffer(data, "<f4", count, HEAD.size)
    stamps = np.frombuffer(data, "<f8", count, HEAD.size + 4 * count)
    events: tuple[dict[str, Any], ...] = ()
    if n_stamps:
        try:
            events = tuple(json.loads(data[HEAD.size + 12 * count : end]))
        except (ValueError, TypeError):
            return None
    return Frame(sequence, received_s, samples, stamps, events)
