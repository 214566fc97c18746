"""What the service looks at every second: which conditions are alarms, and whether it is alive itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from .alarms import AlarmKind
from .bed import BedState
from .board import free_bytes
from .model import ModelState

if TYPE_CHECKING:
    from .bed import Bed
    from .config import AlarmSettings
    from .service import BedView, Service

__all__ = ["Watch"]

BED_BEAT_S: Final = 90.0
"""Opening a source may take as long as its stall; nothing else keeps a bed's thread for so long."""
DELIVERY_S: Final = 60.0
DISK_EVERY_S: Final = 5.0


class Watch:
    """Turns the state of the service into alarm conditions."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._disk_at = 0.0
        self.free: int | None = None

    def look(self) -> None:
        """Look once at everything."""
        service = self._service
        now = time.monotonic()
        for view in list(service.views.values()):
            self._bed(view, now)
        if now - self._disk_at >= DISK_EVERY_S:
            self._disk_at = now
            self.free = free_bytes(service.configuration.data)
        floor = service.configuration.storage.floor_mb * 1_000_000
        low = self.free is not None and self.free < floor
        detail = f"{(self.free or 0) / 1e6:.0f} MB free, the floor is {floor / 1e6:.0f} MB"
        service.alarms.set(AlarmKind.DISK, "", low, detail)
        page = service.page
        down = service.configuration.page.enabled and bool(page.problem)
        service.alarms.set(AlarmKind.PAGE, "", down, page.problem)
        trouble = service.outlets.trouble(DELIVERY_S)
        service.alarms.set(AlarmKind.DELIVERY, "", bool(trouble), trouble)

    def alive(self) -> bool:
        """Whether systemd's watchdog is to be fed: the loop of decisions works.

        That is: signs of life come from the model's process, or its being away is an alarm that was raised
        (it is started again, or safe mode is on); and the thread of every bed goes round. Where the threads
        of this process hang, nothing is fed, and systemd starts the service anew.
        """
        service, now = self._service, time.monotonic()
        beds = all(now - view.bed.beat < BED_BEAT_S for view in service.views.values())
        model = service.configuration.model
        limit = max(model.hang_s, model.load_s) + 10.0
        silent = now - service.model.heard_at > limit
        excused = service.model.state in (ModelState.SAFE_MODE, ModelState.STOPPED)
        return beds and (excused or not silent)

    def _bed(self, view: BedView, now: float) -> None:
        bed, alarms = view.bed, self._service.alarms
        name, rules = bed.settings.id, bed.settings.alarms
        quiet_s = self._quiet_s(bed, now)
        silent = quiet_s is not None and quiet_s > rules.source_gone_s
        why = f"no sample for {quiet_s or 0:.0f} s" + (f": {bed.problem}" if bed.problem else "")
        alarms.set(AlarmKind.SOURCE_GONE, name, silent, why, rules=rules)
        self._decisions(view, now, quiet_s or 0.0, silent, rules)
        night = bed.night
        recording = bed.folder_problem or (night.signal.error if night is not None else None) or ""
        alarms.set(AlarmKind.RECORDING, name, bool(recording), recording, rules=rules)
        journal = night.journal.error if night is not None else None
        alarms.set(AlarmKind.JOURNAL, name, journal is not None, journal or "", rules=rules)
        results = night.results_error if night is not None else None
        alarms.set(AlarmKind.RESULTS, name, results is not None, results or "", rules=rules)

    def _decisions(
        self, view: BedView, now: float, quiet_s: float, silent: bool, rules: AlarmSettings
    ) -> None:
        bed, alarms, name = view.bed, self._service.alarms, view.bed.settings.id
        night = bed.night.key if bed.night is not None and bed.state is BedState.RECORDING else None
        age_s = view.wait.look(now, night=night, decided_at=view.decided_at, quiet_s=quiet_s, silent=silent)
        if bed.state is not BedState.RECORDING or silent:
            # Without samples there is nothing to decide; that is another alarm.
            alarms.set(AlarmKind.NO_DECISION, name, False, rules=rules)
            alarms.set(AlarmKind.LAG, name, False, rules=rules)
            return
        alarms.set(
            AlarmKind.NO_DECISION, name, age_s > rules.no_decision_s, f"none for {age_s:.0f} s", rules=rules
        )
        detail = f"decisions stand {view.lag_s:.0f} s behind"
        alarms.set(AlarmKind.LAG, name, view.lag_s > rules.lag_s, detail, rules=rules)

    def _quiet_s(self, bed: Bed, now: float) -> float | None:
        """Seconds without a sample in a night of the schedule; None between nights."""
        if bed.recording_since is None or bed.state is BedState.ENDED:
            return None
        return now - max(bed.recording_since, bed.last_sample_at or 0.0)
