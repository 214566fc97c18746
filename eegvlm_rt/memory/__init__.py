"""The night memory: one small, explicit, causal state a night, and what it says of each epoch."""

from __future__ import annotations

from .course import Course
from .night_memory import RESET_EPOCHS, NightMemory, Remembered
from .state import MemoryState

__all__ = ["RESET_EPOCHS", "Course", "MemoryState", "NightMemory", "Remembered"]
