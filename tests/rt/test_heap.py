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


SMALL = """
import ctypes
import numpy as np
from eegvlm_rt.heap import fill_small_blocks
class Facts(ctypes.Structure):
    _fields_ = [(f"field{i}", ctypes.c_size_t) for i in range(10)]
libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Facts
fill_small_blocks()
before = libc.mallinfo2().field7
for size in range(1, 1024):
    arrays = [np.zeros(size, np.int8) for _ in range(7)]
    del arrays
print(libc.mallinfo2().field7 - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="the C library has no mallinfo2")
def test_arrays_of_any_small_size_find_a_block_that_is_there() -> None:
    answer = subprocess.run([sys.executable, "-c", SMALL], capture_output=True, text=True, check=True)
    assert int(answer.stdout) < 100_000


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
