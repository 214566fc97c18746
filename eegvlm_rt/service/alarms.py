"""Technical alarms: conditions, priorities, latching, acknowledgement, pauses.

The words are those of IEC 60601-1-8 (alarm condition, latching, acknowledged, alarm paused); the service is
no medical alarm system and does not claim that standard. A sleep stage is never an alarm.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from .wording import without_paths

if TYPE_CHECKING:
    from collections.abc import Callable

    from .config import AlarmSettings

__all__ = ["ADVICE", "Alarm", "AlarmKind", "AlarmState", "Alarms", "Priority"]

LONGEST_PAUSE_S: Final = 1800.0
CLEAR_S: Final = 3.0
"""A condition must be over for this long: one that comes and goes is one alarm."""
HISTORY: Final = 200


class Priority(StrEnum):
    """HIGH: signal is being lost. MEDIUM: decisions are. LOW: to be known by the morning."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class AlarmKind(StrEnum):
    """Every alarm condition there is."""

    SOURCE_GONE = "source_gone"
    NO_DECISION = "no_decision"
    DISK = "disk"
    RECORDING = "recording"
    JOURNAL = "journal"
    UNIT = "unit"
    LAG = "lag"
    MODEL = "model"
    SAFE_MODE = "safe_mode"
    PAGE = "page"
    DELIVERY = "delivery"
    CONFIGURATION = "configuration"
    BUNDLE = "bundle"
    CLOCK = "clock"
    RESULTS = "results"


class AlarmState(StrEnum):
    """ACTIVE: the condition is there. ACKNOWLEDGED: it is there and somebody has seen it. LATCHED: it is
    over, and stays shown until somebody has seen it. OVER: neither.
    """

    ACTIVE = "active"
    ACKNOWLEDGED = "acknowledged"
    LATCHED = "latched"
    OVER = "over"


