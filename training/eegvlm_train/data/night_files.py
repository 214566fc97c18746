"""Files of simulated nights: one .npz a night, a sidecar with the teachers' labels.

`night-XXXXX.npz`: `x` int16 (n_epochs, 3000) conditioned signal at 100 Hz, in steps of `uv_per_lsb`; `raw`
int16 (n_samples,) before conditioning, same steps; `sfreq`; `intended` int8 (n_epochs,); `seed`; `channel`.
`night-XXXXX.labels.npz`: one float16 (n_epochs, 5) array a teacher, and `teacher`, their weighted
mean.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["UV_PER_LSB", "clipped_steps", "in_order", "labels_path", "night_path", "save_npz"]

UV_PER_LSB = 0.1
_LARGEST = 32767

Item = TypeVar("Item")
Result = TypeVar("Result")


def night_path(folder: Path, seed: int) -> Path:
    return folder / f"night-{seed:05d}.npz"


def labels_path(night: Path) -> Path:
    return night.with_suffix(".labels.npz")


def clipped_steps(steps: NDArray[np.floating]) -> NDArray[np.int16]:
    """The nearest whole steps; what lies beyond int16 is cut, as an amplifier would."""
    return np.clip(np.round(steps), -_LARGEST, _LARGEST).astype(np.int16)


def in_order(work: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """The work on every item, in their order, by processes side by side; one worker is this process."""
    if workers == 1:
        yield from map(work, items)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(work, items)


def save_npz(path: Path, **arrays: Any) -> None:
    """Write or replace a file so that a killed run leaves the old one or the new one."""
    staging = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with staging.open("wb") as file:
        np.savez(file, **arrays)
    staging.replace(path)
