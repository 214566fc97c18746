"""Batches made by threads ahead of the training loop.

A picture is drawn from the signal when it is needed, by the runtime's own renderer, and only its grey plane
travels: the renderer releases the interpreter lock, so threads are enough and nothing is copied between
processes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eegvlm_rt.rationale.values import k_complex_class, spindle_class
from eegvlm_rt.rendering.renderer import RenderSpec, render_batch

from .findings import HALVES
from .nightset import NightSet

__all__ = [
    "Batch",
    "BatchMaker",
    "Loader",
    "PictureBatch",
    "PictureBatches",
    "VisionBatches",
    "draw_batches",
    "draw_grey",
    "moved",
    "sweep_batches",
]

Index = NDArray[np.int64]
Made = TypeVar("Made", bound="Batch")
MadeOut = TypeVar("MadeOut", bound="Batch", covariant=True)


@dataclass(frozen=True)
class Batch:
    """`teacher` float32 (n, ..., 5) probabilities of n samples."""

    teacher: Tensor

    def __len__(self) -> int:
        return len(self.teacher)


@dataclass(frozen=True)
class PictureBatch(Batch):
    """`grey` uint8 (n, H, W) pictures."""

    grey: Tensor


def moved(batch: Made, device: torch.device) -> Made:
    """The batch on `device`, from pinned memory where that helps."""

    def move(value: Tensor) -> Tensor:
        pinned = value.pin_memory() if device.type == "cuda" else value
        return pinned.to(device, non_blocking=True)

    return type(batch)(**{field.name: move(getattr(batch, field.name)) for field in fields(batch)})


def draw_grey(signal_uv: NDArray[np.float32], spec: RenderSpec) -> NDArray[np.uint8]:
    """(n, samples) µV -> (n, H, W) uint8: one plane of what `render` shows; its three planes are
    equal."""
    return render_batch(signal_uv, spec, output="gray")


@dataclass(frozen=True, slots=True)
class PictureBatches:
    """Batches of plain pictures; `gain` (n,) of every epoch, where there is one."""

    nights: NightSet
    spec: RenderSpec
    gain: NDArray[np.float32] | None = None

    def __call__(self, index: Index, rng: np.random.Generator) -> PictureBatch:
        del rng  # nothing is drawn by lot
        signal = self.nights.microvolts(index)
        if self.gain is not None:
            signal = signal * self.gain[index][:, None]
        return PictureBatch(
            teacher=torch.from_numpy(self.nights.teacher[index]),
            grey=torch.from_numpy(draw_grey(signal, self.spec)),
        )


class BatchMaker(Protocol[MadeOut]):
    """Makes the batch of some epochs; the generator is the batch's own."""

    def __call__(self, index: Index, rng: np.random.Generator) -> MadeOut: ...


@dataclass(frozen=True)
class VisionBatch(PictureBatch):
    """`signal_uv` float32 (n, 3000); `findings` float32 (n, 6) as in `findings_columns`; `events` float32
    (n, 2, 60) as in `event_rows`; `absolute` bool (n,): no gain was applied."""

    signal_uv: Tensor
    findings: Tensor
    events: Tensor
    absolute: Tensor


def findings_columns(nights: NightSet, index: Index, gain: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 6): rhythm index, alpha share, classes of spindles and of K-complexes, slow-wave share, log10
    amplitude after the gain."""
    table = nights.findings
    if table is None:
        raise ValueError("findings: none; load the nights with findings")
    rows = [table.row(int(place)) for place in index]
    classes = np.array([(spindle_class(row), k_complex_class(row)) for row in rows], dtype=np.float32)
    amplitude = np.log10(np.maximum(table.amplitude_uv[index] * gain, 1.0))
    columns = (
        table.rhythm[index],
        table.alpha_share[index],
        *classes.T,
        table.slow_wave_share[index],
        amplitude,
    )
    return np.stack([column.astype(np.float32) for column in columns], axis=1)


def event_rows(nights: NightSet, index: Index) -> NDArray[np.float32]:
    """(n, 2, 60): for spindles and K-complexes, 1 in each half second that one covers."""
    assert nights.findings is not None
    bits = nights.findings.event_halves[index][..., None] >> np.arange(HALVES, dtype=np.uint64)
    return np.asarray(bits & np.uint64(1), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class VisionBatches:
    """Batches of step 1: pictures under random gain and polarity, with stage and findings targets."""

    nights: NightSet
    spec: RenderSpec
    gain_low: float = 1.0
    gain_high: float = 1.0
    gain_share: float = 0.0
    flip_share: float = 0.0

    def __call__(self, index: Index, rng: np.random.Generator) -> VisionBatch:
        n = len(index)
        gained = rng.random(n) < self.gain_share
        drawn = np.exp(rng.uniform(np.log(self.gain_low), np.log(self.gain_high), n))
        gain = np.where(gained, drawn, 1.0).astype(np.float32)
        sign = np.where(rng.random(n) < self.flip_share, -1.0, 1.0).astype(np.float32)
        signal = self.nights.microvolts(index) * (gain * sign)[:, None]
        return VisionBatch(
            grey=torch.from_numpy(draw_grey(signal, self.spec)),
            signal_uv=torch.from_numpy(signal),
            teacher=torch.from_numpy(self.nights.teacher[index]),
            findings=torch.from_numpy(findings_columns(self.nights, index, gain)),
            events=torch.from_numpy(event_rows(self.nights, index)),
            absolute=torch.from_numpy(~gained),
        )


def draw_batches(weights: NDArray[np.float64], batch_size: int, rng: np.random.Generator) -> Iterator[Index]:
    """Endless batches of epochs drawn by weight, with replacement."""
    cumulative = np.cumsum(weights)
    while True:
        places = rng.random(batch_size) * cumulative[-1]
        yield np.minimum(np.searchsorted(cumulative, places, side="right"), len(weights) - 1).astype(np.int64)


def sweep_batches(index: Index, batch_size: int) -> Iterator[Index]:
    """`index` once, in order."""
    for start in range(0, len(index), batch_size):
        yield index[start : start + batch_size]


@dataclass(frozen=True, slots=True)
class Loader:
    """Runs a batch maker over batches of epochs, `workers` threads ahead, in order, the same for every count.

    Each batch has a generator of its own, seeded by `seed` and its number from `first` on.
    """

    workers: int
    seed: tuple[int, ...]
    first: int = 0

    def __call__(self, make: BatchMaker[Made], batches: Iterable[Index]) -> Iterator[Made]:
        numbered = enumerate(batches, start=self.first)
        if self.workers < 1:
            for number, index in numbered:
                yield make(index, np.random.default_rng([*self.seed, number]))
            return
        waiting: deque[Future[Made]] = deque()
        with ThreadPoolExecutor(self.workers) as pool:
            try:
                for number, index in numbered:
                    waiting.append(pool.submit(make, index, np.random.default_rng([*self.seed, number])))
                    if len(waiting) > 2 * self.workers:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()
