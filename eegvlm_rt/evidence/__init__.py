"""Features of an epoch that a scorer names, measured from the signal alone."""

from __future__ import annotations

from .findings import Findings, Rhythm, Span
from .measure import measure, measure_batch, slow_wave_spans

__all__ = ["Findings", "Rhythm", "Span", "measure", "measure_batch", "slow_wave_spans"]
