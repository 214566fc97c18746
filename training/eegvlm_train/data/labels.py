"""Which stages a night is learned from: the teachers' soft labels, or what the simulation intended."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .night_files import labels_path
from .nightset import CONSENSUS, NIGHT_OPINION, NightSet, Opinions, intended_rows, load_nights, teacher_rows

__all__ = ["load_split", "with_intended", "with_teacher"]


def load_split(
    folder: Path,
    labels: str = "teacher",
    *,
    night_opinion: str = "context",
    max_nights: int | None = None,
) -> tuple[NightSet, NightSet]:
    """Training and validation nights. With `labels` "intended" the training nights get the simulation's own
    stages and need no teacher's labels; validation speaks of the teachers wherever they labelled. With
    `night_opinion` "consensus" the teachers' opinion of who knows the night is their weighted mean.

    Raises what `load_nights` and `with_intended` raise.
    """
    if labels != "intended":
        train = load_nights(folder, "train", max_nights=max_nights)
        held_out = load_nights(folder, "validation", max_nights=max_nights)
        if night_opinion == "consensus":
            return with_teacher(train, folder, CONSENSUS), with_teacher(held_out, folder, CONSENSUS)
        return train, held_out
    train = load_nights(folder, "train", max_nights=max_nights, labels="intended")
    held_out = load_nights(folder, "validation", max_nights=max_nights, labels="intended")
    if all(labels_path(folder / name).exists() for name in held_out.names):
        return train, with_teacher(held_out, folder)
    print("validation: no teacher has labelled these nights, so it speaks of the intended stages", flush=True)
    return train, held_out


def with_intended(nights: NightSet, folder: Path) -> NightSet:
    """The same nights, each epoch labelled with the one stage its simulation intended. Raises ValueError for
    a night without such stages.
    """
    opinions = [intended_rows(folder / name) for name in nights.names]
    return _with(nights, opinions)


def with_teacher(nights: NightSet, folder: Path, night_opinion: str = NIGHT_OPINION) -> NightSet:
    """The same nights, labelled by the teachers; `night_opinion` as in `teacher_rows`."""
    return _with(nights, [teacher_rows(folder / name, night_opinion) for name in nights.names])


def _with(nights: NightSet, opinions: Sequence[Opinions]) -> NightSet:
    teacher, context = (np.concatenate(rows) for rows in zip(*opinions, strict=True))
    return dataclasses.replace(nights, teacher=teacher, context=context)
