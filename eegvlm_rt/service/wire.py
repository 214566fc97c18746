"""Messages between the processes of the service: a JSON object and, with it, bytes."""

from __future__ import annotations

import json
import socket
import struct
import threading
from multiprocessing.connection import Connection
from typing import Any, Final

__all__ = ["Wire", "pair"]

MAX_MESSAGE: Final = 16 << 20
_HEAD: Final = struct.Struct("<I")


class Wire:
    """One end of a two-way connection. Sending is safe from several threads.

    Neither end is trusted by the other more than to be a program that may fail: messages are bounded, and are
    JSON, not pickles.
    """

    def __init__(self, descriptor: int) -> None:
        self._connection = Connection(descriptor)
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any], blob: bytes = b"") -> None:
        """Send; blocks while the other end does not read. Raises OSError where it is gone."""
        text = json.dumps(message, separators=(",", ":"), allow_nan=False).encode()
        with self._lock:
            self._connection.send_bytes(_HEAD.pack(len(text)) + text + blob)

    def receive(self, timeout_s: float | None = None) -> tuple[dict[str, Any], bytes] | None:
        """The next message; None where none begins within the time. Raises EOFError or OSError at the end,
        ValueError for what is no message.
        """
        if timeout_s is not None and not self._connection.poll(timeout_s):
            return None
        data = self._connection.recv_bytes(MAX_MESSAGE)
        (size,) = _HEAD.unpack_from(data)
        message = json.loads(data[_HEAD.size : _HEAD.size + size])
        if not isinstance(message, dict):
            raise ValueError("no object")
        return message, data[_HEAD.size + size :]

    def close(self) -> None:
        """Let go; the other end sees the end."""
        self._connection.close()

    def fileno(self) -> int:
        """Descriptor of the connection."""
        return self._connection.fileno()


def pair() -> tuple[Wire, socket.socket]:
    """Two connected ends: one for here, one to be handed to another process."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    return Wire(here.detach()), there
