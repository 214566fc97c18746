"""What a stream counts, and what it tells beside its predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any
from weakref import WeakMethod

from ..prediction import Outcome

__all__ = ["StreamEvent", "StreamEventKind", "StreamStatus", "Teller"]


class StreamEventKind(StrEnum):
    """What is worth knowing beside the predictions.

    LAG: answers stand further behind the wire than the threshold. CAUGHT_UP: no longer. CLOCK: the device's
    clock was read anew, told once an epoch, or the host's was set. UNIT: the amplitude of the first epoch
    with signal does not fit the unit. STAMPS: the device's timestamps are those of packets, or
    jitter, and how they are read. RATE: they tell of another rate than the nominal one. SIGNAL: gaps,
    overlaps or drift that go on. JOURNAL: it cannot be written, or can be again. STALLED: the source
    went quiet; the night stays open. SOURCE: the source told of something. FAILED: the model raised an error.
    """

    LAG = "lag"
    CAUGHT_UP = "caught up"
    CLOCK = "clock"
    UNIT = "unit"
    STAMPS = "stamps"
    RATE = "rate"
    SIGNAL = "signal"
    JOURNAL = "journal"
    STALLED = "stalled"
    SOURCE = "source"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """`wall_s` is the host's clock (`time.time()`), `index` the epoch in progress, `detail` for a person."""

    kind: StreamEventKind
    wall_s: float
    index: int
    detail: str


class Teller:
    """What the parts of a stream tell it by; it does not keep the stream.

    Held by its own parts, a stream that is over would wait for the next whole collection of garbage, with
    340 KiB of signal. Python begins one when the objects of a process have become a quarter more: in a
    service of two beds, after some eleven nights.

    Args:
        method: the stream's, `(kind, detail)`.
    """

    def __init__(self, method: Callable[[StreamEventKind, str], None]) -> None:
        self._method = WeakMethod(method)

    def __call__(self, kind: StreamEventKind, detail: str) -> None:
        """Tell, if the stream is there."""
        method = self._method()
        if method is not None:
            method(kind, detail)


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """The night so far.

    Attributes:
        epochs: epochs by outcome; their sum is `total`.
        provisional: provisional predictions given.
        dropped_samples: duplicates, overlaps, drift, and samples before lights-off.
        grid_start_device_s, grid_start_wall_s: device and host time of the start of epoch 0; None before the
            first sample.
        drift_ppm: how much faster the device's clock runs than the host's; None before it can be told.
        lag_s: of the last final prediction; `worst_lag_s` of all.
        clock_jumps: how often the device's clock was read anew.
        journal_losses: records of the journal that could not be written.
        unrecorded: epochs before a resume whose records were lost; they are in none of the counts.
    """

    epochs: Mapping[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    provisional: int = 0
    dropped_samples: int = 0
    grid_start_device_s: float | None = None
    grid_start_wall_s: float | None = None
    drift_ppm: float | None = None
    lag_s: float = 0.0
    worst_lag_s: float = 0.0
    clock_jumps: int = 0
    journal_losses: int = 0
    unrecorded: int = 0

    @property
    def total(self) -> int:
        """Epochs of the night, each with one outcome."""
        return sum(self.epochs.values())

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields."""
        return {**asdict(self), "epochs": {str(outcome): n for outcome, n in self.epochs.items()}}
