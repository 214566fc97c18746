"""A bundle as one file: an uncompressed tar archive that has exactly one form.

The manifest comes first, a signature second, then the listed files in manifest order, each behind one header
block that holds its name and size and nothing of the machine. So `pack` is deterministic, and `unpack` need
not interpret: a header that is not, byte for byte, the one expected is refused. There is nothing to inflate.
"""

from __future__ import annotations

import os
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from ..errors import BundleError, IntegrityError, OutputError
from ..files.outputs import check_outputs
from .files import MANIFEST_NAME, SIGNATURE_NAME, open_file
from .manifest import MAX_MANIFEST_BYTES, parse_manifest
from .opening import MAX_BUNDLE_BYTES, Bundle
from .publishing import publish_folder, staging_folder
from .trust import MAX_SIGNATURE_BYTES, TrustPolicy
from .writing import check_destination

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["pack_bundle", "unpack_bundle"]

_BLOCK: Final = tarfile.BLOCKSIZE
_END: Final = bytes(2 * _BLOCK)
_CHUNK: Final = 1 << 20
_CURE: Final = "an archive is made by eegvlm-rt bundle pack: fetch it again"


def pack_bundle(bundle: Bundle, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a verified bundle to the archive `path`; the same bundle gives the same bytes everywhere.

    Raises:
        BundleError: not verified, a name of more than 100 characters, or `path` cannot be written.
        OutputError: `path` lies in the bundle, or is a file that is no archive (unless `overwrite`).
        IntegrityError: a file changed since the bundle was opened.
    """
    # What is packed is what was verified: sizes and digests come from the manifest, and a file that changed
    # since then ends the packing.
    if not bundle.verified:
        raise BundleError("bundle", str(bundle.path), "open it with verify=True before it is packed")
    target = Path(path)
    check_outputs([target], inputs=[bundle.path], overwrite=overwrite, own=_is_archive)
    try:
        descriptor, name = tempfile.mkstemp(prefix=".eegvlm-", dir=target.absolute().parent)
        staged = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as out:
                for part in _parts(bundle):
                    out.write(part)
                out.flush()
                os.fsync(out.fileno())
            staged.chmod(0o644)
            staged.replace(target)
        except BaseException:
            staged.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise BundleError("archive", str(target), f"cannot be written: {error.strerror}") from error
    return target


def unpack_bundle(
    path: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    trust: TrustPolicy | None = None,
    overwrite: bool = False,
) -> Bundle:
    """Unpack an archive to the new bundle folder `destination`, which appears whole or not at all.

    Signature and manifest are checked before any other byte is written, and nothing beyond the sizes the
    manifest lists is. `trust` and `overwrite` as for `Bundle.open` and `write_bundle`.

    Raises:
        BundleError: no such archive, or one of another form; a destination that exists.
        IntegrityError: a file of another digest. SignatureError: a signature that `trust` refuses.
    """
    policy = TrustPolicy.from_environment() if trust is None else trust
    target = Path(destination).absolute()
    if Path(path).absolute().resolve().is_relative_to(target.resolve()):
        raise OutputError("folder", str(target), f"holds the archive {path}; name another")
    check_destination(target, overwrite=overwrite)
    try:
        with Path(path).open("rb") as source:
            target.parent.mkdir(parents=True, exist_ok=True)
            with staging_folder(target) as staging:
                _extract(source, staging, policy)
                bundle = Bundle.open(staging, trust=policy)
                publish_folder(staging, target)
    except OSError as error:
        raise BundleError("archive", os.fspath(path), f"cannot be unpacked: {error.strerror}") from error
    return Bundle(target, bundle.manifest, bundle.digest, True, bundle.signed_by)


def _parts(bundle: Bundle) -> Iterator[bytes]:
    manifest = bundle.manifest_bytes()
    yield from _member(MANIFEST_NAME, manifest)
    signature = bundle.signature_bytes()
    if signature is not None:
        yield from _member(SIGNATURE_NAME, signature)
    for entry in bundle.manifest.files():
        yield _header(entry.file, entry.bytes)
        with open_file(bundle.path, entry.file, allow_hard_links=bundle.links_allowed) as handle:
            remainder = entry.bytes
            while remainder and (block := handle.read(min(_CHUNK, remainder))):
                remainder -= len(block)
                yield block
            if remainder or handle.read(1):
                raise IntegrityError(entry.file, "another size", "it changed while it was packed")
        yield bytes(-entry.bytes % _BLOCK)
    yield _END


def _member(name: str, content: bytes) -> Iterator[bytes]:
    yield _header(name, len(content)) + content + bytes(-len(content) % _BLOCK)


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o644
    block = member.tobuf(tarfile.GNU_FORMAT, "ascii", "strict")
    if len(block) != _BLOCK:
        raise BundleError("file", name, "give names of at most 100 characters to a bundle that is packed")
    return block


def _is_archive(path: Path) -> bool:
    """Whether a file is an archive of ours, by its first header and its manifest."""
    try:
        with path.open("rb") as source:
            size = _size(source.read(_BLOCK), MANIFEST_NAME, MAX_MANIFEST_BYTES)
            parse_manifest(_content(source, MANIFEST_NAME, size))
    except (OSError, BundleError):
        return False
    return True


def _extract(source: BinaryIO, staging: Path, policy: TrustPolicy) -> None:
    size = _size(block := source.read(_BLOCK), MANIFEST_NAME, MAX_MANIFEST_BYTES)
    content = _content(source, MANIFEST_NAME, size)
    block = source.read(_BLOCK)
    signature = None
    if block.startswith(SIGNATURE_NAME.encode() + b"\0"):
        size = _size(block, SIGNATURE_NAME, MAX_SIGNATURE_BYTES)
        signature = _content(source, SIGNATURE_NAME, size)
        block = source.read(_BLOCK)
    # Manifest and signature come first in an archive, so that a stranger costs a few kilobytes: nothing else
    # is read, let alone written, before they are accepted.
    policy.check(content, signature)
    manifest = parse_manifest(content)
    if sum(entry.bytes for entry in manifest.files()) > MAX_BUNDLE_BYTES:
        raise BundleError("components", "sizes", f"all files together have at most {MAX_BUNDLE_BYTES} bytes")
    (staging / MANIFEST_NAME).write_bytes(content)
    if signature is not None:
        (staging / SIGNATURE_NAME).write_bytes(signature)
    for entry in manifest.files():
        # The header must be the very one that packing this entry gives. So there is nothing to interpret: no
        # links, no absolute names, no other sizes, no members in between.
        if block != _header(entry.file, entry.bytes):
            raise BundleError("archive", f"another member than {entry.file}", _CURE)
        place = staging / entry.file
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("xb") as out:
            for piece in _pieces(source, entry.file, entry.bytes):
                out.write(piece)
        block = source.read(_BLOCK)
    if block + source.read(len(_END)) != _END:
        raise BundleError("archive", "bytes after the last file", _CURE)


def _size(block: bytes, name: str, limit: int) -> int:
    try:
        size = tarfile.TarInfo.frombuf(block, "ascii", "strict").size
    except (tarfile.HeaderError, ValueError) as error:
        raise BundleError("archive", str(error), _CURE) from error
    if not 0 <= size <= limit or block != _header(name, size):
        raise BundleError("archive", f"another member than {name}", _CURE)
    return size


def _content(source: BinaryIO, name: str, size: int) -> bytes:
    return b"".join(_pieces(source, name, size))


def _pieces(source: BinaryIO, name: str, size: int) -> Iterator[bytes]:
    remainder = size
    while remainder:
        piece = source.read(min(_CHUNK, remainder))
        if not piece:
            raise BundleError("archive", f"ends within {name}", _CURE)
        remainder -= len(piece)
        yield piece
    padding = -size % _BLOCK
    if source.read(padding) != bytes(padding):
        raise BundleError("archive", f"bytes behind {name}", _CURE)
