"""Writes the night of a stream into its journal: predictions, clocks, and the events of the source."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..journal.frames import RecordKind
from ..sources.chunk import SourceEventKind
from .status import StreamEventKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..errors import SourceStalledError
    from ..journal.writer import Journal
    from ..prediction import StagePrediction
    from ..signal.epochs import GridEpoch
    from ..sources.chunk import Chunk
    from .status import StreamStatus

__all__ = ["NightRecorder", "SourceRecorder"]


class NightRecorder:
    """Records of a night. Without a journal nothing is written.

    What the journal cannot write is counted, and told once as it begins and once as it is over: when the
    record of an epoch is written again. On a full disk smaller records still find room.
    """

    def __init__(
        self, journal: Journal | None, tell: Callable[[StreamEventKind, str], None], *, lost_before: int
    ) -> None:
        self._journal, self._tell = journal, tell
        self._lost_before = lost_before
        self._troubled = False
        self._last_losses = 0
        self._written = True

    @property
    def losses(self) -> int:
        """Records of this night that could not be written, as far as is known."""
        return self._lost_before + (0 if self._journal is None else self._journal.losses)

    def clock(self, facts: dict[str, Any]) -> None:
        """Both clocks, and what is known of them."""
        if self._journal is not None:
            self._journal.append(RecordKind.CLOCK, facts)

    def prediction(self, prediction: StagePrediction, epoch: GridEpoch, last_timestamp_s: float) -> None:
        """A prediction for an epoch of the grid, final or not yet, and the raw samples it is for."""
        if self._journal is not None:
            raw = {
                "samples": epoch.n_samples,
                "samples_sha256": epoch.digest,
                "last_timestamp_s": last_timestamp_s,
            }
            body = {**prediction.to_dict(), **raw, "wall_s": time.time()}
            if prediction.memory is not None:
                body["memory"] = prediction.memory.to_dict()
            before = self._journal.losses
            self._journal.append(RecordKind.STAGE if prediction.provisional else RecordKind.PREDICTION, body)
            self._written = self._journal.losses == before

    def source(self, event: str, at_s: float, detail: str) -> None:
        """What befell the source."""
        if self._journal is not None:
            self._journal.append(RecordKind.SOURCE, {"event": event, "at_s": at_s, "detail": detail})
            self.sync()

    def sync(self) -> None:
        """Bring what was written to the disk."""
        if self._journal is not None:
            self._journal.sync()
            self.watch()

    def shutdown(self, night: StreamStatus) -> None:
        """The night ended in order."""
        if self._journal is not None:
            self._journal.append(RecordKind.SHUTDOWN, {"night": night.to_dict()})
            self.sync()

    def watch(self) -> None:
        """Tell of trouble with the journal, where that is new."""
        if self._journal is None:
            return
        losses, error = self._journal.losses, self._journal.error
        why = error or (self._journal.loss if losses > self._last_losses else None)
        if why is not None and not self._troubled:
            self._tell(StreamEventKind.JOURNAL, f"cannot be written: {why}; scoring goes on")
            self._troubled, self._written = True, False
        elif why is None and self._troubled and self._written:
            self._tell(StreamEventKind.JOURNAL, f"is written again; {losses} records were lost")
            self._troubled = False
        self._last_losses = losses


class SourceRecorder:
    """Follows a source. A stall is told as it happens; the event of it that comes later is the same one."""

    def __init__(self, recorder: NightRecorder, tell: Callable[[StreamEventKind, str], None]) -> None:
        self._recorder, self._tell = recorder, tell
        self._stalls = 0
        self._quiet_since: float | None = None

    def stalled(self, stall: SourceStalledError) -> None:
        """The source went quiet."""
        now = time.time()
        self._stalls += 1
        self._quiet_since = self._quiet_since or now - stall.seconds
        self._tell(StreamEventKind.STALLED, str(stall))
        self._recorder.source(str(SourceEventKind.STALLED), now, str(stall))

    def heard(self, chunk: Chunk) -> None:
        """The source handed over a chunk."""
        for event in chunk.events:
            if event.kind is SourceEventKind.STALLED and self._stalls:
                self._stalls -= 1
                continue
            self._tell(StreamEventKind.SOURCE, f"{event.kind}: {event.detail}")
            self._recorder.source(str(event.kind), event.at_s, event.detail)
        if len(chunk) and self._quiet_since is not None:
            now = time.time()
            detail = f"samples again after {now - self._quiet_since:.0f} s"
            self._quiet_since = None
            self._tell(StreamEventKind.SOURCE, f"recovered: {detail}")
            self._recorder.source("recovered", now, detail)
