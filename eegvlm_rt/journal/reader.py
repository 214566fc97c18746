"""Reading a journal: every intact record, and whatever is wrong with the file, by the record's number."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import JournalError
from .frames import MAGIC, PREAMBLE, VERSION, Fault, Frame, Record, decode_body, genesis, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_FILE_BYTES", "Finding", "JournalReport", "Trouble", "read", "read_descriptor", "scan"]

MAX_FILE_BYTES: Final = 1 << 29
"""A week of epochs takes less than a fifth of this."""


class Trouble(StrEnum):
    """What can be wrong with a journal.

    DAMAGED: bytes between records are none. ALTERED: a record is not the one its successor was chained to.
    MISSING: numbers were left out. REORDERED: a record stands after one that has its number or a higher one.
    UNREADABLE: a body is no JSON object. NO_START: the first record does not begin a night.
    """

    DAMAGED = "damaged"
    ALTERED = "altered"
    MISSING = "missing"
    REORDERED = "reordered"
    UNREADABLE = "unreadable"
    NO_START = "no start"


@dataclass(frozen=True, slots=True)
class Finding:
    """One trouble: the number of the record it concerns, its place in bytes, and a sentence about it."""

    trouble: Trouble
    sequence: int
    offset: int
    detail: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields."""
        return {
            "trouble": str(self.trouble),
            "sequence": self.sequence,
            "offset": self.offset,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class JournalReport:
    """What a journal holds.

    Attributes:
        path: the file.
        records: every intact record, in the order of the file.
        findings: what is wrong between or in records; empty where the chain is whole.
        torn_bytes: bytes after the last intact record, left by a write that did not end.
        torn_reason: why they are no record, empty where there are none.
        head: SHA-256 of the last intact record as hexadecimal text, empty where there is none. Noted
            elsewhere, it also shows a journal that was cut at a record, or written anew as a whole.
        end: bytes up to and with the last intact record.
    """

    path: str
    records: tuple[Record, ...]
    findings: tuple[Finding, ...]
    torn_bytes: int
    torn_reason: str
    head: str
    end: int

    @property
    def chain_ok(self) -> bool:
        """Whether every record up to the torn tail, if there is one, is the one that was written."""
        return not self.findings

    @property
    def ok(self) -> bool:
        """Whether the chain is whole and no tail is torn."""
        return self.chain_ok and self.torn_bytes == 0


def read(path: str | os.PathLike[str]) -> JournalReport:
    """Read a journal; it may be one that is being written.

    Raises:
        JournalError: not there, not a file that can be read, not a journal, or above 512 MiB. Damage and a
        torn tail are part of the report.
    """
    target = Path(path)
    try:
        descriptor = os.open(target, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise JournalError("journal", str(target), f"cannot be read: {why}", path=str(target)) from error
    try:
        return read_descriptor(descriptor, str(target))
    finally:
        os.close(descriptor)


def read_descriptor(descriptor: int, path: str) -> JournalReport:
    """`read` of a file that is open; raises JournalError as it does."""
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise JournalError("journal", path, "not a regular file; name a journal", path=path)
        if facts.st_size > MAX_FILE_BYTES:
            raise JournalError(
                "journal", f"{facts.st_size} bytes", f"at most {MAX_FILE_BYTES} are read", path=path
            )
        pieces = []
        place = 0
        while place < facts.st_size and (piece := os.pread(descriptor, facts.st_size - place, place)):
            pieces.append(piece)
            place += len(piece)
    except OSError as error:
        raise JournalError("journal", path, f"cannot be read: {error.strerror}", path=path) from error
    return scan(b"".join(pieces), path)


def scan(data: bytes, path: str = "") -> JournalReport:
    """The report about the bytes of a journal; raises JournalError only where they are not one's."""
    start = data[: len(PREAMBLE)]
    if start[:-1] == PREAMBLE[:-1] and len(start) == len(PREAMBLE) and start != PREAMBLE:
        raise JournalError(
            "version", start[-1], f"this release reads version {VERSION}; read it with a newer one", path=path
        )
    if start != PREAMBLE[: len(start)]:
        raise JournalError("journal", path, "not a journal of eegvlm-rt", path=path)
    if len(start) < len(PREAMBLE):
        return JournalReport(path, (), (), len(data), str(Fault.SHORT) if data else "", "", 0)
    return _Scanner(data, path).report()


class _Scanner:
    def __init__(self, data: bytes, path: str) -> None:
        self.data = data
        self.path = path
        self.records: list[Record] = []
        self.findings: list[Finding] = []
        self.expected = 0
        self.previous: bytes | None = genesis()
        self.patience = 4 * len(data) + (1 << 22)

    def report(self) -> JournalReport:
        data, place, end, reason = self.data, len(PREAMBLE), len(PREAMBLE), ""
        while place < len(data):
            frame = unpack(data, place)
            if isinstance(frame, Fault):
                # No record here. If one follows somewhere, bytes in between are damaged; if none does, this
                # is a write that did not end, as a power cut leaves it, and no damage.
                next_frame = next(self._frames_after(place), None)
                if next_frame is None:
                    reason = f"record {self.expected}: {frame}"
                    break
                self._find(
                    Trouble.DAMAGED,
                    self.expected,
                    place,
                    f"{next_frame.offset - place} bytes are none: {frame}",
                )
                self.previous, frame = None, next_frame
            self._take(frame)
            place = end = frame.offset + frame.size
        if self.records and (self.records[0].sequence, self.records[0].kind) != (0, "start"):
            self._find(Trouble.NO_START, 0, len(PREAMBLE), "the first record does not begin a night")
        head = self.records[-1].sha256 if self.records else ""
        return JournalReport(
            self.path, tuple(self.records), tuple(self.findings), len(data) - end, reason, head, end
        )

    def _take(self, frame: Frame) -> None:
        # Three ways in which a chain breaks: a number too high (records are missing before it), one too low
        # (it stands elsewhere than it was written), and the right number on another chain (one of two
        # neighbors was changed). Right after damage the chain cannot be followed, and one record more may be
        # gone.
        after_damage = self.previous is None
        if frame.sequence > self.expected + after_damage:
            last = frame.sequence - 1
            which = f"{self.expected} to {last} are" if last > self.expected else f"{last} is"
            self._find(Trouble.MISSING, self.expected, frame.offset, f"{which} not before {frame.sequence}")
        elif frame.sequence < self.expected:
            self._find(
                Trouble.REORDERED, frame.sequence, frame.offset, f"it stands where {self.expected} belongs"
            )
        elif not after_damage and frame.previous != self.previous:
            changed = max(0, frame.sequence - 1)
            self._find(
                Trouble.ALTERED,
                changed,
                frame.offset,
                f"it or record {frame.sequence} is not what was written: the chain breaks between them",
            )
        try:
            body = decode_body(frame.body)
        except ValueError as error:
            self._find(Trouble.UNREADABLE, frame.sequence, frame.offset, f"its body is no object: {error}")
            body = {}
        self.records.append(Record(frame.sequence, frame.kind, body, frame.offset, frame.digest.hex()))
        self.expected, self.previous = frame.sequence + 1, frame.digest

    def _frames_after(self, place: int) -> Iterator[Frame]:
        """Intact records after damage. False starts cost `patience`, so that no file is read for ever."""
        place = self.data.find(MAGIC, place + 1)
        while place >= 0 and self.patience > 0:
            frame = unpack(self.data, place)
            if isinstance(frame, Frame):
                yield frame
            # A false start whose checksum was worked out cost as much as its length.
            length = int.from_bytes(self.data[place + 4 : place + 8], "little")
            self.patience -= 64 + (length if frame is Fault.CHECKSUM else 0)
            place = self.data.find(MAGIC, place + 1)

    def _find(self, trouble: Trouble, sequence: int, offset: int, detail: str) -> None:
        self.findings.append(
            Finding(trouble, sequence, offset, f"record {sequence} (byte {offset}) {trouble}: {detail}")
        )
