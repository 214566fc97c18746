"""The command line keeps the memory of a night small."""

from __future__ import annotations

import ctypes
import sys

import pytest

from eegvlm_rt.cli import memory


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library has no mallopt")
def test_glibc_agrees_to_one_heap() -> None:
    assert memory.keep_one_heap()


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not memory.keep_one_heap()


def test_a_c_library_without_the_call_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    monkeypatch.setattr(sys, "platform", "linux")
    assert not memory.keep_one_heap()
