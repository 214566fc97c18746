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

from eegvlm_rt.rendering.renderer import RenderSpec, render_batch

from .nightset import NightSet

__all__ = [
    "Batch",
    "BatchMaker",
    "Loader",
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
    """`grey` uint8 (n, H, W) pictures; `teacher` float32 (n, 5) probabilities."""

    grey: Tensor
    teacher: Tensor


def moved(batch: Made, device: torch.device) -> Made:
    """The batch on `device`, from pinned memory where that helps."""

    def move(value: Tensor) -> Tensor:
        pinned = value.pin_memory() if device.type == "cuda" else value
        return pinned.to(device, non_blocking=True)

    return type(batch)(**{field.name: move(getattr(batch, field.name)) for field in fields(batch)})


def draw_grey(signal_uv: NDArray[np.float32], spec: RenderSpec) -> NDArray[np.uint8]:
    """(n, samples) µV -> (n, H, W) uint8: one plane of what `render` shows; its three planes are equal."""
    pictures = render_batch(signal_uv, spec, output="u8")
    return np.ascontiguousarray(pictures[..., 0])


class BatchMaker(Protocol[MadeOut]):
    """Makes the batch of some epochs; the generator is the batch's own."""

    def __call__(self, index: Index, rng: np.random.Generator) -> MadeOut: ...


@dataclass(frozen=True)
class VisionBatch(Batch):
    """`signal_uv` float32 (n, 3000); `findings` float32 (n, 6) as in `findings_columns`; `absolute` bool
    (n,): no gain was applied."""

    signal_uv: Tensor
    findings: Tensor
    absolute: Tensor


def findings_columns(nights: NightSet, index: Index, gain: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 6): rhythm index, alpha share, spindles, K-complexes, slow-wave share, log10 amplitude after the
    gain."""
    table = nights.findings
    if table is None:
        raise ValueError("findings: none; load the nights with findings")
    amplitude = np.log10(np.maximum(table.amplitude_uv[index] * gain, 1.0))
    columns = (table.rhythm, table.alpha_share, table.spindles, table.k_complexes, table.slow_wave_share)
    return np.stack([*(column[index].astype(np.float32) for column in columns), amplitude], axis=1)


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
