"""The rate that timestamps tell, held against the nominal one: wrong units, and devices off their rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import UnitError
from ..signal.tail import Tail
from .packets import packet_starts

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["RateMeter", "check_seconds", "rate_ratio"]

OFF: Final = 0.01
"""Share of the nominal rate from which a device is said to be off it."""
WINDOW_S: Final = 20.0
EVERY_S: Final = 5.0
LEAST: Final = 8
_LEAST_PASSED: Final = 1e-9
_UNITS: Final = (("milliseconds", "1e3"), ("microseconds", "1e6"), ("nanoseconds", "1e9"))


def rate_ratio(stamps: NDArray[np.float64], rate: float) -> tuple[float, float, float]:
    """Rate that the timestamps of consecutive samples tell, as a share of `rate`.

    Packets a quarter of all apart are compared, so neither jitter nor a gap moves the result much.

    Returns:
        The ratio, its error (a standard error from the spread of the pairs), and the median ratio between
        packets that follow each other, which lost packets do not move; NaN for fewer than 8 packets.
    """
    starts = packet_starts(stamps, np.isfinite(stamps), -np.inf, rate)
    if len(starts) < LEAST:
        # A device several times faster than its rate looks like one endless packet.
        starts = np.flatnonzero(np.isfinite(stamps))
    n = len(starts)
    if n < LEAST:
        return float("nan"), float("nan"), float("nan")
    # Far pairs average the jitter out and tell the rate; near ones are not moved by packets that were lost.
    apart = n // 4
    far, near = _ratios(stamps, starts, rate, apart), _ratios(stamps, starts, rate, 1)
    if len(far) < 2 or not len(near):
        return float("nan"), float("nan"), float("nan")
    # A median and the spread between the quartiles: single jumps of the clock count for nothing.
    low, middle, high = np.quantile(far, (0.25, 0.5, 0.75))
    return float(middle), float(high - low) / 1.35 / (n / apart) ** 0.5, float(np.median(near))


def check_seconds(stamps: NDArray[np.float64], rate: float) -> None:
    """Raises UnitError, which names the unit, for timestamps that count milliseconds, microseconds,
    nanoseconds or samples.
    """
    ratio, _, _ = rate_ratio(stamps, rate)
    step = f"{1 / ratio:.4g} for a second of signal" if ratio > 0 else ""
    for unit, factor in _UNITS:
        if 2 / 3 < ratio * float(factor) < 3 / 2:
            cure = f"they count {unit}: give seconds, timestamps / {factor}"
            raise UnitError("timestamps", step, cure)
    # A counter of samples goes up by one each time.
    steps = np.diff(stamps[np.isfinite(stamps)])
    if abs(ratio * rate - 1) < OFF and len(steps) and np.median(np.abs(steps - 1)) < OFF:
        cure = "they count samples: give seconds, timestamps / sfreq, or none at all"
        raise UnitError("timestamps", step, cure)


class RateMeter:
    """Compares the rate of the timestamps with the nominal one, over the latest 20 s, every 5 s.

    Packets that never come make time pass without samples, but leave the distance of those that do come in
    order: then it is no matter of the rate.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._stamps = Tail(dtype=np.float64)
        self._every = round(EVERY_S * rate)
        self._next = 2 * self._every
        self._before = 1.0
        self._last_news = 1.0

    def add(self, stamps: NDArray[np.float64]) -> float | None:
        """Take timestamps. Returns the device's rate in Hz where it has come to be off the nominal one, or
        has come back to it.
        """
        changed: float | None = None
        done = 0
        while done < len(stamps):
            piece = stamps[done : done + max(1, self._next - self._stamps.end)]
            done += len(piece)
            self._stamps.append(piece)
            if self._stamps.end >= self._next:
                self._next += self._every
                self._stamps.forget(self._stamps.end - round(WINDOW_S * self._rate))
                changed = self._measure() or changed
        return changed

    def _measure(self) -> float | None:
        # Off the nominal rate beyond doubt, and for at least half of it between neighbors too: lost packets
        # change the far pairs alone.
        ratio, error, near = rate_ratio(self._stamps.read(self._stamps.start, self._stamps.end), self._rate)
        off = abs(ratio - 1) - 2 * error > OFF and (near - 1) / (ratio - 1) > 0.5
        now = ratio if off else 1.0
        # Twice in a row, so that a clock that is set is not taken for another rate.
        twice = abs(now - self._before) <= OFF
        self._before = now
        if not twice or abs(now - self._last_news) <= OFF:
            return None
        self._last_news = now
        return now * self._rate


def _ratios(
    stamps: NDArray[np.float64], starts: NDArray[np.intp], rate: float, apart: int
) -> NDArray[np.float64]:
    """Samples between packets that are `apart` packets apart, over what their timestamps say."""
    with np.errstate(invalid="ignore", over="ignore"):
        passed = (stamps[starts[apart:]] - stamps[starts[:-apart]]) * rate
        counted = starts[apart:] - starts[:-apart]
        forward = passed > _LEAST_PASSED
        return np.asarray(counted[forward] / passed[forward])
