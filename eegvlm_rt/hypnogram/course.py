"""The course of a night: runs, transitions, cycles, thirds; for the sleep statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ..signal.units import EPOCH_S
from ..stages import STAGES, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "SleepCycle",
    "codes_of",
    "first_period",
    "first_run",
    "runs",
    "sleep_cycles",
    "stage_minutes",
    "transition_counts",
]

EPOCH_MIN: Final = EPOCH_S / 60.0
CYCLE_GAP_EPOCHS: Final = 30
"""15 min: the least NREM time between two REM periods (Feinberg & Floyd 1979, Psychophysiology 16:283)."""
CYCLE_REM_EPOCHS: Final = 10
"""5 min: the least REM time of a REM period but the first (the same source)."""

_REM: Final = int(Stage.R)


@dataclass(frozen=True, slots=True)
class SleepCycle:
    """One cycle: NREM sleep, then a REM period. Epochs count from the hypnogram's first.

    `rem_start` is None, and `complete` False, for sleep after the last REM period. `nrem_min` and `rem_min`
    are minutes of N1, N2, N3 and of R within the cycle.
    """

    start: int
    rem_start: int | None
    end: int
    nrem_min: float
    rem_min: float

    @property
    def complete(self) -> bool:
        """Whether the cycle came to its REM period."""
        return self.rem_start is not None

    @property
    def duration_min(self) -> float:
        """Minutes from start to end, wake included."""
        return EPOCH_MIN * (self.end - self.start)


def codes_of(stages: Sequence[Stage | None]) -> NDArray[np.int8]:
    """(n,) stages as integers 0..4, -1 where unscored."""
    return np.array([-1 if stage is None else int(stage) for stage in stages], dtype=np.int8)


def runs(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(k, 2) first and after-last place of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], mask.astype(np.int8), [0]))))
    return edges.reshape(-1, 2)


def first_run(mask: NDArray[np.bool_], length: int) -> int | None:
    """First place of the first run of at least `length` true values, None where there is none."""
    for first, end in runs(mask):
        if end - first >= length:
            return int(first)
    return None


def first_period(mask: NDArray[np.bool_], length: int, least: int) -> int | None:
    """First true place of the first `length` places of which `least` are true, None where there are none.

    Unlike a run it bears single places that are false, and needs more than a few that are true.
    """
    if len(mask) < length:
        return None
    # How many are true in each stretch of that length, all stretches at once.
    inside = np.convolve(mask.astype(np.intp), np.ones(length, dtype=np.intp), "valid")
    places = np.flatnonzero(inside >= least)
    if not places.size:
        return None
    first = int(places[0])
    return first + int(np.flatnonzero(mask[first : first + length])[0])


def transition_counts(codes: NDArray[np.int8]) -> NDArray[np.int64]:
    """(5, 5) how often the stage of a column follows that of a row; pairs with an unscored epoch are left
    out.
    """
    counts = np.zeros((len(STAGES), len(STAGES)), dtype=np.int64)
    before, after = codes[:-1], codes[1:]
    scored = (before >= 0) & (after >= 0)
    np.add.at(counts, (before[scored], after[scored]), 1)
    return counts


def stage_minutes(codes: NDArray[np.int8]) -> dict[Stage, float]:
    """Minutes of each stage."""
    counts = np.bincount(codes[codes >= 0], minlength=len(STAGES)).tolist()
    return {stage: EPOCH_MIN * count for stage, count in zip(STAGES, counts, strict=True)}


def sleep_cycles(codes: NDArray[np.int8], offset: int = 0) -> tuple[SleepCycle, ...]:
    """NREM-REM cycles after Feinberg & Floyd (1979, Psychophysiology 16:283).

    A REM period is R epochs less than 15 min apart; one of less than 5 min counts only as the first. Each
    cycle lasts from sleep onset, or from the end of the last REM period, to the end of its REM period; sleep
    after the last REM period, of at least 15 min, is a cycle that is not complete.
    """
    asleep = np.flatnonzero(codes > 0)
    if asleep.size == 0:
        return ()
    # REM epochs, cut into periods wherever 15 min or more lie between two of them.
    rem = np.flatnonzero(codes == _REM)
    cuts = np.flatnonzero(np.diff(rem) > CYCLE_GAP_EPOCHS) + 1
    periods = [group for group in np.split(rem, cuts) if group.size]
    periods = [group for i, group in enumerate(periods) if i == 0 or group.size >= CYCLE_REM_EPOCHS]

    # A cycle is closed by its REM period; what is left after the last one is a cycle only if it is long
    # enough for the NREM part of one.
    cycles, start = [], int(asleep[0])
    for group in periods:
        end = int(group[-1]) + 1
        cycles.append(_cycle(codes, start, int(group[0]), end, offset))
        start = end
    end = int(asleep[-1]) + 1
    if np.count_nonzero(codes[start:end] > 0) >= CYCLE_GAP_EPOCHS:
        cycles.append(_cycle(codes, start, None, end, offset))
    return tuple(cycles)


def _cycle(codes: NDArray[np.int8], start: int, rem_start: int | None, end: int, offset: int) -> SleepCycle:
    minutes = stage_minutes(codes[start:end])
    return SleepCycle(
        start=start + offset,
        rem_start=None if rem_start is None else rem_start + offset,
        end=end + offset,
        nrem_min=minutes[Stage.N1] + minutes[Stage.N2] + minutes[Stage.N3],
        rem_min=minutes[Stage.R],
    )
