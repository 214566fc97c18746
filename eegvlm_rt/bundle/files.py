"""Path rules, sizes and digests of the files of a bundle."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from ..errors import BundleError, IntegrityError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "MANIFEST_NAME",
    "MAX_FILE_BYTES",
    "SIGNATURE_NAME",
    "BundleFile",
    "check_relative",
    "copy_verified",
    "digest_file",
    "locate",
    "open_file",
    "read_verified",
]

MANIFEST_NAME: Final = "manifest.json"
SIGNATURE_NAME: Final = "manifest.sig"
MAX_FILE_BYTES: Final = 1 << 36
MAX_PARTS: Final = 8

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_DEVICE_NAMES = {"con", "prn", "aux", "nul", *(f"com{i}" for i in range(10)), *(f"lpt{i}" for i in range(10))}
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class BundleFile:
    """One file as the manifest lists it: path relative to the bundle, size in bytes, SHA-256 in lower-case
    hex.

    `data` lists the files that this one refers to by name (external weights of an ONNX graph).
    """

    file: str
    bytes: int
    sha256: str
    data: tuple[BundleFile, ...] = ()

    def __post_init__(self) -> None:
        check_relative(self.file)
        if type(self.bytes) is not int or not 0 < self.bytes <= MAX_FILE_BYTES:
            raise BundleError(f"{self.file}.bytes", self.bytes, f"give an integer from 1 to {MAX_FILE_BYTES}")
        if not isinstance(self.sha256, str) or not _DIGEST.fullmatch(self.sha256):
            raise BundleError(f"{self.file}.sha256", self.sha256, "give 64 lower-case hexadecimal digits")

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields; `data` is left out where there is none."""
        fields: dict[str, Any] = {"file": self.file, "bytes": self.bytes, "sha256": self.sha256}
        if self.data:
            fields["data"] = [entry.to_dict() for entry in self.data]
        return fields


def check_relative(name: object) -> str:
    """`name` where it is a plain path below the bundle folder: forward slashes, no `..`, no hidden or device
    names.

    Raises:
        BundleError: any other text.
    """
    cure = "use a relative path of plain names joined by '/', without '..', below the bundle folder"
    if not isinstance(name, str):
        raise BundleError("file", name, cure)
    parts = name.split("/")
    plain = all(
        _PART.fullmatch(part) and not part.endswith(".") and part.split(".")[0].lower() not in _DEVICE_NAMES
        for part in parts
    )
    if not plain or len(parts) > MAX_PARTS:
        raise BundleError("file", name, cure)
    if name.lower() in (MANIFEST_NAME, SIGNATURE_NAME):
        raise BundleError("file", name, "the manifest lists neither itself nor its signature")
    return name


def locate(root: Path, name: str, *, allow_hard_links: bool) -> Path:
    """Path of the regular file `name` below `root`; no part of the way may be a symbolic link.

    Raises:
        IntegrityError: missing, not a regular file, a symbolic link, or (unless allowed) a hard link to a
            file that also has a name elsewhere.
    """
    path = root
    parts = name.split("/")
    for depth, part in enumerate(parts):
        path = path / part
        try:
            status = path.lstat()
        except (OSError, ValueError) as error:
            raise IntegrityError(name, "missing", "fetch the bundle again") from error
        last = depth == len(parts) - 1
        if not (stat.S_ISREG(status.st_mode) if last else stat.S_ISDIR(status.st_mode)):
            raise IntegrityError(
                name, _kind(status.st_mode), "a bundle holds plain files in plain folders only"
            )
        if last and status.st_nlink != 1 and not allow_hard_links:
            raise IntegrityError(
                name,
                f"{status.st_nlink} hard links",
                "copy the bundle, so that no file is shared with another place",
            )
    return path


def digest_file(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256 (lower-case hex) of a file."""
    digest = hashlib.sha256()
    size = 0
    with path.open("rb", buffering=0) as handle:
        while block := handle.read(_CHUNK):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


def verify_file(root: Path, entry: BundleFile, *, allow_hard_links: bool) -> None:
    """Check place, size and digest of one file and of the files it refers to; raises IntegrityError."""
    path = locate(root, entry.file, allow_hard_links=allow_hard_links)
    _check_size(entry, path.lstat().st_size)
    size, digest = digest_file(path)
    _check_size(entry, size)
    _check_digest(entry, digest)
    for data in entry.data:
        verify_file(root, data, allow_hard_links=allow_hard_links)


def read_verified(root: Path, entry: BundleFile, *, verify: bool, allow_hard_links: bool) -> bytes:
    """The bytes of one file. With `verify`, these very bytes had the listed size and digest.

    Raises:
        IntegrityError: place, size or digest are wrong.
    """
    with open_file(root, entry.file, allow_hard_links=allow_hard_links) as handle:
        if verify:
            _check_size(entry, os.fstat(handle.fileno()).st_size)
        content = handle.read(entry.bytes + 1) if verify else handle.read()
    if verify:
        _check_size(entry, len(content))
        _check_digest(entry, hashlib.sha256(content).hexdigest())
    return content


def copy_verified(root: Path, entry: BundleFile, folder: Path, *, allow_hard_links: bool) -> Path:
    """Copy a file and those it refers to below `folder`, under their own names, a piece at a time.

    The copies have the listed sizes and digests, whatever happens to the bundle. Raises IntegrityError.
    """
    target = folder / entry.file
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    size = 0
    with open_file(root, entry.file, allow_hard_links=allow_hard_links) as source, target.open("xb") as copy:
        while size <= entry.bytes and (block := source.read(_CHUNK)):
            digest.update(block)
            size += len(block)
            copy.write(block)
    _check_size(entry, size)
    _check_digest(entry, digest.hexdigest())
    for data in entry.data:
        copy_verified(root, data, folder, allow_hard_links=allow_hard_links)
    return target


def open_file(root: Path, name: str, *, allow_hard_links: bool) -> BinaryIO:
    """The file `name` below `root`, opened for reading under the rules of `locate`; raises IntegrityError."""
    path = locate(root, name, allow_hard_links=allow_hard_links)
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    return os.fdopen(descriptor, "rb")


def _check_size(entry: BundleFile, size: int) -> None:
    if size != entry.bytes:
        raise IntegrityError(
            entry.file, f"{size} bytes", f"the manifest lists {entry.bytes}: fetch the bundle again"
        )


def _check_digest(entry: BundleFile, digest: str) -> None:
    if digest != entry.sha256:
        raise IntegrityError(
            entry.file, f"sha256 {digest}", f"the manifest lists {entry.sha256}: fetch the bundle again"
        )


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a file" if stat.S_ISREG(mode) else "a special file"
