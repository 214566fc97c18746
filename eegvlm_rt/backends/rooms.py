"""Caches that share one buffer: the beginning of a text is kept once, however many texts go on from it."""

from __future__ import annotations

from threading import RLock
from typing import Generic, Protocol, Self, TypeVar

__all__ = ["SPARES", "TEXT_TOKENS", "Room", "RoomCache", "capacity_for"]


class Content(Protocol):
    """Memory for keys and values."""

    def handed_on(self) -> Self | None:
        """The memory for its next user, in an object of its own where finalizers could free it; None where
        they did."""
        ...


T = TypeVar("T", bound=Content)

SPARES = 3
"""Buffers without a user that are kept for the next text."""

TEXT_TOKENS = 512
"""Tokens of question and answer, beside the visual ones; shipped prompts and reasonings take under 300."""

_ROUND = 128


def capacity_for(tokens: int) -> int:
    """Tokens that a new buffer has room for: in rounds, so that a text that grows keeps its buffer."""
    return (tokens // _ROUND + 2) * _ROUND


class Room(Generic[T]):
    """A buffer for keys and values of `capacity` tokens, and the lengths of the caches that use it."""

    __slots__ = ("_lock", "capacity", "content", "lengths")

    def __init__(self, content: T, capacity: int) -> None:
        self.content, self.capacity = content, capacity
        self.lengths: list[int] = []
        # A cache may be finalized, and call `release`, while this thread is in `claim`.
        self._lock = RLock()

    def claim(self, after: int, total: int) -> bool:
        """Whether places `after` to `total` are free; they are taken if so."""
        with self._lock:
            free = total <= self.capacity and max(self.lengths, default=0) <= after
            if free:
                self.lengths.append(total)
            return free

    def share(self, length: int) -> None:
        """Another cache holds the first `length` tokens of one that has claimed at least as many."""
        with self._lock:
            self.lengths.append(length)

    def release(self, length: int) -> bool:
        """Give back what one cache held; whether nobody uses the buffer any more."""
        with self._lock:
            self.lengths.remove(length)
            return not self.lengths


class RoomCache(Generic[T]):
    """The first `length` tokens of a buffer. What lies behind them may be another cache's."""

    __slots__ = ("_pool", "length", "room")

    def __init__(self, room: Room[T], length: int, pool: list[Room[T]]) -> None:
        self.room, self.length, self._pool = room, length, pool

    def __del__(self) -> None:
        if not self.room.release(self.length) or len(self._pool) >= SPARES:
            return
        content = self.room.content.handed_on()
        if content is not None:
            self._pool.append(Room(content, self.room.capacity))
