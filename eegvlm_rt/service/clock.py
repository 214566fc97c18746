"""The host's clocks."""

from __future__ import annotations

import time

__all__ = ["Clock"]


class Clock:
    """The host's clocks. A service that is tried in less than real time has another one."""

    def wall(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds of the clock that nobody can set."""
        return time.monotonic()

    def both(self) -> tuple[float, float]:
        """Both clocks at one moment. A process that is held between two readings would see a step."""
        for _ in range(5):
            before, wall, after = self.monotonic(), self.wall(), self.monotonic()
            if after - before < 0.1:
                break
        return wall, after
