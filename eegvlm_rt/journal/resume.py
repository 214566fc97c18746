"""What a night that goes on needs to know of the night so far."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from .frames import RecordKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .frames import Record

__all__ = ["NightState", "night_state"]

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


def night_state(records: Iterable[Record]) -> NightState:
    """Fold the records of a journal. Values of the wrong kind are passed over; of two predictions for one
    epoch the first counts, and one that was not final only where no final one follows.
    """
    header: Mapping[str, Any] = {}
    clock: dict[str, float] = {}
    outcomes: dict[int, str] = {}
    early: dict[int, str] = {}
    last: float | None = None
    count, kind, lost = 0, "", 0
    smoothed: Mapping[str, float] | None = None
    memory: Mapping[str, Any] | None = None
    for record in records:
        body, kind = record.body, record.kind
        count += 1
        if kind == RecordKind.START and not header:
            header = body
        # The first clock counts: later ones tell of the drift since, and the grid does not move with it.
        for name in ("grid_start_device_s", "grid_start_wall_s"):
            if kind == RecordKind.CLOCK and (value := _real(body.get(name))) is not None:
                clock.setdefault(name, value)
        index = body.get("index") if kind in _ANSWERS else None
        if isinstance(index, int) and not isinstance(index, bool) and 0 <= index < 1 << 31:
            tally = outcomes if kind == RecordKind.PREDICTION else early
            tally.setdefault(index, str(body.get("outcome", "scored")))
        if kind in _ANSWERS and (value := _real(body.get("last_timestamp_s"))) is not None:
            last = value
        if kind == RecordKind.PREDICTION:
            smoothed = _distribution(body.get("smoothed"))
            state = body.get("memory")
            memory = state if isinstance(state, dict) else None
        if kind == RecordKind.LOSS and (value := _real(body.get("records"))) is not None:
            lost += max(0, int(value))
    # An early stage stands only where no final answer came: the process ended while it was at work.
    outcomes = {**early, **outcomes}
    upto = max(outcomes, default=-1) + 1
    return NightState(
        header=header,
        grid_start_device_s=clock.get("grid_start_device_s"),
        grid_start_wall_s=clock.get("grid_start_wall_s"),
        next_epoch_index=upto,
        last_timestamp_s=last,
        records=count,
        outcomes=dict(Counter(outcomes.values())),
        missing=_missing(outcomes, upto),
        finished=kind == RecordKind.SHUTDOWN,
        lost_records=lost,
        smoothed=smoothed,
        memory=memory,
    )


def _missing(outcomes: Mapping[int, str], upto: int) -> tuple[int, ...]:
    if len(outcomes) == upto or upto > 1 << 20:
        return ()
    return tuple(index for index in range(upto) if index not in outcomes)


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
