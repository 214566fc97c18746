"""Samples with the device's timestamps become a signal at its nominal rate, every sample in its place."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ..signal.quality import QualityFlag
from .delay import LONGEST_STALL_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from ..signal.tail import Tail

__all__ = ["LOOK", "OVERLAP_S", "Step", "Timeline"]

EXACT_S: Final = 0.05
SETTLED_S: Final = 1.0
DOUBTFUL_GAP_S: Final = 60.0
OVERLAP_S: Final = 2.0
RESUME_OVERLAP_S: Final = 60.0
WAITING: Final = -0.5
FINEST: Final = 0.25
"""Timestamps so large that a float64 does not tell them apart by this share of a sample are no numbers: those
of a clock in nanoseconds, say.
"""
OFTEN: Final = 20
"""Samples between two that are repeated, below which they are gaps."""
LOOK: Final = 4096
_LOOK_AFTER: Final = 32
_ANCHORS: Final = 4
_CREEPS: Final = 8


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What comes next: some `samples`, or `gap` missing ones; `flag` is for the epoch it begins in or, where
    `places` is given, for those that these samples of it fall into.
    """

    samples: NDArray[np.float32] | None = None
    gap: int = 0
    flag: QualityFlag | None = None
    places: NDArray[np.intp] | None = None


class Timeline:
    """Decides sample by sample, so that the pieces they come in do not matter.

    A sample follows the one before unless its timestamp is off by more than `tolerance_s` from where it is
    expected, or is not later than the last. (With a tolerance above 0.05 s, as for a device that stamps whole
    packets, the order within the tolerance does not count.) Then:

    - late by a step, up to `max_gap_s`: the time between is a gap. Beyond, the device's clock was reset: the
      signal goes on at its place, and the clock is read anew from there.
    - late or early by creeping: a sample is repeated or dropped (drift).
    - early: samples equal to those already held, and others at most 2 s early, are dropped. Otherwise the
      clock went back, and is read anew from there.
    - a clock that comes back to its first reading or one of the last is read as then.
    - where a night goes on and the device's clock began anew meanwhile, as after a power cut: by the host's
      clock (`wall_place`) as far as that is known, else right after what there is.
    - within 1 s of signal after a clock was read anew, a jump of more than 60 s is no gap: a clock that runs
      wild must not fill the night with hours that never were.

    Args:
        rate: nominal rate in Hz.
        raw: the signal placed so far, whose `end` is the next place.
        anchor_s: device time of place 0; None takes the first sample's.
        resumed: whether a signal goes on that was begun before.
    """

    def __init__(
        self,
        rate: float,
        raw: Tail,
        *,
        anchor_s: float | None,
        resumed: bool,
        tolerance_s: float,
        max_gap_s: float,
    ) -> None:
        self._rate = rate
        self._largest_s = FINEST / rate * 2.0**52
        self._raw = raw
        self._exact = tolerance_s <= EXACT_S
        self._tolerance = max(1.5, tolerance_s * rate)
        self._max_gap = max_gap_s * rate
        self._resumed = resumed
        self._waiting = anchor_s is not None
        self._unstamped = 0
        self._doubtful_until = 0
        self._creeps: deque[int] = deque(maxlen=_CREEPS)
        self._first: tuple[float, ...] = ()
        self._old: deque[float] = deque(maxlen=_ANCHORS)
        self.anchor_s = anchor_s
        self.latest = -np.inf
        """The last timestamp that was followed."""
        self.standing = 0.0
        """By how many samples it was later than expected."""
        self.drifted = 0
        """Samples repeated or dropped so far because the device's rate is not quite the nominal one."""
        self.wall_place: int | None = None
        """Where the next sample belongs by the host's clock."""
        self.dropped = 0
        """Samples dropped so far: duplicates, overlaps, drift, and those before lights-off."""

    @property
    def tolerance(self) -> float:
        """Distance in samples that timestamps may be off."""
        return self._tolerance

    def place(self, x: NDArray[np.float32], stamps: NDArray[np.float64] | None) -> Iterable[Step]:
        """Steps for (n,) samples. Each must be carried out before the next is asked for."""
        if not len(x):
            return ()
        if stamps is None:
            stamps = self._without_stamps(len(x))
            if stamps is None:
                return (Step(x),)
        return self._by_stamps(x, stamps)

    def _by_stamps(self, x: NDArray[np.float32], stamps: NDArray[np.float64]) -> Iterator[Step]:
        valid = self.valid(stamps)
        self.begin(stamps, valid)
        # Nearly all samples simply follow: they are taken in long runs. After one that does not, runs are
        # short.
        i, look = 0, LOOK
        while i < len(x):
            count = self.regular(stamps[i : i + look], valid[i : i + look])
            look = min(LOOK, 4 * look) if count else _LOOK_AFTER
            if count:
                yield self.follow(x[i : i + count], valid[i : i + count])
                i += count
            else:
                n_over, step = self.irregular(x[i:], stamps[i:], valid[i:])
                i += n_over
                if step is not None:
                    yield step

    def valid(self, stamps: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which timestamps are numbers that tell one sample from the next."""
        with np.errstate(invalid="ignore", over="ignore"):
            return np.asarray(np.abs(stamps) < self._largest_s)

    def begin(self, stamps: NDArray[np.float64], valid: NDArray[np.bool_]) -> None:
        """Take the device time of place 0 from the first timestamp that is known, if it is not known yet."""
        if self.anchor_s is None and valid.any():
            at = int(np.argmax(valid))
            self.anchor_s = float(stamps[at]) - at / self._rate - self._raw.end / self._rate

    def device_s(self, place: int) -> float:
        """Device time of a place."""
        return (self.anchor_s or 0.0) + place / self._rate

    @property
    def next_s(self) -> float:
        """Device time at which the next sample is expected, as late as the last one was."""
        return self.device_s(self._raw.end) + self.standing / self._rate

    def off(self, stamps: NDArray[np.float64], ahead: NDArray[np.intp]) -> NDArray[np.float64]:
        """By how many samples some are later than expected, if `ahead` samples follow before each of them."""
        with np.errstate(invalid="ignore", over="ignore"):
            return np.asarray((stamps - (self.anchor_s or 0.0)) * self._rate - (self._raw.end + ahead))

    def _without_stamps(self, n: int) -> NDArray[np.float64] | None:
        """Timestamps of a device whose clock counts its samples; None where there is nothing to decide."""
        if self._waiting and not self._resumed:
            first = self._unstamped
            self._unstamped += n
            return (first + np.arange(n)) / self._rate
        self._waiting = False
        if self.anchor_s is None:
            self.anchor_s = -self._unstamped / self._rate
        self.latest = self.device_s(self._raw.end + n - 1)
        return None

    def regular(self, stamps: NDArray[np.float64], valid: NDArray[np.bool_]) -> int:
        """How many of the next samples simply follow."""
        if self.anchor_s is None:
            return len(stamps)
        with np.errstate(invalid="ignore", over="ignore"):
            off = self.off(stamps, np.arange(len(stamps)))
            # With exact clocks, a timestamp that is not later than all before it is a repetition.
            reached = np.maximum.accumulate(np.where(valid, stamps, -np.inf))
            before = np.maximum(self.latest, np.concatenate([[-np.inf], reached[:-1]]))
            early = WAITING if self._waiting else -self._tolerance
            bad = valid & ((off > self._tolerance) | (off < early) | (self._exact & (stamps <= before)))
        count = int(np.argmax(bad)) if bad.any() else len(bad)
        if count:
            self.latest = max(self.latest, float(reached[count - 1]))
            some = np.flatnonzero(valid[:count])
            self.standing = float(off[some[-1]]) if len(some) else self.standing
        return count

    def follow(self, x: NDArray[np.float32], valid: NDArray[np.bool_]) -> Step:
        """Samples in their place, marked where their timestamps are not known."""
        self._waiting = False
        if valid.all():
            return Step(x)
        places = self._raw.end + np.flatnonzero(~valid)
        return Step(x, flag=QualityFlag.CLOCK, places=places)

    def irregular(
        self, x: NDArray[np.float32], stamps: NDArray[np.float64], valid: NDArray[np.bool_]
    ) -> tuple[int, Step | None]:
        """Samples to pass over, and what to do, where the first one does not follow."""
        assert self.anchor_s is not None
        stamp, expected = float(stamps[0]), self._raw.end
        off = (stamp - self.anchor_s) * self._rate - expected
        # A clock that jumped may jump back: former readings are tried first.
        for old in self._former():
            if not self._waiting and abs((stamp - old) * self._rate - expected) <= self._tolerance:
                return self._anchor(old)
        # A device a little off its rate: one sample more or less now and then, and no gap.
        creep = self._creeping(stamp)
        if off > 0:
            if not self._waiting and creep:
                self.latest = stamp - 1 / self._rate
                return 0, self._one_more(expected)
            # Later than expected: a gap. One too long for a night, or right after a jump, is another
            # reading of the clock.
            doubtful = not self._waiting and expected < self._doubtful_until
            if off > (min(self._max_gap, DOUBTFUL_GAP_S * self._rate) if doubtful else self._max_gap):
                return self._anchor(stamp - expected / self._rate)
            gap = max(1, round(off))
            self.latest = -np.inf
            self._doubtful_until += gap
            return 0, Step(gap=gap, flag=QualityFlag.GAP)
        if self._waiting:
            # After a restart the device may begin at zero again: the host's clock says how much time has
            # passed.
            if self._resumed and off < -RESUME_OVERLAP_S * self._rate:
                gap = max(0, (self.wall_place or 0) - expected)
                gap = gap if gap <= self._max_gap else 0
                n_over, step = self._anchor(stamp - (expected + gap) / self._rate)
                return n_over, Step(gap=gap, flag=QualityFlag.CLOCK) if gap else step
            return self._before_lights_off(stamps[:LOOK], valid[:LOOK])
        if creep:
            self.dropped += 1
            self.drifted += 1
            self.latest = stamp
            return 1, Step(flag=QualityFlag.DRIFT)
        return self._early(x[:LOOK], stamps[:LOOK], valid[:LOOK])

    def _one_more(self, expected: int) -> Step:
        """A place for which a slow device has no sample: the last sample again. Where that is needed so often
        that it makes a signal of its own, the place is a gap.
        """
        # One repeated sample in a long while is the drift of a clock; one every few samples is a signal of
        # lower rate, which must not look like a real one.
        self.drifted += 1
        self._creeps.append(expected)
        if len(self._creeps) == _CREEPS and expected - self._creeps[0] < _CREEPS * OFTEN:
            return Step(gap=1, flag=QualityFlag.DRIFT)
        return Step(self._raw.read(expected - 1, expected), flag=QualityFlag.DRIFT)

    def in_doubt(self, value: np.float32, stamp: float) -> bool:
        """Whether the samples that follow have to tell if time has passed where the next one does not follow,
        or only its timestamp is off.
        """
        assert self.anchor_s is not None
        expected = self._raw.end
        ahead = (stamp - self.anchor_s) * self._rate
        # A longer stall than is held, or another clock, is no doubt.
        if self._waiting or self._creeping(stamp):
            return False
        if not -OVERLAP_S * self._rate <= ahead - expected <= LONGEST_STALL_S * self._rate:
            return False
        if any(abs((stamp - old) * self._rate - expected) <= self._tolerance for old in self._former()):
            return False
        return bool(ahead > expected or self._raw.at(np.array([round(ahead)]))[0] != value)

    def _creeping(self, stamp: float) -> bool:
        """Whether a sample comes a sample after the last, so that its clock is only a little off."""
        return stamp > self.latest and abs((stamp - self.latest) * self._rate - 1) < self._tolerance / 2

    def _before_lights_off(
        self, stamps: NDArray[np.float64], valid: NDArray[np.bool_]
    ) -> tuple[int, Step | None]:
        with np.errstate(invalid="ignore", over="ignore"):
            off = (stamps - (self.anchor_s or 0.0)) * self._rate - self._raw.end
        before = valid & (off < WAITING)
        if self._resumed:
            before &= off >= -RESUME_OVERLAP_S * self._rate
        count = max(1, len(before) if before.all() else int(np.argmin(before)))
        self.dropped += count
        return count, None

    def _early(
        self, x: NDArray[np.float32], stamps: NDArray[np.float64], valid: NDArray[np.bool_]
    ) -> tuple[int, Step | None]:
        assert self.anchor_s is not None
        expected = self._raw.end
        with np.errstate(invalid="ignore", over="ignore"):
            ahead = np.where(valid, (stamps - self.anchor_s) * self._rate, np.inf)
            places = np.round(np.clip(ahead, -1e15, 1e15)).astype(np.int64)
            again = self._exact & (stamps <= self.latest)
            early = valid & (ahead <= expected) & ((ahead - expected < -self._tolerance) | again)
        # Equal values at a place that is filled are a packet sent twice; others overlap.
        equal = self._raw.at(places) == x
        keep = early & (equal | (expected - places <= OVERLAP_S * self._rate))
        keep[1:] &= ~self._otherwise(stamps[1:], valid[1:])
        count = int(np.argmin(keep)) if not keep.all() else len(keep)
        if count == 0:
            return self._anchor(float(stamps[0]) - expected / self._rate)
        self.dropped += count
        same = bool(equal[:1].all())
        if (other := equal[:count] != same).any():
            count, self.dropped = int(np.argmax(other)), self.dropped - count + int(np.argmax(other))
        return count, Step(flag=QualityFlag.DUPLICATE if same else QualityFlag.OVERLAP)

    def _otherwise(self, stamps: NDArray[np.float64], valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which samples would be read by a former clock, or as creeping, were they asked about alone."""
        with np.errstate(invalid="ignore", over="ignore"):
            creep = np.abs((stamps - self.latest) * self._rate - 1) < self._tolerance / 2
            others = creep & (stamps > self.latest)
            for old in self._former():
                others |= np.abs((stamps - old) * self._rate - self._raw.end) <= self._tolerance
        return np.asarray(others & valid)

    def _former(self) -> list[float]:
        """The first reading of the clock and the last ones, but for those that are the one in force."""
        now = self.anchor_s or 0.0
        return [old for old in (*self._first, *self._old) if abs(old - now) * self._rate > self._tolerance]

    def _anchor(self, anchor_s: float) -> tuple[int, Step]:
        assert self.anchor_s is not None
        # The reading that was in force is kept: a clock that comes back to it is read as then. For a second
        # of signal long jumps are not believed.
        self._first = self._first or (self.anchor_s,)
        self._old.append(self.anchor_s)
        self._doubtful_until = self._raw.end + round(SETTLED_S * self._rate)
        self.anchor_s, self.latest, self._waiting = anchor_s, -np.inf, False
        return 0, Step(flag=QualityFlag.CLOCK)
