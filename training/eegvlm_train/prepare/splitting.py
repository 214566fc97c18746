"""Subjects on three sides: nobody is on two of them."""

from __future__ import annotations

import numpy as np

__all__ = ["split_subjects"]

Sides = dict[str, list[str]]


def split_subjects(
    subjects: dict[str, str],
    *,
    validation: float,
    test: float,
    seed: int,
    fold: tuple[int, int] | None = None,
) -> Sides:
    """Night names per side from night name -> subject.

    `fold` (i, k), 1 <= i <= k, makes test the i-th of k equal parts of the shuffled subjects, else a share
    `test` of them; `validation` is a share of the others. Every side that is asked for has somebody while
    there are subjects, test first. Raises ValueError for shares or folds that make no sense.
    """
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise ValueError(f"shares: {validation} and {test}; give shares that leave something to train on")
    people = [str(name) for name in np.random.default_rng(seed).permutation(sorted(set(subjects.values())))]
    if fold is not None:
        i, k = fold
        if not 1 <= i <= k <= len(people):
            raise ValueError(f"--fold {i}/{k}: there are {len(people)} subjects")
        tested = {str(name) for name in np.array_split(people, k)[i - 1]}
    else:
        tested = set(people[: max(1, round(test * len(people)))] if test else ())
    rest = [name for name in people if name not in tested]
    n_validation = max(1, round(validation * len(people))) if validation and len(rest) > 1 else 0
    checked = set(rest[:n_validation])
    return {
        "validation": sorted(night for night, name in subjects.items() if name in checked),
        "test": sorted(night for night, name in subjects.items() if name in tested),
    }
