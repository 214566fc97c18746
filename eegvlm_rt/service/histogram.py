"""Counts of values by upper bounds, as Prometheus has them."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

__all__ = ["Histogram"]


class Histogram:
    """`counts[i]` values are at most `bounds[i]` and above the bound before; the last count is above all."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: object) -> None:
        """Count a value; what is no positive number is none."""
        if isinstance(value, int | float) and value > 0:
            self.counts[bisect_left(self.bounds, value)] += 1
            self.sum += float(value)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields."""
        return {"bounds": list(self.bounds), "counts": list(self.counts), "sum": self.sum}
