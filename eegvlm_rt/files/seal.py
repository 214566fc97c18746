"""How a file that eegvlm-rt wrote is known again.

It carries a seal, `eegvlm-rt seal=` and 32 hexadecimal digits: the first
half of the SHA-256 of its bytes, these digits being zeros. EDF+ has it in the recording field, JSON in a
value, PNG in a text chunk, XML and HTML in a comment. Tables have no place for one: their digest is kept as
an extended attribute, where the file system has them, and in the list of a sealed JSON file beside them. A
file that a person changed fits none of these, and stays.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["SEAL", "file_digests", "is_ours", "keep_digest", "note_digest", "sealed"]

SEAL: Final = "eegvlm-rt seal=" + 32 * "0"
"""What a writer puts where its format has a place for it; `write_file` fills in the digits."""

_SEAL: Final = re.compile(rb"eegvlm-rt seal=([0-9a-f]{32})")
_ATTRIBUTE: Final = "user.eegvlm_rt.sha256"
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_LARGEST: Final = 1 << 31
_LISTS: Final = ("predictions.json", "night.json")


def is_ours(path: str | os.PathLike[str]) -> bool:
    """Whether eegvlm-rt wrote this file and nobody has changed it since: by its seal, by the digest in its
    extended attribute, or by the list in a sealed file beside it.
    """
    place = Path(path)
    try:
        if not place.is_file() or place.stat().st_size > _LARGEST:
            return False
        data = place.read_bytes()
    except OSError:
        return False
    return _is_sealed(data) or _is_noted(place, data) or _is_listed(place, data)


def sealed(data: bytes) -> bytes:
    """`data` with the digits of its seal, where it has a place for one."""
    place = data.find(SEAL.encode())
    if place < 0:
        return data
    # First the digits, then the checksum of the chunk that they stand in.
    content = bytearray(data)
    content[place : place + len(SEAL)] = SEAL.encode()[:-32] + _digits(data, place).encode()
    return _with_checksum(content, place)


def file_digests(paths: Iterable[Path]) -> dict[str, str]:
    """Name -> SHA-256 of files that are there, as a sealed file beside them lists them."""
    digests = {}
    for path in paths:
        with path.open("rb") as handle:
            digests[path.name] = hashlib.file_digest(handle, "sha256").hexdigest()
    return digests


def note_digest(descriptor: int, content: bytes) -> None:
    """Keep the digest of a file without a seal beside its content; not every file system can."""
    if _SEAL.search(content) is None:
        keep_digest(descriptor, hashlib.sha256(content).hexdigest())


def keep_digest(descriptor: int, digest: str) -> None:
    """Keep the digest of a file as its extended attribute, where the file system has them."""
    if hasattr(os, "setxattr"):
        with suppress(OSError):
            os.setxattr(descriptor, _ATTRIBUTE, digest.encode())


def _digits(data: bytes, place: int) -> str:
    """The digits of a seal at `place`: those of the SHA-256 of the content without them, and in a PNG
    without the checksum of their chunk.
    """
    # The digest covers the whole file but the places that hold it: its own digits, and in a PNG the checksum,
    # which depends on them.
    plain = bytearray(data)
    plain[place : place + len(SEAL)] = SEAL.encode()
    checksum = _checksum_place(plain, place)
    if checksum is not None:
        plain[checksum : checksum + 4] = bytes(4)
    return hashlib.sha256(plain).hexdigest()[:32]


def _is_noted(place: Path, data: bytes) -> bool:
    try:
        return os.getxattr(place, _ATTRIBUTE) == hashlib.sha256(data).hexdigest().encode()
    except (AttributeError, OSError):
        return False


def _is_sealed(data: bytes) -> bool:
    match = _SEAL.search(data)
    return match is not None and match[1].decode() == _digits(data, match.start())


def _is_listed(place: Path, data: bytes) -> bool:
    for name in dict.fromkeys((*_LISTS, place.with_suffix(".json").name)):
        record = place.with_name(name)
        if record == place:
            continue
        try:
            content = record.read_bytes() if record.stat().st_size <= _LARGEST else b""
            listed = json.loads(content)["written"]["files"] if _is_sealed(content) else {}
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
        if isinstance(listed, dict) and listed.get(place.name) == hashlib.sha256(data).hexdigest():
            return True
    return False


def _checksum_place(data: bytes | bytearray, place: int) -> int | None:
    """Where the CRC of the PNG text chunk around `place` stands (ISO/IEC 15948, 5.3); None in other files."""
    if not data.startswith(_PNG):
        return None
    kind = data.rfind(b"tEXt", 0, place)
    checksum = kind + 4 + int.from_bytes(data[max(0, kind - 4) : kind], "big")
    return checksum if kind >= 4 and checksum + 4 <= len(data) else None


def _with_checksum(content: bytearray, place: int) -> bytes:
    checksum = _checksum_place(content, place)
    if checksum is not None:
        kind = content.rfind(b"tEXt", 0, place)
        content[checksum : checksum + 4] = zlib.crc32(content[kind:checksum]).to_bytes(4, "big")
    return bytes(content)
