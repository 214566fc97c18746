"""Which files an ONNX graph refers to, read from its bytes alone: no model is opened for it.

A walk over the protobuf wire format (https://protobuf.dev/programming-guides/encoding) that follows the
fields in which tensors can be (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto) and steps over others.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Final

from ..errors import IntegrityError
from .files import locate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from .files import BundleFile

__all__ = ["check_references", "external_files"]

_FIELDS: Final[Mapping[str, Mapping[int, str]]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_EXTERNAL: Final = 14
"""`TensorProto.data_location`; 1 is EXTERNAL."""
_MAX_DEPTH: Final = 64


class _MalformedError(ValueError):
    """Bytes that are no protobuf message."""


def external_files(content: bytes | mmap.mmap) -> frozenset[str]:
    """The `location` of every tensor kept outside the graph, in subgraphs and functions too.

    Raises:
        ValueError: the bytes are no protobuf message, or nest deeper than any graph does.
    """
    files: set[str] = set()
    _walk(content, 0, len(content), "model", files, 0)
    return frozenset(files)


def check_references(root: Path, entry: BundleFile, *, allow_hard_links: bool) -> None:
    """Refuse a graph that refers to a file which its manifest entry does not list.

    Raises:
        IntegrityError: such a reference, an absolute path, `..`, or a file that is no ONNX graph.
    """
    path = locate(root, entry.file, allow_hard_links=allow_hard_links)
    folder = entry.file.rpartition("/")[0]
    try:
        with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
            files = external_files(content)
    except (OSError, ValueError) as error:
        raise IntegrityError(
            entry.file, str(error), "this is no ONNX graph: export the bundle again"
        ) from error
    listed = {data.file for data in entry.data}
    strange = sorted(name for name in files if (f"{folder}/{name}" if folder else name) not in listed)
    if strange:
        raise IntegrityError(
            entry.file,
            f"refers to {strange}",
            "a graph refers to the files its manifest entry lists, and no other",
        )


def _walk(content: bytes | mmap.mmap, at: int, end: int, kind: str, files: set[str], depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise _MalformedError(f"nested deeper than {_MAX_DEPTH}")
    within = _FIELDS[kind]
    location: str | None = None
    external = False
    for number, start, stop in _fields(content, at, end):
        inner = within.get(number)
        if inner == "entry" and stop is not None:
            key, value = _pair(content, start, stop)
            location = value if key == "location" else location
        elif inner is not None and stop is not None:
            _walk(content, start, stop, inner, files, depth + 1)
        elif kind == "tensor" and number == _EXTERNAL and stop is None:
            external = start == 1
    if location is not None or external:
        files.add(location or "")


def _pair(content: bytes | mmap.mmap, at: int, end: int) -> tuple[str, str]:
    texts = {
        number: content[start:stop].decode("utf-8", errors="replace")
        for number, start, stop in _fields(content, at, end)
        if stop is not None
    }
    return texts.get(1, ""), texts.get(2, "")


def _fields(content: bytes | mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, int | None]]:
    """(number, start, stop) of each field with a length; (number, value, None) of each varint."""
    while at < end:
        tag, at = _varint(content, at, end)
        number, wire = tag >> 3, tag & 7
        if not number:
            raise _MalformedError("field 0")
        if wire == 0:
            value, at = _varint(content, at, end)
            yield number, value, None
            continue
        if wire == 2:
            size, at = _varint(content, at, end)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise _MalformedError(f"wire type {wire}")
        if size > end - at:
            raise _MalformedError("cut short")
        if wire == 2:
            yield number, at, at + size
        at += size


def _varint(content: bytes | mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise _MalformedError("cut short")
