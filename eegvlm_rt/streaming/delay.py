"""What became of samples that are off the line of their timestamps: held up on their way, or missing."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["LONGEST_STALL_S", "STALL_S", "Cause", "Delay"]

STEP_S: Final = 0.1
STALL_S: Final = 0.25
"""A sender that is silent for longer has stalled; shorter delays are jitter."""
LONGEST_STALL_S: Final = 60.0
"""So much signal is held while it is open what became of a stall."""
SILENCE_S: Final = 10.0
"""Samples of one packet, beyond those that fit in the delay, after which the next one is not waited for."""
PATIENCE_S: Final = 10.0
"""Time without coming closer to the line, after which samples are missing however unevenly they come. Of a
silence, one second counts.
"""


class Cause(Enum):
    """ON_ITS_WAY: all samples are there, their timestamps alone were off. MISSING: samples are missing, or
    came twice.
    """

    ON_ITS_WAY = auto()
    MISSING = auto()


class Delay:
    """Looks at the packets from one that is off the line, in their order, until they tell what happened.

    A sender that stalled sends all that it holds once it goes on: its packets come closer to each other than
    their samples were taken, perhaps with further stalls between, until one of them is near the line again.
    Samples that are lost stay lost: the device goes on as it always sends, and all its packets are off. So

    - a packet near the line: nothing is missing.
    - packets that come as they always do for a while, and none of them closer to the line than the one
      before: samples are missing.
    - neither, as in a burst that stalls again: the packets after it are looked at, until they have not come
      closer to the line for 10 s.

    Args:
        rate: nominal rate in Hz.
        near: distance from the line, in samples, that is usual.
        spread: what packets, in samples, come closer to the line by jitter alone.
        packets: how many packets after the first must not come closer, and for how long (`span_s`).
        size: samples of a packet as the device usually sends them; larger ones are those of a burst.
    """

    def __init__(
        self, rate: float, near: float, spread: float, packets: int, span_s: float, size: float
    ) -> None:
        self._near, self._spread, self._packets, self._span_s = near, spread, packets, span_s
        # What counts of the time between two packets: of a silence, next to nothing.
        self._size, self._step_s = size, max(STEP_S, 2 * size / rate)
        self._silence = max(round(SILENCE_S * rate), 1024)
        self.count = 0
        """Packets that were looked at; the last of them decided."""
        self._first, self._least = 0.0, float("inf")
        self._stall = STALL_S * rate
        self._before, self._farthest = 0.0, 0.0
        self._steady, self._steady_s = 0, 0.0
        self._closest, self._waited_s = float("inf"), 0.0
        self._before_s = 0.0

    @property
    def caught_up(self) -> bool:
        """Whether packets came closer to the line than the first one, as those of a burst do."""
        return self._first - self._least > self._spread

    def look(
        self, offs: NDArray[np.float64], stamps: NDArray[np.float64], starts: NDArray[np.intp], n: int
    ) -> Cause | None:
        """Look at packets by their distances from the line in samples (positive where late), their timestamps
        and the places of their first samples among `n`; those before `count` are known already.

        Returns the cause, or None where packets that are to come decide.
        """
        if not len(offs):
            return None
        # One packet off the line says nothing yet: a sender that held its samples back looks, at this moment,
        # like one that lost them. What the next packets do tells them apart.
        late = offs[0] > 0
        for off, stamp in zip(offs[self.count :].tolist(), stamps[self.count :].tolist(), strict=True):
            # The packet before is whole now: one that held many more samples than were late was of a
            # clock that stands still.
            if self.count:
                size = int(starts[self.count] - starts[self.count - 1])
                if self._stands(size, offs[self.count - 1]):
                    return Cause.MISSING
                if size > 1.5 * self._size + 1:
                    self._steady = 0
            self.count += 1
            # Late and early are the same question seen from two sides: how far is it to the line?
            distance = off if late else -off
            self._first = self._first or distance
            self._least = min(self._least, distance)
            if distance <= self._near:
                return Cause.ON_ITS_WAY
            passed_s, self._before_s = abs(stamp - self._before_s), stamp
            if self._is_steady(distance, passed_s) or self._has_waited(distance, passed_s):
                return Cause.MISSING
        return Cause.MISSING if self._stands(n - starts[-1], offs[-1]) else None

    def _is_steady(self, distance: float, passed_s: float) -> bool:
        # A stall begins anew, and so do packets that come closer.
        stalls = distance - self._before > self._stall
        self._before, self._farthest = distance, max(self._farthest, distance)
        if not self._steady or stalls or self._farthest - distance > self._spread:
            self._farthest, self._steady, self._steady_s = distance, 1, 0.0
            return False
        self._steady += 1
        self._steady_s += min(self._step_s, passed_s)
        return self._steady > self._packets and self._steady_s >= self._span_s

    def _has_waited(self, distance: float, passed_s: float) -> bool:
        # A burst that stalls again and again is neither steady nor near the line. It must at least come
        # closer; where it has not for a while, the samples are not coming.
        self._waited_s += min(1.0, passed_s)
        if distance < self._closest - self._near:
            self._closest, self._waited_s = distance, 0.0
        return self._waited_s >= PATIENCE_S

    def _stands(self, samples: int, off: float) -> bool:
        # A clock that stands still stamps all samples alike: one endless packet, with more samples than there
        # was time for.
        return samples - max(0.0, off) > self._silence
