"""The heap of a long process: one for all threads, and given back to the system where much was freed.

`keep_one_heap` and `return_freed_memory` are calls of glibc; elsewhere they do nothing.
"""

from __future__ import annotations

import ctypes
import sys

__all__ = ["fill_small_blocks", "keep_one_heap", "return_freed_memory"]

_M_ARENA_MAX = -8
_SMALL_BYTES, _KEPT_BLOCKS = 1024, 7
"""NumPy keeps so many freed blocks of each size below this for its next arrays (alloc.cpp)."""


def keep_one_heap() -> bool:
    """Ask glibc for a single malloc arena before threads start; says whether it agreed.

    glibc gives each thread an arena of its own and returns little of them (mallopt(3), M_ARENA_MAX): over a
    night of two threads that is some 30 MB. The model's threads hardly allocate: sharing one costs no time.
    """
    call = _glibc("mallopt")
    return call is not None and bool(call(_M_ARENA_MAX, 1))


def return_freed_memory() -> bool:
    """Give the system back what was freed (malloc_trim(3)); says whether there was anything.

    After a graph is loaded, and after a night: glibc would keep it, and place the next night beside it.
    """
    call = _glibc("malloc_trim")
    return call is not None and bool(call(0))


def fill_small_blocks() -> None:
    """Let NumPy keep all the small blocks that it ever will, 3.5 MiB in one place, at the start of a long
    process.

    Arrays of a night have a byte for each epoch so far, another size each time. Block by block NumPy would
    keep as much within weeks, spread over the heap: a quarter of a MiB each night, and the pages around it.
    """
    import numpy as np

    for size in range(1, _SMALL_BYTES):
        blocks = [np.empty(size, np.uint8) for _ in range(_KEPT_BLOCKS)]
        del blocks


def _glibc(name: str) -> ctypes._CFunctionType | None:
    """A function of the C library; None where it has none of this name."""
    if sys.platform != "linux":
        return None
    try:
        function: ctypes._CFunctionType = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None
    return function
