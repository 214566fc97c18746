"""The accounts of the chaos run: a sample counts as recorded by what it is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.service._accounts import recorded_places
from benchmarks.service._world import SFREQ_HZ

SIGNAL = np.random.default_rng(0).normal(size=5000).astype(np.float32)


def frame(first: int, count: int, off: float = 0.0, samples: np.ndarray | None = None) -> Any:
    """`count` samples from place `first` on, whose timestamps are `off` samples late."""
    places = np.arange(first, first + count)
    wave = SIGNAL[places % len(SIGNAL)] if samples is None else samples
    return SimpleNamespace(timestamps=(places + off) / SFREQ_HZ, samples=wave[:, None])


def test_a_sample_with_its_own_timestamp_is_where_it_was_sent() -> None:
    places, moved = recorded_places([frame(4000, 600), frame(4600, 900)], SIGNAL)
    assert places.tolist() == list(range(4000, 5500))
    assert moved == 0


@pytest.mark.parametrize("off", [-20.5, -3.0, 3.0, 20.4])
def test_a_frame_whose_timestamps_are_off_is_found_by_its_samples(off: float) -> None:
    places, moved = recorded_places([frame(0, 500), frame(500, 500, off), frame(1000, 500)], SIGNAL)
    assert places.tolist() == list(range(1500))
    assert moved == 500


def test_a_sample_that_was_not_recorded_is_absent() -> None:
    places, _ = recorded_places([frame(0, 480), frame(500, 500)], SIGNAL)
    assert sorted(set(range(1000)) - set(places.tolist())) == list(range(480, 500))


def test_samples_that_were_never_sent_prove_nothing_elsewhere() -> None:
    places, moved = recorded_places([frame(0, 100, samples=np.zeros(100, np.float32))], SIGNAL)
    assert places.tolist() == list(range(100))
    assert moved == 0
