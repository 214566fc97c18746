"""Which stages a night is learned from: the teachers' soft labels, or what the simulation intended."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from .nightset import NightSet, load_nights

__all__ = ["load_split", "with_intended"]


def load_split(
    folder: Path, labels: str = "teacher", *, max_nights: int | None = None
) -> tuple[NightSet, NightSet]:
    """Training and validation nights. With `labels` "intended" the training nights get the simulation's own
    stages; validation always speaks of the teachers.

    Raises what `load_nights` and `with_intended` raise.
    """
    train = load_nights(folder, "train", max_nights=max_nights)
    held_out = load_nights(folder, "validation", max_nights=max_nights)
    return (with_intended(train, folder) if labels == "intended" else train), held_out


def with_intended(nights: NightSet, folder: Path) -> NightSet:
    """The same nights, each epoch labelled with the one stage its simulation intended.

    Prepared real nights hold their scorer's stages there. Raises ValueError for a night without such stages.
    """
    parts = []
    for name in nights.names:
        with np.load(folder / name) as file:
            stages = file["intended"] if "intended" in file else np.full(1, -1)
        if (stages < 0).any() or (stages > 4).any():
            raise ValueError(f"{name}: no intended stages; use labels=teacher")
        parts.append(np.eye(5, dtype=np.float32)[stages])
    intended = np.concatenate(parts)
    return dataclasses.replace(nights, teacher=intended, context=intended)
