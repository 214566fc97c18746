"""Which samples of the chaos run were recorded: by what they are, not by the timestamps they were given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ._world import SFREQ_HZ

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from eegvlm_rt.service.signal_log import Frame

__all__ = ["recorded_places"]

FURTHEST: Final = 512
"""Samples by which the timestamps of a frame may be off, so that its samples are still looked for."""


def recorded_places(frames: Iterable[Frame], signal: NDArray[np.float32]) -> tuple[NDArray[np.int64], int]:
    """Places in the endless signal of all recorded samples, without repetition, and how many of them have the
    timestamp of another place.

    The estimate of the offset between two clocks of LSL is as uncertain as the network's delay is uneven, and
    speed magnifies it: a few milliseconds move a frame by some samples. The samples themselves say where they
    belong. A frame that fits nowhere nearby counts by its timestamps.
    """
    places: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    moved = 0
    for frame in frames:
        if not len(frame.samples):
            continue
        stamps = np.floor(frame.timestamps * SFREQ_HZ + 0.5).astype(np.int64)
        samples = np.asarray(frame.samples, np.float32).reshape(len(stamps), -1)[:, 0]
        offset = _offset(stamps, samples, signal)
        moved += len(stamps) if offset else 0
        places.append(stamps + offset)
    return np.unique(np.concatenate(places)), moved


def _offset(stamps: NDArray[np.int64], samples: NDArray[np.float32], signal: NDArray[np.float32]) -> int:
    for distance in range(FURTHEST + 1):
        for offset in (distance, -distance):
            if np.array_equal(signal[(stamps + offset) % len(signal)], samples):
                return offset
    return 0
