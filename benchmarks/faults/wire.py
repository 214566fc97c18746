"""What a device with faults sends, and which epochs each fault may touch.

Places are sample numbers of the night's grid. A fault that damages samples may touch every epoch that holds
one, that the resampling filter lets look at one, or whose beginning still holds what the causal filters keep
of it (`settling_s`). A fault of the clock or the wire may touch the flags of its epoch and nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from eegvlm_rt.signal.conditioning import filter_sos, lookahead_s
from eegvlm_rt.signal.units import EPOCH_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from eegvlm_rt.signal.quality import QualityFlag

    from .signals import Signal

__all__ = ["EPOCHS_APART", "Wire", "places", "settling_s"]

T0: Final = 41_000.25
"""Device time of the first sample."""
EPOCHS_APART: Final = 5
_SUNK: Final = 1e-15


def settling_s(sfreq: float) -> float:
    """Seconds until what the causal filters keep of a sample has sunk to 1e-15 of it: 0.1 V to 1e-10 µV,
    which no float32 of the conditioned signal shows. From the largest pole.
    """
    poles = np.concatenate([np.roots(section[3:]) for section in filter_sos(sfreq)])
    return math.log(_SUNK) / math.log(float(np.abs(poles).max())) / sfreq


def places(rng: np.random.Generator, signal: Signal, faults: int) -> list[int]:
    """First samples of `faults` faults, at least `EPOCHS_APART` epochs from each other, none in epoch 0."""
    width = (signal.epochs - 1) / faults
    if width < min(EPOCHS_APART, 3):
        raise ValueError(f"{signal.name}: {signal.epochs} epochs hold no {faults} faults")
    spread = max(0.5, width - EPOCHS_APART + 1)
    per_epoch = EPOCH_S * signal.sfreq
    return [int((1 + width * i + rng.uniform(0, spread)) * per_epoch) for i in range(faults)]


@dataclass(eq=False)
class Wire:
    """A night on its way to the stager: it is read from `signal` in order, and faults are written into it.

    Attributes:
        touched: intervals of the grid, in samples, within which anything may differ.
        flagged: the same, of what may have other quality flags and nothing else that is other.
        required: intervals in one of whose epochs a flag has to be.
        notes: the faults in words.
        offset_s: what the device's clock is off by.
    """

    signal: Signal
    touched: list[tuple[float, float]] = field(default_factory=list)
    flagged: list[tuple[float, float]] = field(default_factory=list)
    required: list[tuple[float, float, QualityFlag]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    offset_s: float = 0.0
    _next: int = 0
    _end: int = 0
    _clean: list[NDArray[np.float32]] = field(default_factory=list)
    _pieces: list[tuple[NDArray[np.float32], NDArray[np.float64], float, bool]] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Rate in Hz."""
        return self.signal.sfreq

    @property
    def clean(self) -> NDArray[np.float32]:
        """The signal as the grid would hold it had nothing been damaged."""
        return np.concatenate(self._clean)

    @property
    def end(self) -> int:
        """Samples of the grid so far."""
        return self._end

    def to(self, place: int) -> None:
        """Send the signal undamaged up to its sample `place`."""
        self.send(*self.take(max(0, place - self._next)))

    def ahead(self, n: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """The next `n` samples and the device's timestamps for them."""
        x = self.signal.samples_uv[self._next : self._next + n]
        return x.copy(), T0 + self.offset_s + np.arange(self._next, self._next + len(x)) / self.rate

    def take(self, n: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """The next `n` samples with their timestamps, which have their place but are not sent."""
        x, stamps = self.ahead(n)
        self._next += len(x)
        self._clean.append(x.copy())
        self._end += len(x)
        return x, stamps

    def send(
        self,
        x: NDArray[np.float32],
        stamps: NDArray[np.float64],
        *,
        step_s: float = 0.0,
        at_once: bool = False,
    ) -> None:
        """Put samples on the wire, `at_once` in one piece. While the first of them is on its way, the
        host's clock is set by `step_s`.
        """
        if len(x):
            self._pieces.append((x, stamps, step_s, at_once))

    def pause(self, n: int) -> None:
        """Let the grid go on by `n` samples for which the signal has none."""
        self._clean.append(np.full(n, np.nan, dtype=np.float32))
        self._end += n

    def skip(self, n: int) -> None:
        """Pass over samples of the signal that get no place, as if they had never been."""
        self._next += n

    def finish(self) -> None:
        """Send the rest."""
        self.to(len(self.signal.samples_uv))

    def damage(self, first: int, last: int, what: str, flag: QualityFlag | None = None) -> None:
        """Samples `first` to `last` are not what they were; one of their epochs has to bear the flag."""
        ahead = math.ceil(lookahead_s(self.rate) * self.rate) + 1
        self.touched.append((first - ahead, last + settling_s(self.rate) * self.rate))
        self._require(first, last, flag)
        self.tell(first, what)

    def mark(self, first: int, last: int, what: str, flag: QualityFlag | None = None) -> None:
        """The clock of samples `first` to `last` is not what it was; one of their epochs has to bear the
        flag.
        """
        self.flagged.append((first, last))
        self._require(first, last, flag)
        self.tell(first, what)

    def _require(self, first: int, last: int, flag: QualityFlag | None) -> None:
        if flag is not None:
            self.required.append((first, last, flag))

    def tell(self, place: int, what: str) -> None:
        """A fault in words."""
        self.notes.append(f"{what} at {place / self.rate:.2f} s")

    def handed_over(
        self, rng: np.random.Generator
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float64], float]]:
        """`chunks`, which are then no longer on the wire."""
        yield from self.chunks(rng)
        self._pieces.clear()

    def chunks(
        self, rng: np.random.Generator
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float64], float]]:
        """Samples, timestamps and step of the host's clock, in chunks of one sample to 10 s."""
        for x, stamps, step_s, at_once in self._pieces:
            start = 0
            while start < len(x):
                size = 1 if rng.random() < 0.02 else max(1, int(self.rate * 10 ** rng.uniform(-1.5, 1.0)))
                end = len(x) if at_once else min(len(x), start + size)
                yield x[start:end], stamps[start:end], step_s if start == 0 else 0.0
                start = end
