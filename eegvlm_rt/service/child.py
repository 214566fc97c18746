"""What a child process of the service does first: it never outlives its parent, and gives way to it."""

from __future__ import annotations

import ctypes
import logging
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["die_with_parent", "limit_memory", "yield_memory"]

_PR_SET_PDEATHSIG: Final = 1


def die_with_parent(parent: int) -> None:
    """Be killed when the parent ends (Linux); end at once where it is gone already. Signals to a whole group
    are the parent's to handle.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")


def yield_memory(score: int) -> None:
    """Let the kernel end this process rather than others where memory is short; 1000 is the first to go."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(f"{score}\n")


def limit_memory(megabytes: int | None) -> None:
    """Let allocations beyond `megabytes` of private memory fail."""
    if megabytes is not None:
        limit = megabytes << 20
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
