"""What a sleeper's next stage depends on: the night so far, as numbers for the model of its course."""

from __future__ import annotations

import math
from collections import deque

from ..stages import Stage

__all__ = ["FEATURES", "History"]

_PER_HOUR = 120.0
_LATELY_EPOCHS = 20
_REM_BREAK_EPOCHS = 30
_NIGHT_KNOTS_H = (1.0, 2.5, 4.5, 6.5)
_LONGEST_H = 9.0
_CYCLE_KNOTS_MIN = (10.0, 40.0, 60.0, 80.0, 110.0)
_LONGEST_CYCLE_MIN = 150.0
_BOUT_KNOTS = (1.0, 3.0, 8.0, 20.0, 60.0)

FEATURES = (
    "one",
    *(f"bout beyond {knot:g} epochs, log" for knot in _BOUT_KNOTS),
    *(f"night beyond {knot:g} h" for knot in (0.0, *_NIGHT_KNOTS_H)),
    "no REM yet",
    *(f"since REM beyond {knot:g} min" for knot in (0.0, *_CYCLE_KNOTS_MIN)),
    *(f"no REM yet, beyond {knot:g} min" for knot in (0.0, *_CYCLE_KNOTS_MIN)),
    "REM of this period, log",
    "N3 of this cycle, log",
    *(f"{stage.name} in the last 10 min" for stage in Stage if stage is not Stage.N2),
    *(f"bout came from {stage.name}" for stage in Stage),
)
"""Names of the entries of `History.features`."""


class History:
    """The course of one night from sleep onset on, one stage of 30 s at a time."""

    def __init__(self, onset: Stage) -> None:
        """`onset` is the first stage of sleep."""
        self._epochs = 0
        self._bout = 0
        self._stage = int(Stage.W)
        self._before = int(Stage.W)
        self._since_rem = 0
        self._rem_seen = False
        self._rem_of_period = 0
        self._n3_of_cycle = 0
        self._lately: deque[int] = deque([int(Stage.W)] * _LATELY_EPOCHS, maxlen=_LATELY_EPOCHS)
        self._counts = [0] * len(Stage)
        self._counts[int(Stage.W)] = _LATELY_EPOCHS
        self.advance(onset)

    def advance(self, stage: int) -> None:
        """Add the next epoch."""
        stage = int(stage)
        if stage == self._stage and self._epochs:
            self._bout += 1
        else:
            self._before, self._stage, self._bout = self._stage, stage, 1
        self._epochs += 1
        self._counts[self._lately[0]] -= 1
        self._lately.append(stage)
        self._counts[stage] += 1
        # A REM period outlives short interruptions; the cycle starts anew with its last epoch.
        if stage == Stage.R:
            self._rem_of_period = 1 + (self._rem_of_period if self._since_rem <= _REM_BREAK_EPOCHS else 0)
            self._since_rem, self._rem_seen, self._n3_of_cycle = 0, True, 0
        else:
            self._since_rem += 1
            self._n3_of_cycle += stage == Stage.N3
            if self._since_rem > _REM_BREAK_EPOCHS:
                self._rem_of_period = 0

    def features(self) -> list[float]:
        """One number for each of `FEATURES`."""
        hours = min(self._epochs / _PER_HOUR, _LONGEST_H)
        minutes = min(self._since_rem / 2.0, _LONGEST_CYCLE_MIN)
        cycle = [max(0.0, minutes - knot) / 20.0 for knot in (0.0, *_CYCLE_KNOTS_MIN)]
        nothing = [0.0] * len(cycle)
        came_from = [0.0] * len(Stage)
        came_from[self._before] = 1.0
        return [
            1.0,
            *(max(0.0, math.log(self._bout / knot)) for knot in _BOUT_KNOTS),
            *(max(0.0, hours - knot) for knot in (0.0, *_NIGHT_KNOTS_H)),
            0.0 if self._rem_seen else 1.0,
            *(cycle if self._rem_seen else nothing),
            *(nothing if self._rem_seen else cycle),
            math.log1p(self._rem_of_period),
            math.log1p(self._n3_of_cycle),
            *(self._counts[int(stage)] / _LATELY_EPOCHS for stage in Stage if stage is not Stage.N2),
            *came_from,
        ]

    @property
    def stage(self) -> int:
        """The stage of the last epoch."""
        return self._stage
