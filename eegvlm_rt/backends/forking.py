"""Processes that fork after ONNX Runtime is loaded: they end in order all the same.

A forked child has none of the threads that sessions and ONNX Runtime itself wait for when they are torn down,
so `sys.exit` in it hangs or aborts. Here a child never tears them down: its sessions are kept for good, and
it leaves once Python is finalized, without the exit handlers of C libraries.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import Any

__all__ = ["keep_in_children"]

_sessions: weakref.WeakSet[Any] = weakref.WeakSet()


def keep_in_children(session: Any) -> None:
    """Never destroy this session in a child that is forked from here on."""
    _sessions.add(session)


def _in_child() -> None:
    for session in _sessions:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))
    libc = ctypes.CDLL(None)
    if hasattr(libc, "on_exit"):
        # Exit handlers run last in, first out: this one ends the process, with its status, before the others.
        libc.on_exit(ctypes.cast(libc._exit, ctypes.c_void_p), None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
