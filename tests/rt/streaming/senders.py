"""Senders that do not always run: when their samples are sent, though all of them are taken on time."""

from __future__ import annotations

import numpy as np

__all__ = ["stalled_stamps"]

CALM_S = 3.0
SEND_S = 5e-5


def stalled_stamps(
    n: int, size: int, rate: float, rng: np.random.Generator, *, run_s: float, stall_s: float, begin_s: float
) -> np.ndarray:
    """Timestamps, read as each of `n` samples is sent, of a sender that takes packets of `size` at `rate` and
    stalls at random.

    It runs for `run_s` and stalls for `stall_s` on average (at most 20 s), at any moment: between packets,
    within one, within the burst after the stall before. After a stall it sends all that it holds, 50 µs a
    sample. It begins to stall after `begin_s`, and does not any more in the last 3 s.
    """
    stamps = np.empty(n)
    now, runs_s = 0.0, begin_s + rng.exponential(run_s)
    for first in range(0, n, size):
        last = min(first + size, n)
        if first > n - CALM_S * rate:
            runs_s = np.inf
        for place in range(first, last):
            # A packet is there once its last sample is taken; sending takes its time.
            wanted = max(now, last / rate) + SEND_S
            while runs_s < wanted - now:
                now += runs_s + min(20.0, rng.exponential(stall_s))
                runs_s = rng.exponential(run_s)
                wanted = max(now, last / rate) + SEND_S
            runs_s -= wanted - now
            now = stamps[place] = wanted
    return stamps
