"""Reads the tables of real nights; people 20-82 are for fitting, 00-19 for tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["BANDS", "CHANNELS", "SOURCE", "TableNight", "main_sleep", "read_nights"]

SOURCE = (
    "Sleep-EDF Database Expanded 1.0.0, sleep cassette, ODC-By 1.0 (Kemp et al. 2000, Goldberger et al. 2000)"
)
BANDS = ("delta", "theta", "alpha", "sigma", "beta")
"""0.5-4, 4-8, 8-12, 12-16 and 16-30 Hz."""
CHANNELS = ("EEG Fpz-Cz", "EEG Pz-Oz")
_FIRST_FOR_FITTING = "20"
_LONG_WAKE_EPOCHS = 120


@dataclass(frozen=True, slots=True, eq=False)
class TableNight:
    """One night in bed: `stages` int8 (n_epochs,), -1 unscored; `log_power` float32 (n_epochs, 2, 5), natural
    log of the power of `BANDS` in `CHANNELS`, up to one unknown constant a channel; `relative` likewise, the
    powers' shares."""

    name: str
    person: str
    stages: NDArray[np.int8]
    log_power: NDArray[np.float32]
    relative: NDArray[np.float32]


def read_nights(folder: Path, people: str) -> list[TableNight]:
    """The nights of `folder`/bandpower.npz of people "fit" (20-82) or "test" (00-19), in order.

    Raises ValueError for other people, FileNotFoundError where the table is absent.
    """
    if people not in ("fit", "test"):
        raise ValueError(f"people: {people!r}; write fit or test")
    with np.load(folder / "bandpower.npz") as file:
        person, recording, names = file["subject"], file["rec"], file["psg"]
        features, stages = file["features"], file["y"]
    in_use = (person >= _FIRST_FOR_FITTING) == (people == "fit")
    nights = []
    for number in np.unique(recording[in_use]):
        rows = np.flatnonzero(recording == number)
        nights.append(
            TableNight(
                name=str(names[number]).split("-")[0],
                person=str(person[rows[0]]),
                stages=stages[rows],
                log_power=features[rows, :, : len(BANDS)],
                relative=features[rows, :, len(BANDS) :],
            )
        )
    return nights


def main_sleep(stages: NDArray[np.integer]) -> slice:
    """From sleep onset to the last sleep of the longest sleep without an hour of wake in it."""
    asleep = np.flatnonzero(stages > 0)
    if not len(asleep):
        return slice(0, 0)
    gaps = np.flatnonzero(np.diff(asleep) > _LONG_WAKE_EPOCHS)
    parts = np.split(asleep, gaps + 1)
    longest = max(parts, key=len)
    return slice(int(longest[0]), int(longest[-1]) + 1)
