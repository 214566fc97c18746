"""Features of an epoch that a scorer names, measured from the signal alone."""

from __future__ import annotations

from .measure import measure, measure_batch, slow_wave_spans
from .model import Findings, Rhythm, Span

__all__ = ["Findings", "Rhythm", "Span", "measure", "measure_batch", "slow_wave_spans"]
