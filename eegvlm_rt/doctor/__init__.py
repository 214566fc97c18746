"""Preflight: what this device has, what a bundle asks for, and whether the one is enough for the other.

facts = probe()
checks = examine(facts, Bundle.open(folder, verify=False).manifest)
all(check.ok for check in checks if check.required)
"""

from __future__ import annotations

from ..hardware import Facts, probe
from .checks import Check, examine
from .memory import MemoryNeed, memory_need

__all__ = ["Check", "Facts", "MemoryNeed", "examine", "memory_need", "probe"]
