"""Epochs to calibrate and to compare on: simulated, or from a folder of stored nights."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import numpy as np
from eegvlm_train.data import list_nights
from numpy.typing import NDArray

from eegvlm_rt.signal.conditioning import Preprocessing, condition_recording
from eegvlm_rt.simulator import simulate_night

__all__ = ["SIMULATED", "load_epochs"]

SIMULATED: Final = "sim"
_EPOCHS_A_NIGHT: Final = 125
_HOURS: Final = 8.0
_FIRST_SEED: Final = {"calibration": 2_000_000, "parity": 3_000_000}
"""Far from the seeds of training nights, and from each other."""

Purpose = Literal["calibration", "parity"]


def load_epochs(source: str | Path, count: int, spec: Preprocessing, purpose: Purpose) -> NDArray[np.float32]:
    """`count` conditioned epochs (count, samples) in µV, spread over whole nights; the same every time.

    Simulated epochs for calibration are as many of every stage as each night allows.

    `source` is "sim", or a folder of `night-*.npz` as `eegvlm_train simulate` writes them; there, epochs for
    calibration and for parity are never the same ones.
    Raises FileNotFoundError for a folder without nights, ValueError for one with too few epochs.
    """
    if source == SIMULATED:
        nights = -(-count // _EPOCHS_A_NIGHT)
        shares = [len(part) for part in np.array_split(np.arange(count), nights)]
        first, even = _FIRST_SEED[purpose], purpose == "calibration"
        return np.concatenate(
            [_simulated(first + i, share, spec, stratified=even) for i, share in enumerate(shares)]
        )
    return _stored(Path(source), count, purpose)


def _simulated(seed: int, count: int, spec: Preprocessing, *, stratified: bool) -> NDArray[np.float32]:
    night = simulate_night(seed, hours=_HOURS)
    signal = condition_recording(night.samples_uv, night.sfreq, spec)
    epochs = signal.reshape(len(night.stages), -1)
    chosen = _by_stage(night.stages, count) if stratified else _spread(len(epochs), count)
    return np.ascontiguousarray(epochs[chosen])


def _by_stage(stages: NDArray[np.integer], count: int) -> NDArray[np.intp]:
    """`count` epochs in order of time, as many of every stage as the night allows."""
    places = {int(stage): np.flatnonzero(stages == stage) for stage in np.unique(stages)}
    counts = dict.fromkeys(places, 0)
    for _ in range(min(count, len(stages))):
        open_ = [stage for stage, where in places.items() if counts[stage] < len(where)]
        counts[min(open_, key=counts.__getitem__)] += 1
    return np.sort(np.concatenate([w[_spread(len(w), counts[s])] for s, w in places.items()]))


def _stored(folder: Path, count: int, purpose: Purpose) -> NDArray[np.float32]:
    parts = []
    for path in list_nights(folder):
        with np.load(path) as night:
            parts.append((night["x"], float(night["uv_per_lsb"])))
    place = np.array([(i, j) for i, (x, _) in enumerate(parts) for j in range(len(x))])
    place = place[0 if purpose == "calibration" else 1 :: 2]
    if len(place) < count:
        raise ValueError(f"{folder}: {2 * len(place)} epochs; {count} for {purpose} need twice as many")
    rows = [parts[i][0][j] * np.float32(parts[i][1]) for i, j in place[_spread(len(place), count)]]
    return np.stack(rows).astype(np.float32)


def _spread(total: int, count: int) -> NDArray[np.intp]:
    return np.linspace(0, total - 1, count).round().astype(np.intp)
