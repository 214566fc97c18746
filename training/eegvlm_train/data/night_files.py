"""Files of simulated nights: one .npz a night, a sidecar with the teachers' labels.

`night-XXXXX.npz`: `x` int16 (n_epochs, 3000) conditioned signal at 100 Hz, in steps of `uv_per_lsb`; `raw`
int16 (n_samples,) before conditioning, same steps; `sfreq`; `intended` int8 (n_epochs,); `seed`; `channel`.
`night-XXXXX.labels.npz`: one float16 (n_epochs, 5) array a teacher, and `teacher`, their weighted
mean.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["UV_PER_LSB", "labels_path", "night_path", "save_npz"]

UV_PER_LSB = 0.1


def night_path(folder: Path, seed: int) -> Path:
    return folder / f"night-{seed:05d}.npz"


def labels_path(night: Path) -> Path:
    return night.with_suffix(".labels.npz")


def save_npz(path: Path, **arrays: Any) -> None:
    """Write or replace a file so that a killed run leaves the old one or the new one."""
    staging = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with staging.open("wb") as file:
        np.savez(file, **arrays)
    staging.replace(path)
