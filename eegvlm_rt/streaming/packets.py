"""Timestamps of whole packets, spread evenly over the samples, for devices that stamp so.

Many devices read the clock once a packet: its samples bear one timestamp, or timestamps microseconds apart,
and where the host reads the clock the packets also arrive early and late. Such timestamps are no times of
samples, but their average is: a straight line through them at the nominal rate.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from .delay import LONGEST_STALL_S, STALL_S, Cause, Delay

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PacketSpreader", "packet_starts"]

SAME_PACKET: Final = 0.3
"""A timestamp this share of a sample after the one before, or less, belongs to the same packet."""
WINDOW: Final = 32
"""Distances from the line that are remembered."""
APART_S: Final = 0.25
"""They are this far apart, or a packet where that is longer: so the window is 8 s long at least, and what is
usual in it is not that of a moment.
"""
BATCH: Final = 8
"""The line is drawn anew every so many of them."""
LARGEST_BEND: Final = 0.005
EXACT_BATCHES: Final = 64
EVEN_SPREAD: Final = 0.5
JITTER_S: Final = 0.1
"""What packets at the begin of a stream may be later than the earliest ones without a stall."""
MANY: Final = 4
"""Packets off the line in a row that are jitter; more are a silence and what comes at its end."""
PAST: Final = 8192
_LOOK: Final = 4096


def packet_starts(
    stamps: NDArray[np.float64], valid: NDArray[np.bool_], latest: float, rate: float
) -> NDArray[np.intp]:
    """Positions of the samples that begin a packet, where `latest` is the last timestamp before them."""
    positions = np.flatnonzero(valid)
    values = stamps[positions]
    with np.errstate(invalid="ignore", over="ignore"):
        steps = (values - np.concatenate([[latest], values[:-1]])) * rate
        return np.asarray(positions[np.abs(steps) > SAME_PACKET])


class PacketSpreader:
    """Gives every sample a time on a line through the timestamps of the packets' first samples.

    The samples of a packet follow each other at the nominal rate. Only its first one is held against the
    line. Where it is off by more than packets usually are, those after it decide: if one of them is near the
    line, this one was only late (or early) on its way; if all of them are off, samples are missing (or came
    twice), and the line is moved. So a packet that is off waits for some that follow; all others are given
    back at once.

    Everything is decided by the order of the samples, not by the pieces in which they come.

    Args:
        rate: nominal rate in Hz.
        tolerance: distance from the line, in samples, that is always usual.
        line_s: time of the next sample.
        latest: last timestamp before it.
    """

    def __init__(self, rate: float, tolerance: float, line_s: float, latest: float = -np.inf) -> None:
        self._rate, self._tolerance = rate, tolerance
        self._line_s, self._line_at = line_s, 0
        self._period_s = 1.0 / rate
        self._index = 0
        self.latest = latest
        self._late = self._early = tolerance
        self._window: deque[tuple[int, float]] = deque(maxlen=WINDOW)
        self._fresh = 0
        self._even_batches = 0
        self._past: dict[float, float] = {}
        self._jitter = 0.0
        self._delay: Delay | None = None
        self._packets = 0
        self.stalls_s: list[float] = []
        """Stalls of the sender whose samples all came after them, in seconds; to be emptied by who tells of
        them.
        """
        self._counts: deque[tuple[int, int]] = deque([(0, 0)], maxlen=WINDOW // BATCH + 1)

    @classmethod
    def through(
        cls, stamps: NDArray[np.float64], valid: NDArray[np.bool_], rate: float, tolerance: float
    ) -> PacketSpreader:
        """A line through the packets of some first samples; those are still to be given to it."""
        starts = packet_starts(stamps, valid, -np.inf, rate)
        # The first packet may be a part of one, and then its timestamp is not where those of whole ones are.
        starts = starts[1:] if len(starts) > 3 else starts
        times = stamps[starts] - starts / rate
        # A sender may stall, but no packet comes before its samples are taken: the line goes through those
        # that came without a stall.
        times = times[times <= np.quantile(times, 0.1) + JITTER_S]
        spreader = cls(rate, tolerance, float(np.median(times)))
        low, middle, high = np.quantile((times - times[0]) * rate, (0.1, 0.5, 0.9))
        spreader._usual(float(low - middle), float(high - middle))
        return spreader

    @property
    def packet_samples(self) -> float:
        """Samples of a packet, on average over the latest ones; 1 before there are some."""
        index, packets = self._counts[0]
        return (self._index - index) / max(1, self._packets - packets)

    @property
    def jitter_s(self) -> float:
        """How far apart the latest packets are from the line: 80 % of them lie within so many seconds."""
        return self._jitter / self._rate

    @property
    def settled(self) -> bool:
        """Whether enough packets have come to say how they are stamped."""
        return len(self._counts) > 2

    @property
    def even(self) -> bool:
        """Whether every sample has had a timestamp of its own, in its place, for a while."""
        return self._even_batches >= EXACT_BATCHES

    def times(
        self, stamps: NDArray[np.float64], valid: NDArray[np.bool_], *, last: bool
    ) -> NDArray[np.float64]:
        """Times of the first of some samples; the others wait for those that follow, and are to be given
        again. With `last` none follow.
        """
        pieces: list[NDArray[np.float64]] = []
        done = 0
        while done < len(stamps) and not self.even:
            some = slice(done, done + _LOOK)
            count, times = self._near(stamps[some], valid[some])
            if not count:
                count, times = self._off(stamps[done:], valid[done:], last)
                if not count:
                    break
            pieces.append(times)
            done += count
        return np.concatenate(pieces) if pieces else np.empty(0)

    def _near(self, stamps: NDArray[np.float64], valid: NDArray[np.bool_]) -> tuple[int, NDArray[np.float64]]:
        """Samples up to the first packet that is off, or up to the end of a batch."""
        starts = packet_starts(stamps, valid, self.latest, self._rate)
        # Only the first sample of a packet is held against the line; most packets are near it.
        offs = self._offs(stamps, starts)
        outside = (offs > self._late) | (offs < -self._early)
        usual = int(np.argmax(outside)) if outside.any() else len(starts)
        count = int(starts[usual]) if usual < len(starts) else len(stamps)
        return self._take(stamps, valid, count, starts[:usual], offs[:usual])

    def _off(
        self, stamps: NDArray[np.float64], valid: NDArray[np.bool_], last: bool
    ) -> tuple[int, NDArray[np.float64]]:
        """Samples from a packet that is off, once the packets after it have decided what it was."""
        # Is this packet late or early on its way, or are samples missing or repeated from here on? One packet
        # does not tell.
        late = bool(self._offs(stamps, np.zeros(1, dtype=np.intp))[0] > 0)
        # A packet with a timestamp that was there before is that packet again.
        before = None if late else self._past.get(float(stamps[0]))
        if before is not None:
            return self._take_moved(stamps, valid, before)

        # The packets that come after it decide, and as few of them as it takes.
        longest = max(round(LONGEST_STALL_S * self._rate), _LOOK)
        n = min(len(stamps), longest)
        starts = packet_starts(stamps[:n], valid[:n], self.latest, self._rate)
        offs = self._offs(stamps, starts)
        delay = self._delay = self._delay or self._new_delay(late)
        cause = delay.look(offs, stamps[starts], starts, n)
        is_open = cause is None and len(stamps) < longest
        if is_open and not last:
            return 0, np.empty(0)
        self._delay = None
        ahead = offs[: delay.count]
        if cause is Cause.ON_ITS_WAY:
            if ahead[0] >= STALL_S * self._rate:
                self.stalls_s.append(float(ahead[0]) / self._rate)
            # The packets up to the one that is near the line follow each other. A stall and all that comes
            # at its end say nothing of what is usual.
            first = delay.count - 1
            usual = first <= MANY and np.abs(ahead[:first]).max() < 2 * STALL_S * self._rate
            usual_starts = starts[: first if usual else 0]
            return self._take(stamps, valid, int(starts[first]), usual_starts, ahead[: len(usual_starts)])
        if is_open and self._ends_on_its_way(stamps, valid, ahead):
            return self._take(stamps, valid, len(stamps), starts[:0], ahead[:0])
        # All are off. The ones nearest to the line tell by how much: the others were late on top of that.
        nearest = ahead.min() if late else ahead.max()
        apart = 2 * max(self._late, self._early)
        shift = float(np.median(ahead[np.abs(ahead - nearest) <= apart]))
        return self._take_moved(stamps, valid, float(self._expected(self._index)) + shift / self._rate)

    def _take_moved(
        self, stamps: NDArray[np.float64], valid: NDArray[np.bool_], line_s: float
    ) -> tuple[int, NDArray[np.float64]]:
        """One packet, from whose first sample the line goes on at another time."""
        self._line_s, self._line_at = line_s, self._index
        starts = packet_starts(stamps[:_LOOK], valid[:_LOOK], self.latest, self._rate)
        count = int(starts[1]) if len(starts) > 1 else min(len(stamps), _LOOK)
        return self._take(stamps, valid, count, starts[:1], self._offs(stamps, starts[:1]))

    def _ends_on_its_way(
        self, stamps: NDArray[np.float64], valid: NDArray[np.bool_], ahead: NDArray[np.float64]
    ) -> bool:
        """Whether the samples that a night ends with are all there, as far as they tell."""
        # The last packet of a night may be a part of one, and a night may end within the burst after a stall.
        if np.abs(ahead).max() <= self.packet_samples + max(self._late, self._early):
            return True
        caught_up = ahead[0] - self._offs(stamps, np.flatnonzero(valid)[-1:])[0]
        return bool(ahead[0] > 0 and caught_up > self.packet_samples + STALL_S * self._rate)

    def _new_delay(self, late: bool) -> Delay:
        packets, span_s = (8, 2.0) if self._jitter > 1.0 else (2, 0.5)
        near, spread = self._late if late else self._early, 2 * (self._late + self._early)
        return Delay(self._rate, near, spread, packets, span_s, self.packet_samples)

    def _take(
        self,
        stamps: NDArray[np.float64],
        valid: NDArray[np.bool_],
        count: int,
        starts: NDArray[np.intp],
        offs: NDArray[np.float64],
    ) -> tuple[int, NDArray[np.float64]]:
        """The first `count` samples, up to the end of a batch."""
        # A batch of packets ends where the line is drawn anew, wherever the piece of samples ends: so the
        # result does not depend on the pieces.
        apart = self._apart(starts)
        room = BATCH - self._fresh
        if len(apart) >= room:
            count = int(starts[apart[room - 1]]) + 1
            starts, offs, apart = starts[starts < count], offs[: int(apart[room - 1]) + 1], apart[:room]
        times = self._expected(self._index + np.arange(count))
        self._window.extend((self._index + int(starts[i]), float(offs[i])) for i in apart)
        self._remember(stamps[starts].tolist(), times[starts].tolist())
        # Counted after the times were given, which belong to the line as it was.
        values = stamps[:count][valid[:count]]
        if len(values):
            self.latest = float(values[-1])
        self._index += count
        self._packets += len(starts)
        self._fresh += len(apart)
        if self._fresh >= BATCH:
            self._draw_line()
        return count, times

    def _apart(self, starts: NDArray[np.intp]) -> list[int]:
        """Which of some packets are far enough apart to be remembered."""
        apart = round(APART_S * self._rate)
        # Packets close together are one event of the sender and would count many times.
        before = self._window[-1][0] - self._index if self._window else -apart
        places: list[int] = []
        i = int(np.searchsorted(starts, before + apart))
        while i < len(starts):
            places.append(i)
            i = int(np.searchsorted(starts, int(starts[i]) + apart))
        return places

    def _draw_line(self) -> None:
        """What is usual, and the line that brings the packets back to it."""
        self._fresh = 0
        self._counts.append((self._index, self._packets))
        # What is usual comes from the latest packets alone: a sender changes its habits in the night.
        offs = np.asarray([off for _, off in self._window])
        low, middle, high = np.quantile(offs, (0.1, 0.5, 0.9))
        self._usual(float(low), float(high))
        # Packets that are all a little late, or early, show the device's true rate. The line bends towards
        # them so slowly that the jitter of single packets does not move it.
        bend = 0.0
        if abs(middle) > max(0.5, (high - low) / 3):
            bend = float(middle) / (2 * (self._window[-1][0] - self._window[0][0]))
            bend = min(LARGEST_BEND, max(-LARGEST_BEND, bend))
        self._line_s, self._line_at = float(self._expected(self._index)), self._index
        self._period_s = (1.0 + bend) / self._rate
        # A device that stamps every sample in its place needs no line: its own timestamps are better.
        alone = self.packet_samples == 1.0 and high - low <= EVEN_SPREAD
        close = alone and abs(middle) <= self._tolerance / 2
        self._even_batches = self._even_batches + 1 if close else 0

    def _usual(self, low: float, high: float) -> None:
        """What 80 % of the packets keep to is not looked at further."""
        self._late, self._early = max(self._tolerance, high), max(self._tolerance, -low)
        self._jitter = high - low

    def _remember(self, stamps: list[float], times: list[float]) -> None:
        """Times that were given to packets; the latest of them are kept, in order."""
        for stamp, time in zip(stamps, times, strict=True):
            self._past.pop(stamp, None)
            self._past[stamp] = time
        for stamp in list(islice(self._past, max(0, len(self._past) - PAST))):
            del self._past[stamp]

    def _offs(self, stamps: NDArray[np.float64], starts: NDArray[np.intp]) -> NDArray[np.float64]:
        """Samples by which packets are later than the line."""
        with np.errstate(over="ignore"):
            return np.asarray((stamps[starts] - self._expected(self._index + starts)) * self._rate)

    def _expected(self, index: NDArray[np.intp] | int) -> NDArray[np.float64]:
        return np.asarray(self._line_s + (index - self._line_at) * self._period_s)
