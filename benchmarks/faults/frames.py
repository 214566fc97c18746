"""Chunks between processes: a count, then the samples and their timestamps."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from typing import BinaryIO

    from numpy.typing import NDArray

__all__ = ["HEAD", "packed", "receive", "unpacked"]

HEAD: Final = struct.Struct("<I")
_SAMPLE: Final = 4 + 8


def packed(x: NDArray[np.float32], stamps: NDArray[np.float64]) -> bytes:
    """One chunk as bytes."""
    return HEAD.pack(len(x)) + x.astype("<f4").tobytes() + stamps.astype("<f8").tobytes()


def unpacked(data: bytes) -> tuple[NDArray[np.float32], NDArray[np.float64], bytes] | None:
    """The first chunk of `data` and what follows it; None where it is not whole."""
    if len(data) < HEAD.size:
        return None
    (n,) = HEAD.unpack_from(data)
    middle = HEAD.size + 4 * n
    end = HEAD.size + _SAMPLE * n
    if len(data) < end:
        return None
    x = np.frombuffer(data[HEAD.size : middle], "<f4").astype(np.float32)
    return x, np.frombuffer(data[middle:end], "<f8").astype(np.float64), data[end:]


def receive(stream: BinaryIO) -> tuple[NDArray[np.float32], NDArray[np.float64]] | None:
    """The next chunk of a stream, None at its end."""
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    body = stream.read(_SAMPLE * HEAD.unpack(head)[0])
    packet = unpacked(head + body)
    return None if packet is None else packet[:2]
