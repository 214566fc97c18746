"""The heap of a long run: one for all threads, given back where much was freed."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from eegvlm_rt import heap

CALLS = (heap.keep_one_heap, heap.return_freed_memory)
GLIBC = hasattr(ctypes.CDLL(None), "mallopt")

MANY = """
import psutil
from eegvlm_rt.heap import return_freed_memory
process = psutil.Process()
# Every other one stays: the heap cannot shrink from its end.
blocks = [bytes(60_000) for _ in range(2000)]
del blocks[:-1:2], blocks[:-1]
before = process.memory_info().rss
assert return_freed_memory()
print(before - process.memory_info().rss)
"""


@pytest.mark.skipif(not GLIBC, reason="the C library has no mallopt")
def test_glibc_agrees_to_one_heap() -> None:
    assert heap.keep_one_heap()


@pytest.mark.skipif(not GLIBC, reason="the C library has no malloc_trim")
def test_what_was_freed_goes_back_to_the_system() -> None:
    answer = subprocess.run([sys.executable, "-c", MANY], capture_output=True, text=True, check=True)
    assert int(answer.stdout) > 40_000_000


@pytest.mark.parametrize("call", CALLS)
def test_other_systems_are_left_alone(call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not call()


@pytest.mark.parametrize("call", CALLS)
def test_a_c_library_without_the_call_is_left_alone(call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    monkeypatch.setattr(sys, "platform", "linux")
    assert not call()
