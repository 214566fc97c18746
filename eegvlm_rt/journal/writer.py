"""Writing a journal: whole records or none, one writer, no error ever raised into the scoring of a night."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import JournalError
from .frames import FORMAT, MAX_BODY_BYTES, PREAMBLE, RecordKind, encode_body, genesis, kind_code, pack
from .reader import JournalReport, read_descriptor
from .resume import NightState, night_state
from .storage import holds_a_night, make, open_and_lock, open_regular, set_aside, write_at

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

__all__ = ["Journal"]

_UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
_MISUSE = (errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)


class Journal:
    """An open journal. Made by `create`, `resume` or `open`; a context manager; may be used from several
    threads, by one process at a time.

    What the disk refuses is kept as `error` and counted in `losses`, and the next record is tried again: when
    it can be written, a `loss` record before it says how many were not. The chain stays whole.

    Attributes:
        path: the file.
        losses: records that could not be written since the journal was opened.
        loss: why the latest of them could not, empty where there is none.
        error: why the last record could not be written or brought to the disk, None while all is well.
        records: records the file holds.
    """

    def __init__(
        self, path: Path, descriptor: int | None, start: bytes, *, records: int, head: bytes, end: int
    ) -> None:
        self.path = path
        self.losses = 0
        self.loss = ""
        self.error: str | None = None
        self.records = records
        self._descriptor = descriptor
        self._start = start
        self._head = head
        self._end = end
        self._ragged = False
        self._closed = False
        self._lost: Counter[str] = Counter()
        self._lost_since_s = 0.0
        self._lost_why = ""
        self._lock = threading.RLock()

    @classmethod
    def create(cls, path: str | os.PathLike[str], header: Mapping[str, Any]) -> Journal:
        """Begin a journal with `header` as its start record. The file must not exist, or hold no record.

        A folder that is read-only, full or not there is no error: it is kept as `error`, and the file is
        begun when that becomes possible.

        Raises:
            JournalError: a file is there already, another process writes it, the name can be no file's, or
            the header is no JSON object of up to 1 MiB.
        """
        target = Path(path)
        facts = {"format": FORMAT, "software": f"eegvlm-rt {__version__}", "created_s": time.time()}
        try:
            start = encode_body({**header, **facts})
        except (ValueError, TypeError) as error:
            raise JournalError("header", type(header).__name__, f"no JSON object: {error}") from error
        if len(start) > MAX_BODY_BYTES:
            raise JournalError("header", f"{len(start)} bytes", f"give at most {MAX_BODY_BYTES}")
        journal = cls(target, None, start, records=0, head=genesis(), end=0)
        try:
            journal._descriptor = make(target)
        except (OSError, ValueError) as error:
            why = f"cannot be made: {getattr(error, 'strerror', None) or error}"
            if getattr(error, "errno", None) in (None, *_MISUSE):
                raise JournalError("journal", str(target), why, str(target)) from error
            journal.error = why
        else:
            journal._write([])
            journal.sync()
        return journal

    @classmethod
    def resume(cls, path: str | os.PathLike[str]) -> tuple[Journal, NightState]:
        """Go on with a journal. What a write that did not end left at its tail is moved to a file beside it,
        and a `resume` record tells of it. A journal that may be read and not written is no error: that is
        kept as `error`, and it is written when that becomes possible.

        Raises:
            JournalError: no journal there, no record in it, damage before its tail, or another process
            writes it.
        """
        target = Path(path)
        try:
            descriptor = open_and_lock(target)
        except JournalError as error:
            cause = error.__cause__
            if not isinstance(cause, OSError) or cause.errno not in _UNWRITABLE:
                raise
            descriptor = open_regular(target, os.O_RDONLY)
            report = _whole(descriptor, target)
            os.close(descriptor)
            journal = cls._after(target, None, report)
            journal._lose(str(RecordKind.RESUME), f"cannot be opened: {cause.strerror}")
            return journal, night_state(report.records)
        report = _whole(descriptor, target)
        return cls._resumed(target, descriptor, report), night_state(report.records)

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], header: Mapping[str, Any]
    ) -> tuple[Journal, NightState | None]:
        """`resume` where there is a night to go on with, else `create`; raises what they raise."""
        if holds_a_night(Path(path)):
            return cls.resume(path)
        return cls.create(path, header), None

    @classmethod
    def _resumed(cls, path: Path, descriptor: int, report: JournalReport) -> Journal:
        journal = cls._after(path, descriptor, report)
        fields: dict[str, Any] = {"resumed_s": time.time(), "software": f"eegvlm-rt {__version__}"}
        if report.torn_bytes:
            fields |= {"torn_bytes": report.torn_bytes, "torn_reason": report.torn_reason}
            fields |= set_aside(descriptor, path, report.end)
        journal.append(RecordKind.RESUME, fields)
        journal.sync()
        return journal

    @classmethod
    def _after(cls, path: Path, descriptor: int | None, report: JournalReport) -> Journal:
        """A journal that goes on after what a report tells of."""
        head, count = bytes.fromhex(report.head), report.records[-1].sequence + 1
        journal = cls(path, descriptor, b"", records=count, head=head, end=report.end)
        journal._ragged = report.torn_bytes > 0
        return journal

    def _reached(self) -> int:
        """Descriptor of the file, made or opened now; raises OSError or JournalError."""
        # A file that could not be made at first is begun; one that was begun must still be the one that this
        # process wrote.
        if not self.records:
            return make(self.path)
        descriptor = open_and_lock(self.path)
        report = _whole(descriptor, self.path)
        if bytes.fromhex(report.head) != self._head:
            os.close(descriptor)
            raise JournalError("journal", str(self.path), "was written by another meanwhile", str(self.path))
        if report.torn_bytes:
            set_aside(descriptor, self.path, report.end)
        return descriptor

    @property
    def head(self) -> str:
        """SHA-256 of the last record written, as hexadecimal text: note it elsewhere to prove the file."""
        return self._head.hex() if self.records else ""

    def append(self, kind: str, body: Mapping[str, Any]) -> None:
        """Write one record. Never raises: a record that cannot be written is counted.

        `kind` is a `RecordKind` or another word of up to 12 lower-case letters, digits and underscores. In
        `body`, what JSON cannot hold becomes what it can; NaN and infinity become null.
        """
        with self._lock:
            word = str(kind)
            try:
                data = encode_body(body)
            except (ValueError, TypeError, RecursionError) as error:
                self._lose(word, f"the body is no JSON: {error}")
                return
            if kind_code(word) is None or len(data) > MAX_BODY_BYTES:
                self._lose(word, f"a body of {len(data)} bytes, or a kind that is no short word")
                return
            if self._closed:
                self._lose(word, "the journal is closed")
                return
            if self._descriptor is None:
                try:
                    self._descriptor = self._reached()
                except (OSError, JournalError) as error:
                    cause = error.__cause__ or error
                    what = "opened" if self.records else "made"
                    self._lose(word, f"cannot be {what}: {getattr(cause, 'strerror', None) or cause}")
                    return
            if not self._write([(word, data)]):
                self._lose(word, self.error or "")

    def sync(self) -> None:
        """Bring what was written to the disk (fsync). Never raises; failure is kept as `error`."""
        with self._lock:
            if self._descriptor is None:
                return
            try:
                os.fsync(self._descriptor)
            except OSError as error:
                self.error = f"not brought to the disk: {error.strerror}"

    def close(self) -> None:
        """Write a pending `loss` record, sync and let go of the file. May be called twice."""
        with self._lock:
            self._closed = True
            if self._descriptor is None:
                return
            if self._lost:
                self._write([])
            self.sync()
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, records: list[tuple[str, bytes]]) -> bool:
        """Write records and, before them, the start and losses that are not written yet: all or none."""
        # A disk that was full may have room again: what is still owed goes before the new record, in one
        # write, so that the file never tells a later thing without the loss before it.
        due = [] if self.records else [(str(RecordKind.START), self._start)]
        if self._lost:
            due.append((str(RecordKind.LOSS), encode_body(self._loss())))
        data, head, count = (b"" if self.records else PREAMBLE), self._head, self.records
        for word, body in (*due, *records):
            frame, head = pack(count, kind_code(word) or b"", head, body)
            data, count = data + frame, count + 1
        assert self._descriptor is not None
        try:
            # Until a write has returned it may have left a part behind it. That part is cut off, at once or
            # before the next write, so that records stand end to end.
            if self._ragged:
                os.ftruncate(self._descriptor, self._end)
            self._ragged = True
            write_at(self._descriptor, data, self._end)
        except OSError as error:
            self.error = error.strerror or str(error)
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._end)
                self._ragged = False
            return False
        self._lost.clear()
        self._ragged, self.error = False, None
        self._end, self._head, self.records = self._end + len(data), head, count
        return True

    def _lose(self, word: str, why: str) -> None:
        if not self._lost:
            self._lost_since_s, self._lost_why = time.time(), why
        self._lost[word[:40]] += 1
        self.losses += 1
        self.error = self.loss = why

    def _loss(self) -> dict[str, Any]:
        return {
            "records": self._lost.total(),
            "kinds": dict(self._lost),
            "reason": self._lost_why,
            "since_s": self._lost_since_s,
            "until_s": time.time(),
        }


def _whole(descriptor: int, path: Path) -> JournalReport:
    """The report of a journal that can be gone on with; closes the file and raises JournalError otherwise."""
    try:
        report = read_descriptor(descriptor, str(path))
        if not report.records:
            raise JournalError("journal", str(path), "holds no record; begin a new one", str(path))
        if report.findings:
            cure = "keep this file and begin a new journal under another name"
            raise JournalError("journal", report.findings[0].detail, cure, str(path))
    except BaseException:
        os.close(descriptor)
        raise
    return report
