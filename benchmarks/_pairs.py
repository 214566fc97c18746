"""Times of several functions of one process, taken in turn, so that whatever else the machine does slows all
of them alike.

Each call is timed by the wall clock and by the processor time of its thread. Where other work takes the
processor away, it takes it from long calls more often than from short ones: ratios of functions that stay in
one thread are therefore of processor time.
"""

from __future__ import annotations

import random
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from ._common import percentiles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Times", "ratios", "times_us"]

WARM_UP: Final = 3
LEAST_ROUNDS: Final = 7
TURN_S: Final = 0.004


@dataclass(frozen=True, slots=True)
class Times:
    """Microseconds of every call, by round: wall clock, and processor time of the calling thread."""

    wall: list[list[float]] = field(default_factory=list)
    thread: list[list[float]] = field(default_factory=list)


def times_us(
    functions: Mapping[str, Callable[[], object]], seconds: float, least_rounds: int = LEAST_ROUNDS
) -> dict[str, Times]:
    """The times of each function.

    A round calls each function for about 4 ms, at least once, in an order drawn anew. There are as many
    rounds as fit in `seconds`, and at least `least_rounds`.
    """
    calls: dict[str, int] = {}
    for name, function in functions.items():
        for _ in range(WARM_UP):
            begin = time.perf_counter()
            function()
            calls[name] = max(1, int(TURN_S / (time.perf_counter() - begin)))
    times = {name: Times() for name in functions}
    order = list(functions)
    lot = random.Random(1)
    until = time.perf_counter() + seconds
    rounds = 0
    while rounds < least_rounds or time.perf_counter() < until:
        rounds += 1
        lot.shuffle(order)
        for name in order:
            function = functions[name]
            wall, thread = [], []
            for _ in range(calls[name]):
                thread_ns, wall_ns = time.thread_time_ns(), time.perf_counter_ns()
                function()
                wall.append((time.perf_counter_ns() - wall_ns) / 1e3)
                thread.append((time.thread_time_ns() - thread_ns) / 1e3)
            times[name].wall.append(wall)
            times[name].thread.append(thread)
    return times


def ratios(
    times: Mapping[str, Times], above: str, below: str, clock: Literal["thread", "wall"] = "thread"
) -> dict[str, Any]:
    """How many times longer a call of `above` takes than one of `below`: the ratio of the two medians of each
    round; of these the median, and the quarters between which half of them lie. Beside it the percentiles
    of both by the wall clock."""
    rounds = zip(getattr(times[above], clock), getattr(times[below], clock), strict=True)
    quotients = [statistics.median(a) / statistics.median(b) for a, b in rounds]
    low, middle, high = statistics.quantiles(quotients, n=4)
    return {
        "ratio": middle,
        "clock": clock,
        "half_between": [low, high],
        "rounds": len(quotients),
        f"{above}_us": percentiles([t for turn in times[above].wall for t in turn]),
        f"{below}_us": percentiles([t for turn in times[below].wall for t in turn]),
    }
