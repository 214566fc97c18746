"""What a night that goes on needs to know of the night so far."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any

from .frames import RecordKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .frames import Record

__all__ = ["NightFold", "NightState", "night_state"]

_ANSWERS = (RecordKind.PREDICTION, RecordKind.STAGE)


@dataclass(frozen=True, slots=True)
class NightState:
    """A night as its journal tells it.

    Attributes:
        header: body of the start record.
        grid_start_device_s: device time at which epoch 0 begins, None before the first sample.
        grid_start_wall_s: the same in seconds since 1970.
        next_epoch_index: number of the first epoch without a prediction after all those that have one.
        last_timestamp_s: device time of the last sample that was taken into account.
        records: how many records the journal holds.
        outcomes: epochs by outcome.
        missing: numbers below `next_epoch_index` without a prediction, where records were lost.
        finished: whether the night was ended in order.
        lost_records: records that `loss` records tell of.
        smoothed: the smoothed probabilities of the last prediction, by the stage's name; None without.
        memory: the night memory after the last prediction, as `MemoryState.to_dict` wrote it; None without.
    """

    header: Mapping[str, Any]
    grid_start_device_s: float | None
    grid_start_wall_s: float | None
    next_epoch_index: int
    last_timestamp_s: float | None
    records: int
    outcomes: Mapping[str, int] = field(default_factory=dict)
    missing: tuple[int, ...] = ()
    finished: bool = False
    lost_records: int = 0
    smoothed: Mapping[str, float] | None = None
    memory: Mapping[str, Any] | None = None

    @property
    def start(self) -> datetime | None:
        """Clock time of epoch 0, without a time zone: the clock of the recording that was replayed, else the
        local time of the host, else UTC, as far as the header tells; None where it is not known.
        """
        began, offset_s = self.header.get("recording_start"), self.header.get("utc_offset_s")
        try:
            if isinstance(began, str) and self.grid_start_device_s is not None:
                start = datetime.fromisoformat(began).replace(tzinfo=None)
                return start + timedelta(seconds=self.grid_start_device_s)
            if self.grid_start_wall_s is None:
                return None
            start = datetime.fromtimestamp(self.grid_start_wall_s, UTC).replace(tzinfo=None)
            is_offset = isinstance(offset_s, int | float) and abs(offset_s) <= 86_400
            return start + timedelta(seconds=offset_s) if is_offset and offset_s is not None else start
        except (OverflowError, OSError, ValueError):
            return None


class NightFold:
    """The state of a night, record by record: two words an epoch and what the latest records tell.

    Values of the wrong kind are passed over; of two predictions for one epoch the first counts, and one that
    was not final only where no final one follows.

    Attributes:
        header: body of the start record, empty before it.
        next_epoch_index: number of the first epoch after all those that have an answer.
    """

    def __init__(self) -> None:
        self.header: Mapping[str, Any] = {}
        self.next_epoch_index = 0
        self._clock: dict[str, float] = {}
        self._outcomes: dict[int, str] = {}
        self._early: dict[int, str] = {}
        self._last: float | None = None
        self._count, self._kind, self._lost = 0, "", 0
        self._smoothed: Mapping[str, float] | None = None
        self._memory: Mapping[str, Any] | None = None

    def add(self, kind: str, body: Mapping[str, Any]) -> int | None:
        """Take the next record; the number of the epoch whose answer it now is, None where it is none's."""
        self._count += 1
        self._kind = kind
        if kind == RecordKind.START and not self.header:
            self.header = body
        elif kind == RecordKind.CLOCK:
            # The first clock counts: later ones tell of the drift since, and the grid does not move with it.
            for name in ("grid_start_device_s", "grid_start_wall_s"):
                if name not in self._clock and (value := _real(body.get(name))) is not None:
                    self._clock[name] = value
        elif kind == RecordKind.LOSS and (value := _real(body.get("records"))) is not None:
            self._lost += max(0, int(value))
        if kind not in _ANSWERS:
            return None
        if (value := _real(body.get("last_timestamp_s"))) is not None:
            self._last = value
        if kind == RecordKind.PREDICTION:
            self._smoothed = _distribution(body.get("smoothed"))
            state = body.get("memory")
            self._memory = state if isinstance(state, dict) else None
        return self._answer(kind, body)

    def state(self) -> NightState:
        """The night so far."""
        return NightState(
            header=self.header,
            grid_start_device_s=self._clock.get("grid_start_device_s"),
            grid_start_wall_s=self._clock.get("grid_start_wall_s"),
            next_epoch_index=self.next_epoch_index,
            last_timestamp_s=self._last,
            records=self._count,
            outcomes=dict(Counter(chain(self._outcomes.values(), self._early.values()))),
            missing=self._missing(),
            finished=self._kind == RecordKind.SHUTDOWN,
            lost_records=self._lost,
            smoothed=self._smoothed,
            memory=self._memory,
        )

    def _answer(self, kind: str, body: Mapping[str, Any]) -> int | None:
        index = body.get("index")
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < 1 << 31:
            return None
        is_final = kind == RecordKind.PREDICTION
        if index in self._outcomes or (not is_final and index in self._early):
            return None
        # One text for all epochs of an outcome, not one for each.
        outcome = sys.intern(str(body.get("outcome", "scored")))
        if is_final:
            # An early stage stands only where no final answer came: the process ended while it was at work.
            self._early.pop(index, None)
            self._outcomes[index] = outcome
        else:
            self._early[index] = outcome
        self.next_epoch_index = max(self.next_epoch_index, index + 1)
        return index

    def _missing(self) -> tuple[int, ...]:
        count = self.next_epoch_index
        if len(self._outcomes) + len(self._early) == count or count > 1 << 20:
            return ()
        return tuple(index for index in range(count) if not (index in self._outcomes or index in self._early))


def night_state(records: Iterable[Record]) -> NightState:
    """Fold the records of a journal, as `NightFold` does."""
    fold = NightFold()
    for record in records:
        fold.add(record.kind, record.body)
    return fold.state()


def _distribution(value: object) -> dict[str, float] | None:
    if not isinstance(value, dict) or len(value) > 32:
        return None
    shares = {str(name): _real(p) for name, p in value.items()}
    parts = {name: p for name, p in shares.items() if p is not None and 0 <= p <= 1}
    return parts if len(parts) == len(value) and abs(sum(parts.values()) - 1) < 1e-6 else None


def _real(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e15:
        return None
    return float(value)