PRIORITIES: Final = {
    AlarmKind.SOURCE_GONE: Priority.HIGH,
    AlarmKind.RECORDING: Priority.HIGH,
    AlarmKind.SAFE_MODE: Priority.MEDIUM,
    AlarmKind.NO_DECISION: Priority.MEDIUM,
    AlarmKind.DISK: Priority.MEDIUM,
    AlarmKind.JOURNAL: Priority.MEDIUM,
    AlarmKind.UNIT: Priority.MEDIUM,
    AlarmKind.RESULTS: Priority.MEDIUM,
    AlarmKind.BUNDLE: Priority.MEDIUM,
    AlarmKind.CONFIGURATION: Priority.MEDIUM,
    AlarmKind.MODEL: Priority.LOW,
    AlarmKind.LAG: Priority.LOW,
    AlarmKind.PAGE: Priority.LOW,
    AlarmKind.DELIVERY: Priority.LOW,
    AlarmKind.CLOCK: Priority.LOW,
}
LATCHING: Final = frozenset({AlarmKind.RECORDING, AlarmKind.SAFE_MODE, AlarmKind.UNIT, AlarmKind.BUNDLE})
ADVICE: Final = {
    AlarmKind.SOURCE_GONE: "Check power, cable and electrodes of the amplifier, and that its stream is on.",
    AlarmKind.NO_DECISION: "The signal is recorded. If this lasts, restart the service.",
    AlarmKind.DISK: "Free space on the disk of the nights' folder.",
    AlarmKind.RECORDING: "The signal cannot be written: check the disk and the rights of its folder.",
    AlarmKind.JOURNAL: "Decisions cannot be written down: check the disk.",
    AlarmKind.UNIT: "The amplitude does not fit the unit: set 'unit' of this bed, or check the electrodes.",
    AlarmKind.LAG: "Decisions come late: give the model fewer beds, another mode, or more threads.",
    AlarmKind.MODEL: "The model ended and was started again. The signal is recorded.",
    AlarmKind.SAFE_MODE: "The model ended too often and is off. The signal is recorded. Read the log.",
    AlarmKind.PAGE: "The page's process ended. Recording and decisions are not touched.",
    AlarmKind.DELIVERY: "Alarms cannot be delivered: check the network, the webhook and the broker.",
    AlarmKind.CONFIGURATION: "The new configuration is wrong and not in force: run serve --check.",
    AlarmKind.BUNDLE: "The new model was refused or taken back: read the log.",
    AlarmKind.CLOCK: "The host's clock was set: check its time service.",
    AlarmKind.RESULTS: "The result files cannot be written: check the disk. The journal has everything.",
}


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm as it stands. `bed` is empty for one of the whole service. `since_s` is when the condition
    began, `changed_s` when the alarm last changed, both seconds since 1970; `count` is how often the
    condition came within this alarm, `number` grows with every change of any alarm. `latching`: it stays
    shown until somebody has seen it.
    """

    kind: AlarmKind
    bed: str
    priority: Priority
    state: AlarmState
    detail: str
    since_s: float
    changed_s: float
    count: int
    number: int
    latching: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Bed and kind: there is one alarm of each."""
        return self.bed, str(self.kind)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields."""
        return {
            "kind": str(self.kind),
            "bed": self.bed,
            "priority": str(self.priority),
            "state": str(self.state),
            "detail": self.detail,
            "advice": ADVICE[self.kind],
            "since_s": self.since_s,
            "changed_s": self.changed_s,
            "count": self.count,
            "number": self.number,
        }


class Alarms:
    """All alarms of a service; may be used from several threads.

    `on_change` is called with every alarm that changed, in order, and must return soon.
    """

    def __init__(self, on_change: Callable[[Alarm], None]) -> None:
        self._on_change = on_change
        self._lock = threading.RLock()
        self._now: dict[tuple[str, str], Alarm] = {}
        self._over_since: dict[tuple[str, str], float] = {}
        self._paused_until: dict[str, float] = {}
        self._number = 0
        self.raised = 0
        self.history: deque[Alarm] = deque(maxlen=HISTORY)

    def set(
        self,
        kind: AlarmKind,
        bed: str,
        present: bool,
        detail: str = "",
        *,
        rules: AlarmSettings | None = None,
    ) -> None:
        """The condition is there, or is not. `rules` are the bed's settings."""
        if rules is not None and kind in rules.off:
            present = False
        detail = without_paths(detail)
        with self._lock:
            key = (bed, str(kind))
            alarm = self._now.get(key)
            if present:
                self._over_since.pop(key, None)
                self._present(kind, bed, detail, alarm, rules)
            elif alarm is not None and alarm.state in (AlarmState.ACTIVE, AlarmState.ACKNOWLEDGED):
                since = self._over_since.setdefault(key, time.monotonic())
                if time.monotonic() - since >= CLEAR_S:
                    self._over(alarm)

    def tell(self, kind: AlarmKind, bed: str, detail: str, *, rules: AlarmSettings | None = None) -> None:
        """A condition that lasts for a moment: the alarm is over after `CLEAR_S`, or latched."""
        with self._lock:
            self.set(kind, bed, True, detail, rules=rules)
            self._over_since[(bed, str(kind))] = time.monotonic()

    def settle(self) -> None:
        """Bring alarms to their end whose condition was over for long enough; to be called every second."""
        with self._lock:
            for key, since in list(self._over_since.items()):
                alarm = self._now.get(key)
                if alarm is None or alarm.state in (AlarmState.LATCHED, AlarmState.OVER):
                    del self._over_since[key]
                elif time.monotonic() - since >= CLEAR_S:
                    self._over(alarm)
            for bed, until in list(self._paused_until.items()):
                if time.monotonic() >= until:
                    del self._paused_until[bed]
                    for alarm in self.current():
                        if alarm.bed == bed and alarm.state is AlarmState.ACTIVE:
                            self._change(alarm)

    def acknowledge(self, kind: str, bed: str) -> bool:
        """Somebody has seen it. A latched alarm is over with that. False where there is no such alarm."""
        with self._lock:
            alarm = self._now.get((bed, kind))
            if alarm is None or alarm.state is AlarmState.OVER:
                return False
            if alarm.state is AlarmState.LATCHED:
                self._change(replace(alarm, state=AlarmState.OVER))
            elif alarm.state is AlarmState.ACTIVE:
                self._change(replace(alarm, state=AlarmState.ACKNOWLEDGED))
            return True

    def pause(self, bed: str, seconds: float) -> float:
        """Deliver no alarms of a bed for a while, as during care; 0 ends the pause. Returns the seconds in
        force. Alarms go on being shown and recorded; those still active afterwards are delivered then.
        """
        with self._lock:
            seconds = min(max(0.0, seconds), LONGEST_PAUSE_S)
            self._paused_until[bed] = time.monotonic() + seconds
            if not seconds:
                self.settle()
            return seconds

    def paused_s(self, bed: str) -> float:
        """Seconds for which the bed's alarms are still paused."""
        with self._lock:
            return max(0.0, self._paused_until.get(bed, 0.0) - time.monotonic())

    def current(self) -> list[Alarm]:
        """Alarms that are not over, the most urgent first."""
        order = list(Priority)
        with self._lock:
            shown = [alarm for alarm in self._now.values() if alarm.state is not AlarmState.OVER]
        return sorted(shown, key=lambda alarm: (order.index(alarm.priority), alarm.since_s))

    def forget(self, bed: str) -> None:
        """A bed that is no part of the service any more."""
        with self._lock:
            for alarm in self.current():
                if alarm.bed == bed:
                    self._change(replace(alarm, state=AlarmState.OVER))
            self._now = {key: alarm for key, alarm in self._now.items() if key[0] != bed}
            self._over_since = {key: since for key, since in self._over_since.items() if key[0] != bed}
            self._paused_until.pop(bed, None)

    def _present(
        self, kind: AlarmKind, bed: str, detail: str, alarm: Alarm | None, rules: AlarmSettings | None
    ) -> None:
        priority = PRIORITIES[kind]
        if rules is not None and str(kind) in rules.priorities:
            priority = Priority(rules.priorities[str(kind)])
        now = time.time()
        if alarm is None or alarm.state is AlarmState.OVER:
            self.raised += 1
            stays = kind in (LATCHING if rules is None or rules.latching is None else rules.latching)
            self._change(Alarm(kind, bed, priority, AlarmState.ACTIVE, detail, now, now, 1, 0, stays))
        elif alarm.state is AlarmState.LATCHED:
            self.raised += 1
            self._change(
                replace(alarm, state=AlarmState.ACTIVE, detail=detail, since_s=now, count=alarm.count + 1)
            )
        elif alarm.detail != detail:
            # Another wording is no news to whoever was told of the condition.
            self._now[alarm.key] = replace(alarm, detail=detail)

    def _over(self, alarm: Alarm) -> None:
        self._over_since.pop(alarm.key, None)
        stays = alarm.latching and alarm.state is AlarmState.ACTIVE
        self._change(replace(alarm, state=AlarmState.LATCHED if stays else AlarmState.OVER))

    def _change(self, alarm: Alarm) -> None:
        self._number += 1
        alarm = replace(alarm, number=self._number, changed_s=time.time())
        self._now[alarm.key] = alarm
        self.history.append(alarm)
        self._on_change(alarm)
