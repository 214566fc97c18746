"""Memory of a long-running command."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_one_heap"]

_M_ARENA_MAX = -8


def keep_one_heap() -> bool:
    """Ask glibc for a single malloc arena before threads start; says whether it agreed.

    glibc gives each thread an arena of its own and returns little of them (mallopt(3), M_ARENA_MAX): over a
    night of two threads that is some 30 MB. The model's threads hardly allocate: sharing one costs no time.
    """
    if sys.platform != "linux":
        return False
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1))
    except (OSError, AttributeError):
        return False
