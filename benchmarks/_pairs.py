"""Times of several functions of one process, taken in turn, so that whatever else the machine does slows all
of them alike."""

from __future__ import annotations

import random
import statistics
import time
from typing import TYPE_CHECKING, Any, Final

from ._common import percentiles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["ratios", "times_us"]

WARM_UP: Final = 3
LEAST_ROUNDS: Final = 7
TURN_S: Final = 0.004


def times_us(
    functions: Mapping[str, Callable[[], object]], seconds: float, least_rounds: int = LEAST_ROUNDS
) -> dict[str, list[list[float]]]:
    """Microseconds of every call, by function and round.

    A round calls each function for about 4 ms, at least once, in an order drawn anew. There are as many
    rounds as fit in `seconds`, and at least `least_rounds`.
    """
    calls: dict[str, int] = {}
    for name, function in functions.items():
        for _ in range(WARM_UP):
            begin = time.perf_counter()
            function()
            calls[name] = max(1, int(TURN_S / (time.perf_counter() - begin)))
    taken: dict[str, list[list[float]]] = {name: [] for name in functions}
    order = list(functions)
    lot = random.Random(1)
    until = time.perf_counter() + seconds
    rounds = 0
    while rounds < least_rounds or time.perf_counter() < until:
        rounds += 1
        lot.shuffle(order)
        for name in order:
            function, turn = functions[name], []
            for _ in range(calls[name]):
                begin_ns = time.perf_counter_ns()
                function()
                turn.append((time.perf_counter_ns() - begin_ns) / 1e3)
            taken[name].append(turn)
    return taken


def ratios(taken: Mapping[str, list[list[float]]], above: str, below: str) -> dict[str, Any]:
    """How many times longer a call of `above` takes than one of `below`: the ratio of the two medians of each
    round; of these the median, and the quarters between which half of them lie."""
    found = [
        statistics.median(a) / statistics.median(b) for a, b in zip(taken[above], taken[below], strict=True)
    ]
    low, middle, high = statistics.quantiles(found, n=4)
    return {
        "ratio": middle,
        "half_between": [low, high],
        "rounds": len(found),
        f"{above}_us": percentiles([t for turn in taken[above] for t in turn]),
        f"{below}_us": percentiles([t for turn in taken[below] for t in turn]),
    }
