"""The device's clock against the host's, and the host's against the one that nobody can set."""

from __future__ import annotations

from typing import Final

import numpy as np

__all__ = ["DriftMeter", "HostClock", "age_s"]

_POINTS: Final = 256
_SHORTEST_S: Final = 60.0
_STEP_S: Final = 1.0
_LARGEST_PPM: Final = 5e4


class DriftMeter:
    """Estimates how much faster the device's clock runs than the host's, from when samples came.

    The slope is the Theil-Sen estimate, the median of the slopes between all pairs of points (Sen 1968, JASA
    63:1379), which up to 29 % of late packets do not move. At most 256 points are kept, spread evenly over
    the night.
    """

    def __init__(self) -> None:
        self._points: list[tuple[float, float]] = []
        self._stride = 1
        self._count = 0

    def add(self, device_s: float, wall_s: float) -> None:
        """The sample of `device_s` came at `wall_s`."""
        if self._count % self._stride == 0:
            self._points.append((device_s, wall_s))
            if len(self._points) == _POINTS:
                self._points = self._points[::2]
                self._stride *= 2
        self._count += 1

    def restart(self) -> None:
        """Forget all: the device's clock jumped."""
        self._points, self._stride, self._count = [], 1, 0

    @property
    def ppm(self) -> float | None:
        """Device seconds more than host seconds, per million. None before a minute of both is seen, and where
        the two are more than 5 % apart: that is no drift but a recording that is played.
        """
        if len(self._points) < 3 or self._points[-1][1] - self._points[0][1] < _SHORTEST_S:
            return None
        points = np.asarray(self._points)
        first, second = np.triu_indices(len(points), 1)
        wall = points[second, 1] - points[first, 1]
        device = points[second, 0] - points[first, 0]
        apart = wall > 0
        if not apart.any():
            return None
        ppm = float((np.median(device[apart] / wall[apart]) - 1) * 1e6)
        return ppm if abs(ppm) <= _LARGEST_PPM else None


class HostClock:
    """Tells when the host's wall clock was set: its distance from the monotonic clock is another one.

    Steps below 1 s are not told from the slow corrections of a time service.
    """

    def __init__(self) -> None:
        self._ahead: float | None = None
        self.set_by_s = 0.0
        """Sum of all steps so far: the wall clock less this runs on as if it had never been set."""

    def read(self, wall_s: float, monotonic_s: float) -> float:
        """Seconds by which the wall clock was set since the last reading."""
        ahead = wall_s - monotonic_s
        step_s = 0.0 if self._ahead is None else ahead - self._ahead
        self._ahead = ahead
        if abs(step_s) < _STEP_S:
            return 0.0
        self.set_by_s += step_s
        return step_s


def age_s(received_s: float, wall_s: float, step_s: float) -> float:
    """How long ago something came that bears the wall clock's `received_s`, at `wall_s`, where that clock was
    set by `step_s` since the last reading. What seems to have come before the step, or after now, has its age
    corrected by it.
    """
    seems_s = wall_s - received_s
    if step_s and (seems_s >= step_s > 0 or seems_s < 0 > step_s):
        seems_s -= step_s
    return max(0.0, seems_s)
