"""What befalls the source of a stream: told once, written down, and its end as well."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..sources.chunk import SourceEventKind
from .night import StreamEventKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..errors import SourceStalledError
    from ..sources.chunk import Chunk
    from .notes import Notes

__all__ = ["Hearing"]


class Hearing:
    """Follows a source. A stall is told as it happens; the event of it that comes later is the same one."""

    def __init__(self, notes: Notes, tell: Callable[[StreamEventKind, str], None]) -> None:
        self._notes, self._tell = notes, tell
        self._told = 0
        self._quiet_since: float | None = None

    def stalled(self, stall: SourceStalledError) -> None:
        """The source went quiet."""
        now = time.time()
        self._told += 1
        self._quiet_since = self._quiet_since or now - stall.seconds
        self._tell(StreamEventKind.STALLED, str(stall))
        self._notes.source(str(SourceEventKind.STALLED), now, str(stall))

    def heard(self, chunk: Chunk) -> None:
        """The source handed over a chunk."""
        for event in chunk.events:
            if event.kind is SourceEventKind.STALLED and self._told:
                self._told -= 1
                continue
            self._tell(StreamEventKind.SOURCE, f"{event.kind}: {event.detail}")
            self._notes.source(str(event.kind), event.at_s, event.detail)
        if len(chunk) and self._quiet_since is not None:
            now = time.time()
            told = f"samples again after {now - self._quiet_since:.0f} s"
            self._quiet_since = None
            self._tell(StreamEventKind.SOURCE, f"recovered: {told}")
            self._notes.source("recovered", now, told)
