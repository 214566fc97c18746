"""Stretches of nights for the night memory: what was read of each epoch, in order, some epochs absent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .loading import Batch, Index

__all__ = ["Courses", "MemoryBatch", "MemoryBatches", "draw_courses"]

_LONGEST_ABSENCE = 30
_PIECES = (8, 120)
"""Lengths in epochs of the pieces of a rearranged night."""


@dataclass(frozen=True)
class MemoryBatch(Batch):
    """`teacher` float32 (n, T, 5); `features` float16 (n, T, F); `stage_logits` float32 (n, T, 5); `present`
    float32 (n, T, 1), 0 where the epoch had no signal; `weight` float32 (n, T) of each epoch's loss."""

    features: Tensor
    stage_logits: Tensor
    present: Tensor
    weight: Tensor


@dataclass(frozen=True, slots=True)
class Courses:
    """Epochs of whole nights: `features` float16 (n, F), `stage_logits` and `teacher` float32 (n, 5), `night`
    int32 (n,)."""

    features: NDArray[np.float16]
    stage_logits: NDArray[np.float32]
    teacher: NDArray[np.float32]
    night: NDArray[np.int32]

    @classmethod
    def joined(cls, parts: Sequence[Courses]) -> Courses:
        """Several sets of nights as one."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def nights(self) -> Iterator[Index]:
        """The epochs of one night after the other."""
        for number in np.unique(self.night):
            yield np.flatnonzero(self.night == number)

    def stretch(self, night: Index, start: int, length: int) -> MemoryBatch:
        """One stretch of a night as a batch of one, every epoch present and of weight 1."""
        epochs = night[start : start + length]
        return MemoryBatch(
            teacher=torch.from_numpy(self.teacher[epochs][None]),
            features=torch.from_numpy(self.features[epochs][None]),
            stage_logits=torch.from_numpy(self.stage_logits[epochs][None]),
            present=torch.ones(1, len(epochs), 1),
            weight=torch.ones(1, len(epochs)),
        )


@dataclass(frozen=True, slots=True)
class MemoryBatches:
    """Batches of courses `window` epochs long.

    `rearranged_share` of them are no stretch of a night but pieces of one in any order, half of the pieces of
    one stage throughout: a day awake, a nap, a patient's night. A memory that has seen healthy nights alone
    learns their timetable, and holds every other night against it. Stretches begin anywhere, as a device is
    switched on anywhere. `absent_share` of the courses lose some of their epochs, single ones and up to a
    quarter of an hour. `noise` is the spread, in that of each feature, by which a whole course is shifted.
    The losses of a stage are weighted by its frequency to the power -`balance`.
    """

    courses: Courses
    window: int
    absent_share: float
    balance: float
    rearranged_share: float = 0.0
    noise: float = 0.0

    def __call__(self, index: Index, rng: np.random.Generator) -> MemoryBatch:
        epochs = np.stack([self._course(int(first), rng) for first in index])
        teacher = self.courses.teacher[epochs]
        prior = np.maximum(self.courses.teacher.mean(axis=0, dtype=np.float64), 1e-3)
        weight = (teacher @ (prior**-self.balance)).astype(np.float32)
        features = self.courses.features[epochs].astype(np.float32)
        logits = self.courses.stage_logits[epochs]
        if self.noise:
            # A recording of another amplifier or person reads differently throughout.
            shift = rng.standard_normal((len(index), 1, features.shape[2]), dtype=np.float32)
            features = features + self.noise * features.std(axis=(0, 1)) * shift
            logits = logits + self.noise * rng.standard_normal((len(index), 1, 5), dtype=np.float32)
        return MemoryBatch(
            teacher=torch.from_numpy(teacher),
            features=torch.from_numpy(features.astype(np.float16)),
            stage_logits=torch.from_numpy(logits),
            present=torch.from_numpy(self._present(len(index), rng)),
            weight=torch.from_numpy(weight / weight.mean()),
        )

    def _course(self, first: int, rng: np.random.Generator) -> Index:
        """The epochs of one course: the stretch from `first` on, or pieces of its night."""
        if rng.random() >= self.rearranged_share:
            return np.arange(first, first + self.window)
        night = np.flatnonzero(self.courses.night == self.courses.night[first])
        stages = self.courses.teacher[night].argmax(axis=1)
        pieces: list[Index] = []
        while sum(map(len, pieces)) < self.window:
            length = int(np.exp(rng.uniform(*np.log(_PIECES))))
            source = night
            if rng.random() < 0.5:
                source = night[stages == rng.integers(5)]
                if len(source) < _PIECES[0]:
                    continue
            begin = int(rng.integers(0, len(source)))
            pieces.append(source[begin : begin + length])
        return np.concatenate(pieces)[: self.window]

    def _present(self, n: int, rng: np.random.Generator) -> NDArray[np.float32]:
        present = np.ones((n, self.window, 1), dtype=np.float32)
        for row in np.flatnonzero(rng.random(n) < self.absent_share):
            for _ in range(int(rng.integers(1, 5))):
                start = int(rng.integers(0, self.window))
                present[row, start : start + int(np.exp(rng.uniform(0.0, np.log(_LONGEST_ABSENCE))))] = 0.0
        return present


def draw_courses(courses: Courses, window: int, batch_size: int, rng: np.random.Generator) -> Iterator[Index]:
    """Endless batches of first epochs, each with a whole window of its night behind it."""
    starts = np.flatnonzero(courses.night[: len(courses.night) - window + 1] == courses.night[window - 1 :])
    if not len(starts):
        raise ValueError(f"window: {window}; no night has so many epochs, give fewer")
    while True:
        yield starts[rng.integers(0, len(starts), batch_size)].astype(np.int64)
