"""One record on disk: a header of 64 bytes, then its body in JSON."""

from __future__ import annotations

import enum
import hashlib
import json
import math
import struct
import zlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

__all__ = [
    "FORMAT",
    "HEADER",
    "MAX_BODY_BYTES",
    "PREAMBLE",
    "VERSION",
    "Fault",
    "Frame",
    "Record",
    "RecordKind",
    "decode_body",
    "encode_body",
    "genesis",
    "kind_code",
    "pack",
    "unpack",
]

FORMAT: Final = "eegvlm-rt journal"
VERSION: Final = 1
PREAMBLE: Final = b"EVLMJNL" + bytes([VERSION])
MAGIC: Final = b"\xe6JR\n"
HEADER: Final = struct.Struct("<4sIQ12s32sI")
"""Magic, length of the body, sequence, kind, SHA-256 of the record before, CRC-32 of all else."""
MAX_BODY_BYTES: Final = 1 << 20
_CHECKED: Final = HEADER.size - 4
_KIND_BYTES: Final = 12


class RecordKind(StrEnum):
    """What a record tells; a reader passes over kinds it does not know.

    START: the configuration of the night. CONFIG: that of a process that goes on with it. CLOCK: where its
    grid begins, and drift. STAGE: the head's stage of an epoch whose final answer is still being worked on.
    PREDICTION: one final epoch, with the digest of its raw samples. SOURCE: what befell the source. RESUME:
    the journal was opened again. LOSS: records that could not be written. SHUTDOWN: the night was ended in
    order.
    """

    START = "start"
    CONFIG = "config"
    CLOCK = "clock"
    STAGE = "stage"
    PREDICTION = "prediction"
    SOURCE = "source"
    RESUME = "resume"
    LOSS = "loss"
    SHUTDOWN = "shutdown"


class Fault(StrEnum):
    """Why the bytes at a place are no record."""

    SHORT = "the bytes end before it does"
    MAGIC = "it does not begin with the mark of a record"
    FIELDS = "its header holds a value that none has"
    CHECKSUM = "its CRC-32 does not fit"


@dataclass(frozen=True, slots=True)
class Frame:
    """A record whose checksum fits; `body` is not parsed yet."""

    sequence: int
    kind: str
    previous: bytes
    body: bytes
    digest: bytes
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its number from 0, kind, JSON body, place in bytes, and SHA-256 as hexadecimal text."""

    sequence: int
    kind: str
    body: Mapping[str, Any]
    offset: int
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields."""
        return {
            "sequence": self.sequence,
            "kind": self.kind,
            "sha256": self.sha256,
            "body": dict(self.body),
        }


def genesis() -> bytes:
    """What the first record names as the digest before it: that of the file's first eight bytes."""
    return hashlib.sha256(PREAMBLE).digest()


def kind_code(kind: str) -> bytes | None:
    """A kind as the header holds it, None where it is not 1..12 lower-case ASCII letters, digits or "_"."""
    code = kind.encode("ascii", errors="ignore")
    named = kind.isascii() and kind == kind.lower() and kind.isidentifier()
    return code.ljust(_KIND_BYTES, b"\0") if named and len(code) <= _KIND_BYTES else None


def pack(sequence: int, kind: bytes, previous: bytes, body: bytes) -> tuple[bytes, bytes]:
    """The bytes of a record, and their SHA-256."""
    # The checksum finds bytes that the disk damaged; the digest of the record before, which is in the header,
    # finds records that somebody changed, took out or moved.
    head = HEADER.pack(MAGIC, len(body), sequence, kind, previous, 0)[:_CHECKED]
    checksum = zlib.crc32(body, zlib.crc32(head))
    frame = head + checksum.to_bytes(4, "little") + body
    return frame, hashlib.sha256(frame).digest()


def unpack(data: bytes, offset: int) -> Frame | Fault:
    """The record that begins at `offset`, or why there is none. Never raises."""
    # From what is cheap to what is dear: mark, header, length, checksum. A length out of a damaged header is
    # not believed before it is known to be small.
    remainder = len(data) - offset
    if data[offset : offset + len(MAGIC)] != MAGIC[:remainder]:
        return Fault.MAGIC
    if remainder < HEADER.size:
        return Fault.SHORT
    _, length, sequence, code, previous, checksum = HEADER.unpack_from(data, offset)
    kind = code.rstrip(b"\0").decode("ascii", errors="replace")
    if length > MAX_BODY_BYTES or kind_code(kind) != code:
        return Fault.FIELDS
    end = offset + HEADER.size + length
    if end > len(data):
        return Fault.SHORT
    frame = data[offset:end]
    body = frame[HEADER.size :]
    if zlib.crc32(body, zlib.crc32(frame[:_CHECKED])) != checksum:
        return Fault.CHECKSUM
    digest = hashlib.sha256(frame).digest()
    return Frame(sequence, kind, previous, body, digest, offset, len(frame))


def encode_body(body: Mapping[str, Any]) -> bytes:
    """A body as compact UTF-8 JSON. What JSON cannot hold becomes what it can: NaN and infinity null, numpy
    numbers and arrays plain ones, sets lists, anything else its text. Raises ValueError only for a body that
    contains itself.
    """
    try:
        text = json.dumps(body, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError):
        text = json.dumps(_plain(body, 64), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", errors="replace")


def decode_body(body: bytes) -> dict[str, Any]:
    """The JSON object of a record. Raises ValueError for anything else."""
    try:
        value = json.loads(body, parse_float=_finite, parse_constant=_finite)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError(f"{type(value).__name__}, not an object")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:20]}")
    return value


def _plain(value: Any, depth: int) -> Any:
    if depth == 0:
        raise ValueError("nested too deeply")
    if isinstance(value, enum.Enum):
        value = value.name if isinstance(value, enum.IntEnum) else value.value
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_key(key): _plain(item, depth - 1) for key, item in value.items()}
    if isinstance(value, bytes | bytearray):
        return bytes(value).hex()
    if isinstance(value, Set):
        return sorted((_plain(item, depth - 1) for item in value), key=str)
    if isinstance(value, Sequence):
        return [_plain(item, depth - 1) for item in value]
    if callable(getattr(value, "tolist", None)):
        return _plain(value.tolist(), depth - 1)
    return str(value)


def _key(key: Any) -> str:
    return key.name if isinstance(key, enum.IntEnum) else str(key)
