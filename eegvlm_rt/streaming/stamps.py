"""How a device stamps: exact timestamps place their samples, those of packets are spread first."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import UnitError
from ..signal.units import EPOCH_S
from .delay import LONGEST_STALL_S, STALL_S, Cause, Delay
from .packets import PacketSpreader, packet_starts
from .stamp_rate import RateMeter, check_seconds
from .status import StreamEventKind
from .timeline import LOOK, Step, Timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

__all__ = ["StampReader"]

EVEN: Final = 16
"""Samples that follow each other exactly, after which a stream begins."""
BEGIN_S: Final = 2.0
BEGIN_LONGEST_S: Final = 10.0
PACKETS: Final = 4
"""Packets that are looked at before a stream of packets begins."""
SHARED: Final = 0.1
"""Share of samples without a timestamp of their own from which a device is one that stamps packets."""
DOUBT_S: Final = 1.0


class _How(Enum):
    BEGINNING = auto()
    EXACT = auto()
    PACKETS = auto()


class StampReader:
    """Reads timestamps sample by sample and lets a `Timeline` place the samples.

    A stream begins once its first samples have told how its device stamps: 16 samples that follow each other
    exactly, else 2 s of signal and four packets. From then on exact timestamps place their samples as they
    are. Where one does not follow, those after it decide: if the timestamps come back to where they are
    expected, or at least closer, as those of a burst after a stall do, only the timestamps were off, and they
    are spread from then on; if they do not, samples are missing or came twice, and the timeline's rules hold.

    Args:
        timeline: places the samples.
        rate: nominal rate in Hz.
        on_event: takes what is worth knowing of the timestamps, in words.
    """

    def __init__(
        self, timeline: Timeline, rate: float, on_event: Callable[[StreamEventKind, str], None]
    ) -> None:
        self._timeline, self._rate, self._on_event = timeline, rate, on_event
        self._how = _How.BEGINNING
        self._spreader: PacketSpreader | None = None
        self._meter = RateMeter(rate)
        self._x = np.empty(0, dtype=np.float32)
        self._stamps = np.empty(0)
        self._decided = self._began = False
        self._delay: Delay | None = None
        self._spread_said = False
        self._stalls_s: list[float] = []
        self._stall_said_s = -np.inf
        self._wrong: UnitError | None = None
        self.waiting = 0
        """Samples that wait for those that follow to be placed."""

    def place(self, x: NDArray[np.float32], stamps: NDArray[np.float64] | None) -> Iterable[Step]:
        """Steps for (n,) samples. Each must be carried out before the next is asked for.

        Raises UnitError where the timestamps are not seconds.
        """
        if self._wrong is not None:
            raise self._wrong
        # A device that stamps nothing leaves nothing to decide: the samples follow each other.
        if not len(x) or (stamps is None and not self.waiting):
            return self._timeline.place(x, None)
        return self._after_others(x) if stamps is None else self._by_stamps(x, stamps)

    def _after_others(self, x: NDArray[np.float32]) -> Iterator[Step]:
        yield from self.finish()
        yield from self._timeline.place(x, None)

    def _by_stamps(self, x: NDArray[np.float32], stamps: NDArray[np.float64]) -> Iterator[Step]:
        # Where one sample of a packet has a timestamp, the others often have the zeros of a new array.
        zeros = stamps == 0.0
        zeros[0] &= self._began
        self._began = True
        stamps = np.where(zeros, np.nan, stamps)
        self._x, self._stamps = np.concatenate([self._x, x]), np.concatenate([self._stamps, stamps])
        self.waiting = len(self._x)
        self._watch_rate(stamps)
        yield from self._work(last=False)

    def finish(self) -> Iterator[Step]:
        """Steps for the samples that wait; nothing follows that could tell more."""
        yield from self._work(last=True)

    def _work(self, *, last: bool) -> Iterator[Step]:
        while self.waiting:
            how, before = self._how, self.waiting
            if how is _How.BEGINNING:
                self._begin(last)
            elif how is _How.EXACT:
                yield from self._exact(last)
            else:
                yield from self._packets(last)
            if self._how is how and self.waiting == before:
                return

    def _begin(self, last: bool) -> None:
        """See how the device stamps, if there is enough to see it from."""
        stamps, n = self._stamps, self.waiting
        valid = self._timeline.valid(stamps)
        finite = np.isfinite(stamps)
        if (n >= EVEN or last) and (not finite[:EVEN].any() or self._follow_exactly(stamps, valid)):
            self._how = _How.EXACT
            return
        # As many samples as decide, whatever more are there.
        starts = packet_starts(stamps, finite, -np.inf, self._rate)
        longest = max(round(BEGIN_LONGEST_S * self._rate), 1024)
        fourth = int(starts[PACKETS - 1]) + 1 if len(starts) >= PACKETS else longest
        enough = min(longest, max(round(BEGIN_S * self._rate), fourth))
        if n < enough and not last:
            return
        # Where a stall is among them, more of them tell how the device stamps without one; another unit looks
        # like a stall, and is not waited for.
        early = starts[starts < enough]
        if n >= enough and _range_s(stamps[early] - early / self._rate) > STALL_S:
            self._check_unit(stamps[:enough])
            enough = longest
            if n < enough and not last:
                return
        stamps, valid, finite, starts = (
            stamps[:enough],
            valid[:enough],
            finite[:enough],
            starts[starts < enough],
        )
        self._check_unit(stamps)
        if valid.any() and 1 - len(starts) / finite.sum() >= SHARED:
            self._how = _How.PACKETS
            self._spreader = PacketSpreader.through(stamps, valid, self._rate, self._timeline.tolerance)
        else:
            self._how = _How.EXACT

    def _check_unit(self, stamps: NDArray[np.float64]) -> None:
        """Raises UnitError for timestamps that are no seconds; nothing of the stream is used then."""
        try:
            check_seconds(stamps, self._rate)
        except UnitError as error:
            self._wrong = error
            self._drop(self.waiting)
            raise

    def _follow_exactly(self, stamps: NDArray[np.float64], valid: NDArray[np.bool_]) -> bool:
        """Whether the first samples follow each other, each a sample later than the one before."""
        places = np.flatnonzero(valid[:EVEN])
        # One timestamp, as of a packet whose others are missing, says nothing of unit or rate.
        if len(places) < 2:
            return False
        off = (stamps[places] - stamps[places[0]]) * self._rate - (places - places[0])
        rises = np.diff(stamps[places]) > 0
        return bool(rises.all() and (np.abs(off) <= self._timeline.tolerance).all())

    def _exact(self, last: bool) -> Iterator[Step]:
        timeline = self._timeline
        valid = timeline.valid(self._stamps)
        timeline.begin(self._stamps, valid)
        while self.waiting:
            x, stamps = self._x, self._stamps
            if count := timeline.regular(stamps[:LOOK], valid[:LOOK]):
                self._decided = False
                self._drop(count)
                yield timeline.follow(x[:count], valid[:count])
                valid = valid[count:]
                continue
            if not self._decided and timeline.in_doubt(x[0], float(stamps[0])):
                comes_back = self._comes_back(stamps, valid, last)
                if comes_back is None:
                    return
                if comes_back:
                    self._spread()
                    return
                self._decided = True
            count_over, step = timeline.irregular(x, stamps, valid)
            self._drop(count_over)
            valid = valid[count_over:]
            if step is not None:
                yield step

    def _comes_back(self, stamps: NDArray[np.float64], valid: NDArray[np.bool_], last: bool) -> bool | None:
        """Whether the timestamps after one that does not follow come back to where they are expected as if
        every sample were there, or at least closer; None where that is not known yet.
        """
        timeline, late = self._timeline, stamps[0] > self._timeline.next_s
        longest = max(round((LONGEST_STALL_S if late else DOUBT_S) * self._rate), 512)
        n = min(len(stamps), longest)
        starts = packet_starts(stamps[:n], valid[:n], timeline.latest, self._rate)
        later = starts[stamps[starts] > timeline.latest]
        off = timeline.off(stamps[later], later)
        near = max(0.75, timeline.tolerance / 2)
        if not late:
            # The clock may have been set back, and samples may come again: a second of signal decides.
            if (np.abs(off[later > 0] - timeline.standing) <= near).any():
                return True
            return False if last or len(stamps) >= longest else None
        near = max(timeline.tolerance, timeline.standing + near)
        self._delay = self._delay or Delay(self._rate, near, 4 * timeline.tolerance, 2, 0.5, 1.0)
        cause = self._delay.look(off, stamps[later], later, n)
        if cause is None and not last and len(stamps) < longest:
            return None
        # What a stall lost of its samples is told by those that came in the burst: they are spread too.
        caught_up, self._delay = self._delay.caught_up, None
        return cause is Cause.ON_ITS_WAY or caught_up

    def _spread(self) -> None:
        """Read timestamps as those of packets from the next sample on."""
        timeline = self._timeline
        self._how = _How.PACKETS
        self._spreader = PacketSpreader(
            self._rate, timeline.tolerance, timeline.next_s, latest=timeline.latest
        )

    def _packets(self, last: bool) -> Iterator[Step]:
        assert self._spreader is not None
        valid = self._timeline.valid(self._stamps)
        times = self._spreader.times(self._stamps, valid, last=last)
        n = len(times)
        times[~valid[:n]] = np.nan
        x = self._x[:n]
        self._drop(n)
        yield from self._timeline.place(x, times)
        self._say_spread()
        self._say_stalls()
        if self._spreader.even:
            self._timeline.latest = self._spreader.latest
            self._how, self._spreader = _How.EXACT, None

    def _say_spread(self) -> None:
        spreader = self._spreader
        assert spreader is not None
        if self._spread_said or not spreader.settled:
            return
        self._spread_said = True
        size, jitter_ms = spreader.packet_samples, 1e3 * spreader.jitter_s
        what = f"the device stamps packets of {size:.0f} samples" if size >= 1.5 else "timestamps jitter"
        by = f", which come up to {jitter_ms:.0f} ms apart from each other" if jitter_ms >= 1 else ""
        self._on_event(
            StreamEventKind.STAMPS, f"{what}{by}: the samples are spread at the nominal {self._rate:g} Hz"
        )

    def _say_stalls(self) -> None:
        """Tell of stalls that cost no sample: of the first at once, of others at most once in 30 s."""
        assert self._spreader is not None
        self._stalls_s += self._spreader.stalls_s
        self._spreader.stalls_s.clear()
        place = self._timeline.next_s
        if not self._stalls_s or abs(place - self._stall_said_s) < EPOCH_S:
            return
        self._stall_said_s = place
        count, longest_s = len(self._stalls_s), max(self._stalls_s)
        times = (
            f"the sender stalled for {longest_s:.1f} s"
            if count == 1
            else (f"the sender stalled {count} times, for up to {longest_s:.1f} s")
        )
        self._stalls_s.clear()
        self._on_event(
            StreamEventKind.STAMPS,
            f"{times}, and sent the samples afterwards: none is missing, they are spread at the nominal "
            f"{self._rate:g} Hz",
        )

    def _watch_rate(self, stamps: NDArray[np.float64]) -> None:
        rate = self._meter.add(stamps)
        if rate == self._rate:
            self._on_event(StreamEventKind.RATE, f"the timestamps are those of the nominal {rate:g} Hz again")
        elif rate is not None:
            off = 100 * (rate / self._rate - 1)
            self._on_event(
                StreamEventKind.RATE,
                f"the timestamps say {rate:.4g} Hz, the nominal rate is {self._rate:g} Hz ({off:+.1f} %): "
                "check the rate that the device was set to",
            )

    def _drop(self, n: int) -> None:
        self._x, self._stamps = self._x[n:], self._stamps[n:]
        self.waiting = len(self._x)


def _range_s(times: NDArray[np.float64]) -> float:
    """How far apart 80 % of some times are."""
    low, high = np.quantile(times, (0.1, 0.9)) if len(times) else (0.0, 0.0)
    return float(high - low)
