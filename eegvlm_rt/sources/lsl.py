"""One channel of a lab streaming layer (LSL) stream.

The inlet of mne-lsl is used rather than its `StreamLSL`: that one recovers a lost stream without saying so
and overwrites what was not fetched in time; here a lost stream is an event, and so is its return.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from ..errors import SourceAbsentError, SourceError
from .chunk import SourceEventKind
from .live import STALL_S, LiveSource, nothing
from .lsl_connection import LslConnection, lsl_library, microvolts_per_unit

if TYPE_CHECKING:
    from .live import Samples

__all__ = ["LslSource", "microvolts_per_unit"]

LOOK_S: Final = 2.0
OPEN_S: Final = 1.0
"""How long a connection may take that is opened beside another one; meanwhile that one's samples wait."""
DRAIN_S: Final = 1.0
"""How long the old connection may still bring samples after a new one of the same sender has some."""
_SEARCH_S = 0.25
_OTHERS_S = 1.0
_UNSEEN = 2


class LslSource(LiveSource):
    """A stream found by its name, and by its source id where several bear the name.

    Timestamps are LSL's, corrected to this host's LSL clock (`clocksync`), so that they stay comparable when
    the sender comes back on another clock. A stream that comes back must bear the same source id, if it had
    one: another of its name may be another bed's. The unit of the channel is taken from the stream's
    description (its name, or MNE's power of ten of a volt) unless `unit` says it. Up to 360 s wait to be
    fetched.

    Where the sender began anew, or is there and sends nothing, a second connection is opened beside the
    first. The first is kept until it is empty and the second has samples: what either holds is not lost.

    Args:
        stream: name of the stream.
        channel: label; None takes the only channel of type EEG.
        unit: uV, mV, V or nV where the stream does not say.
        timeout_s: how long to search for the stream, and after how many quiet seconds it has stalled.
        source_id: the stream's unique id.

    Raises:
        SourceError: mne-lsl is missing, no such stream or several. ChannelError: unknown or ambiguous
        channel. UnitError: no unit. SamplingRateError: rate not supported.
    """

    def __init__(
        self,
        stream: str,
        channel: str | None = None,
        *,
        unit: str | None = None,
        timeout_s: float = STALL_S,
        source_id: str | None = None,
    ) -> None:
        super().__init__(f"lsl:{stream}", timeout_s)
        self._lsl = lsl_library()
        self._stream, self._source_id, self._unit = stream, source_id, unit
        self._connection: LslConnection | None = None
        self._successor: LslConnection | None = None
        self._successor_at = 0.0
        self._look_at_s, self._unseen, self._away = LOOK_S, 0, False
        streams = self._search(self.timeout_s)
        if streams and self._source_id is None:
            streams = self._search(_OTHERS_S, least=2)
        if not streams:
            others = sorted({info.name for info in self._lsl.resolve_streams(timeout=1.0)})
            listed = ", ".join(repr(name) for name in others) or "none"
            raise SourceAbsentError(
                "lsl stream", stream, f"not found in {self.timeout_s:g} s; streams that are there: {listed}"
            )
        if len(streams) > 1:
            ids = ", ".join(repr(info.source_id) for info in streams)
            raise SourceError(
                "lsl stream", stream, f"{len(streams)} have this name; add ?source_id= with one of: {ids}"
            )
        self._connection = self._open(streams[0], channel, self.timeout_s)
        self._follow(self._connection)
        self._tell(SourceEventKind.CONNECTED)

    @property
    def clock_offset_s(self) -> float | None:
        """Seconds that are added to the sender's clock, as now estimated; None while it is away."""
        try:
            connection = self._connection
            return None if connection is None else float(connection.inlet.time_correction(timeout=1.0))
        except (TimeoutError, RuntimeError):
            return None

    @property
    def is_opening_anew(self) -> bool:
        """Whether a second connection is open, and the first one still kept."""
        return self._successor is not None

    def clock_s(self) -> float:
        """This host's LSL clock."""
        return float(self._lsl.local_clock())

    def _poll(self) -> Samples:
        if self._connection is None and not self._reopen():
            return nothing()
        assert self._connection is not None
        try:
            samples_uv, times_s = self._connection.pull()
        except RuntimeError as error:
            self._leave(str(error))
            return nothing()
        if not len(times_s):
            self._look()
            self._hand_over()
            return nothing()
        self._look_at_s, self._unseen = LOOK_S, 0
        if self._successor is not None and self._successor.uid == self._connection.uid:
            # It goes on after all: what it brings, the other one would bring again.
            self._drop_successor()
        if self._away:
            self._away = False
            self._tell(SourceEventKind.RECONNECTED)
        return samples_uv, times_s

    def _look(self) -> None:
        """See what became of a sender that is quiet: one that is gone does not always close its connection.

        The connection is kept where there is no new sender: after a network's outage it still brings what was
        sent meanwhile.
        """
        if self._quiet_s() < self._look_at_s:
            return
        self._look_at_s = self._quiet_s() + LOOK_S
        uids = {str(info.uid) for info in self._search(_SEARCH_S)}
        self._unseen = 0 if uids else self._unseen + 1
        if uids and self._connection is not None and self._connection.uid not in uids:
            self._open_beside("the sender began anew")
        elif self._unseen == _UNSEEN:
            self._miss("the sender is not to be found" + self._namesakes())

    def _stalled(self) -> None:
        if self._connection is not None and self._unseen == 0 and self._quiet_s() > 2 * self.timeout_s:
            self._open_beside("the sender is there and sends nothing: the stream is opened anew")

    def _open_beside(self, why: str) -> None:
        """Open a second connection; the first is kept, and so is what it holds."""
        self._miss(why)
        streams = self._search(_SEARCH_S)
        if self._successor is not None:
            if len(streams) != 1 or str(streams[0].uid) == self._successor.uid:
                return
            self._drop_successor()
        if len(streams) == 1:
            try:
                self._successor = self._open(streams[0], self.channel, OPEN_S)
            except (RuntimeError, TimeoutError):
                return
            self._successor_at = time.monotonic()

    def _hand_over(self) -> None:
        """Go on with the second connection, where it has samples and the first is empty and stays so."""
        successor = self._successor
        if successor is None or self._connection is None:
            return
        now = time.monotonic()
        if not successor.has_samples:
            self._successor_at = now
        elif now - self._successor_at >= DRAIN_S:
            self._connection.close()
            self._connection, self._successor = successor, None
            self._follow(successor)

    def _namesakes(self) -> str:
        """What is to be said of streams that bear the name and are not the one: they may be another bed's."""
        streams = self._lsl.resolve_streams(timeout=_SEARCH_S, name=self._stream, minimum=1)
        ids = sorted({str(info.source_id) for info in streams} - {self._source_id or ""})
        return f"; of this name there is {', '.join(map(repr, ids))}, for ?source_id=" if ids else ""

    def _leave(self, why: str) -> None:
        """The connection is lost, and nothing more can be had from it."""
        if self._connection is not None:
            self._connection.close()
        self._connection, self._successor = self._successor, None
        self._miss(why)
        if self._connection is not None:
            self._follow(self._connection)

    def _miss(self, why: str) -> None:
        if not self._away:
            self._away = True
            self._tell(SourceEventKind.DISCONNECTED, why)

    def _release(self) -> None:
        self._drop_successor()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _drop_successor(self) -> None:
        if self._successor is not None:
            self._successor.close()
            self._successor = None

    def _reopen(self) -> bool:
        streams = self._search(_SEARCH_S)
        if len(streams) != 1:
            return False
        try:
            self._connection = self._open(streams[0], self.channel, self.timeout_s)
        except (RuntimeError, TimeoutError):
            return False
        self._follow(self._connection)
        self._away = False
        self._tell(SourceEventKind.RECONNECTED)
        return True

    def _follow(self, connection: LslConnection) -> None:
        """Take over what a connection says of the stream; raises SourceError for another rate than before."""
        before = self.sfreq or connection.sfreq
        self.sfreq, self.channel = connection.sfreq, connection.channel
        self._source_id = connection.source_id
        if self.sfreq != before:
            raise SourceError("sfreq", self.sfreq, f"the stream came back at another rate than {before:g} Hz")

    def _search(self, timeout_s: float, least: int = 1) -> list[Any]:
        streams = self._lsl.resolve_streams(
            timeout=timeout_s, name=self._stream, source_id=self._source_id or None, minimum=least
        )
        return sorted(streams, key=lambda info: str(info.source_id))

    def _open(self, info: Any, channel: str | None, timeout_s: float) -> LslConnection:
        return LslConnection.open(info, channel, unit=self._unit, timeout_s=timeout_s)
