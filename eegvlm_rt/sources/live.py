"""What live sources have in common: they are asked again and again, and never fall silent without a word."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

import numpy as np

from ..errors import InputError, SourceError, SourceStalledError
from ..signal.units import is_real
from .chunk import QUIET_S, Chunk, SourceEvent, SourceEventKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["STALL_S", "LiveSource", "Samples", "nothing"]

STALL_S = 10.0
POLL_S = 0.05

Samples = tuple["NDArray[np.float64]", "NDArray[np.float64]"]


class LiveSource(ABC):
    """Asks a device for samples; `timeout_s` without one is a stall, then twice as long, and so on.

    A stall, a lost connection and its return are each told twice: by SourceStalledError or a chunk without
    samples as they happen, and as an event of the next chunk that is handed over.
    """

    def __init__(self, name: str, timeout_s: float) -> None:
        if not is_real(timeout_s) or not 0 < timeout_s <= 3600:
            raise InputError("timeout_s", timeout_s, "give seconds above 0, at most 3600")
        self.name = name
        self.timeout_s = float(timeout_s)
        self.sfreq = 0.0
        self.channel = ""
        self._events: list[SourceEvent] = []
        self._closed = self._stopped = False
        self._quiet_since: float | None = None
        self._patience_s = self.timeout_s

    @abstractmethod
    def _poll(self) -> Samples:
        """What came since the last call, (n,) µV and (n,) s; n may be 0."""

    @abstractmethod
    def clock_s(self) -> float:
        """The clock of the timestamps, now."""

    @abstractmethod
    def _release(self) -> None:
        """Let go of the device."""

    def chunks(self) -> Iterator[Chunk]:
        """Chunks as they come. Raises SourceStalledError after `timeout_s` without a sample, and goes on with
        the same source when it is called again.
        """
        if self._closed:
            raise SourceError("source", self.name, "it is closed; open it again")
        notice_s = time.monotonic()
        while not (self._closed or self._stopped):
            samples_uv, times_s = self._poll()
            if len(samples_uv) or self._events:
                events, self._events = tuple(self._events), []
                yield Chunk(samples_uv, times_s, time.time(), events)
                notice_s = time.monotonic()
                if len(samples_uv):
                    self._quiet_since, self._patience_s = None, self.timeout_s
                    continue
            quiet_s = self._quiet_s()
            if quiet_s >= self._patience_s:
                self._patience_s = 2 * quiet_s
                self._tell(SourceEventKind.STALLED, f"nothing for {quiet_s:.1f} s")
                self._stalled()
                raise SourceStalledError(
                    "source",
                    self.name,
                    f"nothing came for {quiet_s:.1f} s; check the device, the stream goes on when it is back",
                    seconds=quiet_s,
                )
            if time.monotonic() - notice_s >= QUIET_S:
                yield Chunk(*nothing(), time.time())
                notice_s = time.monotonic()
            time.sleep(POLL_S)

    def _quiet_s(self) -> float:
        """Seconds since the last sample, or since the first time it was asked."""
        now = time.monotonic()
        if self._quiet_since is None:
            self._quiet_since = now
        return now - self._quiet_since

    def _stalled(self) -> None:  # noqa: B027
        """What else is done at a stall."""

    def stop(self) -> None:
        """Let `chunks` end at its next step; safe in a signal handler and from other threads."""
        self._stopped = True

    def close(self) -> None:
        """Let go of the device; again does nothing."""
        if not self._closed:
            self._closed = True
            self._release()

    def _tell(self, kind: SourceEventKind, detail: str = "") -> None:
        self._events.append(SourceEvent(kind, time.time(), detail or self.name))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def nothing() -> Samples:
    """No samples."""
    return np.empty(0), np.empty(0)
