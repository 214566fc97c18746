"""A night: its predictions, or its journal, as hypnogram, table, statistics and files."""

from __future__ import annotations

from .info import NightInfo
from .night import Night, night_probabilities, night_stage

__all__ = ["Night", "NightInfo", "night_probabilities", "night_stage"]
