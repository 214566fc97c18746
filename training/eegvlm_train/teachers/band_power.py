"""A stager of band powers, trained on experts' stages of real nights (`eegvlm_train band-power`).

It knows five powers of one channel and no waveform: a baseline and, offline, one more voter. Trained on
tables of the Sleep-EDF Database Expanded 1.0.0 (Kemp et al. 2000; Goldberger et al. 2000), people 20-82.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..sleep_edf.recipe import log_powers

__all__ = ["CAUSAL", "OFFLINE", "BandPowerStager", "View", "features_of"]

Float32 = NDArray[np.float32]
CARD = "card.json"


@dataclass(frozen=True, slots=True)
class View:
    """What a stager sees of a night: epochs before and after."""

    name: str
    before: int
    after: int

    @property
    def causal(self) -> bool:
        return self.after == 0


OFFLINE = View("offline", 5, 5)
CAUSAL = View("causal", 10, 0)


def _above_night(log_power: NDArray[np.float64], causal: bool) -> NDArray[np.float64]:
    """Powers above the median of the night, or above the mean of the night so far."""
    if not causal:
        return np.asarray(log_power - np.median(log_power, axis=0))
    # Counted from the first epoch, so that an unknown scale costs no digits.
    apart = log_power - log_power[:1]
    return np.asarray(apart - np.cumsum(apart, axis=0) / np.arange(1, len(apart) + 1)[:, None])


def features_of(log_power: NDArray[np.floating], view: View) -> Float32:
    """(n_epochs, 5 bands * (epochs in view + 1)) of natural logarithms (n_epochs, 5).

    Each epoch in view above its night, the ends repeated; and the epoch's bands above their own mean. Neither
    knows the night's unknown scale.
    """
    powers = np.asarray(log_power, dtype=np.float64)
    above = _above_night(powers, view.causal)
    padded = np.pad(above, ((view.before, view.after), (0, 0)), mode="edge")
    width = view.before + view.after + 1
    parts = [padded[i : i + len(above)] for i in range(width)]
    return np.hstack([*parts, powers - powers.mean(axis=1, keepdims=True)]).astype(np.float32)


@dataclass(frozen=True)
class BandPowerStager:
    """`boosters`: one LightGBM model for each view, by its name."""

    boosters: dict[str, Any]

    @classmethod
    def load(cls, folder: Path) -> BandPowerStager:
        """The text models of `folder`; raises FileNotFoundError where they are absent."""
        import lightgbm

        paths = {view.name: folder / f"{view.name}.txt" for view in (OFFLINE, CAUSAL)}
        for path in paths.values():
            if not path.is_file():
                raise FileNotFoundError(
                    f"{path}: absent; `eegvlm_train band-power TABLES {folder}` trains it"
                )
        return cls({name: lightgbm.Booster(model_file=str(path)) for name, path in paths.items()})

    def save(self, folder: Path, card: dict[str, Any]) -> None:
        """Write the models and what they were trained on."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, booster in self.boosters.items():
            (folder / f"{name}.txt").write_text(booster.model_to_string(), encoding="utf-8")
        (folder / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")

    def of_powers(self, log_power: NDArray[np.floating], view: View) -> Float32:
        """Stage probabilities (W N1 N2 N3 R), (n_epochs, 5), from natural logarithms of band powers."""
        return np.asarray(self.boosters[view.name].predict(features_of(log_power, view)), dtype=np.float32)

    def __call__(self, samples_uv: NDArray[np.floating], sfreq: float, view: View) -> Float32:
        """Stage probabilities of every whole 30 s of one channel (n,), at any scale.

        The causal view reads no later epoch; its 0.5-30 Hz filter is without delay and reads about a second
        ahead.
        """
        return self.of_powers(log_powers(samples_uv, sfreq), view)
