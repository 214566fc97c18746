"""The service: beds, the model's process, the page's process, alarms and their delivery."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections import Counter, deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import EegVlmError, InputError
from ..heap import fill_small_blocks
from ..journal.frames import RecordKind
from .alarms import Alarm, AlarmKind, Alarms
from .bed import Bed
from .clock import Clock
from .decision_wait import DecisionWait
from .histogram import Histogram
from .model import ModelLink, ModelState
from .outlets import Outlets
from .page_rows import row_of
from .pagelink import PageLink
from .results import ResultWriter
from .sdnotify import Notifier
from .slots import BundleSlots
from .state import readiness, state_of
from .watch import Watch
from .wording import without_paths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .config import Configuration, PageSettings
    from .night import BedNight

__all__ = ["NotYetError", "Service"]

TICK_S: Final = 1.0
HAPPENINGS: Final = 200

_log = logging.getLogger("eegvlm_rt.service")


class NotYetError(InputError):
    """What the service needs is not there yet, or is in use; to start it again later may succeed."""


class BedView:
    """A bed with what is known of its decisions; times are `time.monotonic()`."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self.decided_at: float | None = None
        self.wait = DecisionWait()
        self.last: dict[str, Any] | None = None
        self.shown: BedNight | None = None
        self.lag_s = 0.0
        self.outcomes: Counter[str] = Counter()
        self.stage_ms = Histogram((5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000))
        self.total_ms = Histogram((10, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 30_000))
        self.happenings: deque[dict[str, Any]] = deque(maxlen=HAPPENINGS)


class Service:
    """Runs what a configuration asks for, until `stop`.

    start: begins; raises NotYetError where the folder of the nights is in use by another process.
    tick: to be called once a second; `run` does, until `stop` is called or a signal handler sets `stopping`.
    reload: other settings, without losing a sample.
    """

    def __init__(
        self, configuration: Configuration, *, clock: Clock | None = None, notifier: Notifier | None = None
    ) -> None:
        self.configuration = configuration
        self.stopping = threading.Event()
        self.alarms = Alarms(self._alarm)
        self.views: dict[str, BedView] = {}
        self._clock = Clock() if clock is None else clock
        self._notifier = Notifier({}) if notifier is None else notifier
        self._lock = threading.RLock()
        self._ending: dict[str, BedNight] = {}
        self._descriptor: int | None = None
        self._status = ""
        self._port: int | None = None
        self.started_at = time.monotonic()
        self.ticked_at = self.started_at
        model = configuration.model
        self.slots = None if model.slots is None else BundleSlots(model.slots)
        self.model = ModelLink(
            model,
            self._bundle,
            on_record=self._record,
            on_text=self._text,
            on_event=self._stream_event,
            on_finished=self._finished,
            on_state=self._model_state,
        )
        self.page = PageLink(configuration.page, snapshot=self._snapshot, on_request=self._request)
        self.outlets = Outlets(configuration, self.alarms)
        self.results = ResultWriter(self.nights, configuration.storage, configuration.device)
        self.watch = Watch(self)

    def start(self) -> None:
        """Begin. Raises NotYetError, InputError."""
        self._claim()
        fill_small_blocks()
        self.results.start()
        self.outlets.start()
        self.model.start()
        for settings in self.configuration.beds:
            self._add_bed(settings)
        if self.configuration.page.enabled:
            self.page.start()
        self._notifier.ready("started")

    def run(self) -> None:
        """Go on until `stopping` is set."""
        while not self.stopping.wait(TICK_S):
            self.tick()

    def tick(self) -> None:
        """One look at everything."""
        self.ticked_at = time.monotonic()
        self.model.watch()
        self.page.watch()
        if self.page.port != self._port:
            self._port = self.page.port
            if self._port is not None:
                self._note("", "page", f"listens at {self.configuration.page.host}, port {self._port}")
        self.watch.look()
        self.alarms.settle()
        self._switch_bundle()
        state = self.state()
        self.page.tell({"t": "state", **state})
        self.outlets.state(state)
        if state["status"] != self._status:
            self._status = state["status"]
            self._notifier.status(self._status)
        if self.watch.alive():
            self._notifier.alive()

    def stop(self) -> None:
        """End the service; nights stay open and are resumed by the next start."""
        self._notifier.stopping()
        self.stopping.set()
        for view in list(self.views.values()):
            view.bed.halt()
        for view in list(self.views.values()):
            view.bed.stop()
        self.model.stop()
        self.results.stop()
        for night in self.nights():
            night.leave()
        self.page.stop()
        self.outlets.stop()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def reload(self, configuration: Configuration) -> None:
        """Other settings. Beds that stay as they are notice nothing; a bed's night goes on where its source
        is the same. The folder of the nights cannot change.
        """
        self._notifier.reloading(time.monotonic_ns() // 1000)
        old, self.configuration = self.configuration, configuration
        if configuration.data != old.data:
            self.refuse_configuration("data: another folder needs a restart of the service")
            self.configuration = old
            self._notifier.ready(self._status)
            return
        with self._lock:
            settings_by_bed = {settings.id: settings for settings in configuration.beds}
            for name in [name for name in self.views if name not in settings_by_bed]:
                self._remove_bed(name)
            for name, settings in settings_by_bed.items():
                if name in self.views:
                    bed = self.views[name].bed
                    bed.reconfigure(settings, configuration.model, configuration.timezone)
                else:
                    self._add_bed(settings)
        if configuration.model != old.model:
            slots = configuration.model.slots
            self.slots = None if slots is None else BundleSlots(slots)
            self.model.restart(configuration.model)
        self._reload_page(old.page, configuration.page)
        self.results.storage = configuration.storage
        self.outlets.reload(configuration)
        self.alarms.set(AlarmKind.CONFIGURATION, "", False)
        if (configuration.log_format, configuration.log_file) != (old.log_format, old.log_file):
            self._note("", "configuration", "log: another form or file of it needs a restart of the service")
        self._notifier.ready(self._status or "reloaded")

    def _reload_page(self, old: PageSettings, new: PageSettings) -> None:
        if old.enabled and new.enabled and (old != new or self.page.outdated()):
            self.page.restart(new)
        elif old.enabled != new.enabled:
            self.page.stop()
            self.page = PageLink(new, snapshot=self._snapshot, on_request=self._request)
            if new.enabled:
                self.page.start()

    def refuse_configuration(self, why: str) -> None:
        """A configuration that was to be loaded is wrong: the old one stays in force."""
        _log.error("configuration refused: %s", why)
        self.alarms.set(AlarmKind.CONFIGURATION, "", True, why)

    def nights(self) -> list[BedNight]:
        """Nights that are not finished: being recorded, or waiting for their last decisions."""
        with self._lock:
            return [night for night in self._ending.values() if not night.finished]

    def state(self) -> dict[str, Any]:
        """Everything that the page, the metrics and the brokers show; JSON-able."""
        return state_of(self)

    def ready(self) -> list[str]:
        """Why the service is not ready; empty where it is."""
        return readiness(self)

    def acknowledge(self, kind: str, bed: str, by: str) -> bool:
        """Somebody (`by`) has seen an alarm."""
        is_alarm = self.alarms.acknowledge(kind, bed)
        if is_alarm:
            self._note(bed, "alarm", f"{kind} acknowledged by {by}")
        return is_alarm

    def _claim(self) -> None:
        """One process writes to a folder of nights."""
        data = self.configuration.data
        try:
            data.mkdir(mode=0o750, parents=True, exist_ok=True)
            descriptor = os.open(data / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise NotYetError("data", str(data), f"cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise NotYetError("data", str(data), "another service uses this folder") from error
        self._descriptor = descriptor

    def _bundle(self) -> str:
        return self.configuration.model.bundle if self.slots is None else str(self.slots.current())

    def _switch_bundle(self) -> None:
        """A bundle that was installed takes over between two nights."""
        # A night that has no decision yet has not begun for the model: where one night follows another
        # without pause, that is the time.
        if self.slots is None or any(night.outcomes for night in self.nights()):
            return
        try:
            if self.slots.switch():
                self.slots.begin_trial(self.model.restarts)
                self.model.restart()
                self._note("", "bundle", "the installed bundle is in force")
        except (EegVlmError, OSError) as error:
            self.alarms.set(AlarmKind.BUNDLE, "", True, str(error))

    def _add_bed(self, settings: Any) -> None:
        bed = Bed(
            settings,
            self.configuration.data,
            self.configuration.model,
            self.configuration.timezone,
            self._clock,
            on_night=self._night,
            on_event=self._bed_event,
            on_samples=self._samples,
        )
        with self._lock:
            self.views[settings.id] = BedView(bed)
        bed.start()

    def _remove_bed(self, name: str) -> None:
        view = self.views.pop(name)
        view.bed.remove()
        self.alarms.forget(name)
        self.page.tell({"t": "gone", "bed": name})

    def _night(self, bed: Bed, night: BedNight) -> None:
        """A night was opened: it is fed to the model until it is finished."""
        with self._lock:
            self._ending[night.key] = night
            view = self.views.get(bed.settings.id)
            if view is not None and not night.ended:
                view.shown, view.decided_at = night, None
                view.last = night.rows.last()
        self.model.add(night)
        if not night.ended:
            self.page.tell({"t": "night", "bed": bed.settings.id, "key": night.key}, night.rows.to_json())

    def _record(self, night: BedNight, kind: str, body: dict[str, Any]) -> None:
        if kind not in (RecordKind.PREDICTION, RecordKind.STAGE):
            return
        view = self.views.get(night.bed.id)
        if view is None:
            return
        row = row_of(body)
        final = kind == RecordKind.PREDICTION
        if view.shown is night:
            view.last, view.lag_s = row, float(row["lag_s"] or 0.0)
        if final:
            view.decided_at = time.monotonic()
            view.outcomes[row["outcome"]] += 1
            view.stage_ms.add(row["stage_ms"])
            view.total_ms.add(row["total_ms"])
        self.page.tell({"t": "row", "bed": night.bed.id, "key": night.key, "final": final, "row": row})
        self.outlets.row(night, row, final=final)

    def _finished(self, night: BedNight) -> None:
        with self._lock:
            self._ending.pop(night.key, None)
        self._note(night.bed.id, "night", f"{night.folder.name}: results are complete")
        self.results.finished(night)
        if self.slots is not None:
            try:
                if self.slots.judge(night, restarts=self.model.restarts):
                    self.model.restart()
                    self.alarms.set(AlarmKind.BUNDLE, "", True, "the first night failed: went back")
            except (EegVlmError, OSError) as error:
                _log.warning("bundle slots: %s", error)

    def _text(self, night: BedNight, index: int, text: str) -> None:
        self.page.tell({"t": "text", "bed": night.bed.id, "key": night.key, "index": index, "text": text})

    def _samples(self, bed: Bed, samples: Any, _received_s: float) -> None:
        blob = np.asarray(samples, dtype="<f4").tobytes()
        self.page.tell({"t": "trace", "bed": bed.settings.id, "sfreq": bed.sfreq}, blob)

    def _stream_event(self, night: BedNight, kind: str, detail: str) -> None:
        rules = night.bed.alarms
        if kind == "unit":
            self.alarms.set(AlarmKind.UNIT, night.bed.id, True, detail, rules=rules)
        elif kind in ("refused", "failed"):
            self.alarms.tell(AlarmKind.MODEL, night.bed.id, detail, rules=rules)
        self._note(night.bed.id, kind, detail)

    def _bed_event(self, bed: Bed, kind: str, detail: str) -> None:
        if kind == "clock":
            self.alarms.tell(AlarmKind.CLOCK, bed.settings.id, detail, rules=bed.settings.alarms)
        if kind == "night":
            self.alarms.set(AlarmKind.UNIT, bed.settings.id, False)
        self._note(bed.settings.id, kind, detail)

    def _model_state(self, state: ModelState, detail: str) -> None:
        self.alarms.set(AlarmKind.SAFE_MODE, "", state is ModelState.SAFE_MODE, detail)
        if state is ModelState.RESTARTING:
            self.alarms.tell(AlarmKind.MODEL, "", detail)
        # A bundle on trial that cannot even be loaded will not be loaded the next time either.
        over = state is ModelState.SAFE_MODE or (state is ModelState.RESTARTING and self.model.unloadable)
        if over and self.slots is not None and self.slots.give_up():
            self.alarms.set(AlarmKind.BUNDLE, "", True, "the new bundle does not run: went back")
            self.model.restart()
        self._note("", "model", f"{state}: {detail}" if detail else str(state))

    def _alarm(self, alarm: Alarm) -> None:
        """An alarm changed: into the journals, to the page, to webhooks and broker."""
        fields = alarm.to_dict()
        for night in self.nights():
            if alarm.bed in ("", night.bed.id):
                night.record("alarm", fields)
        self.page.tell({"t": "alarm", **fields})
        self._note(alarm.bed, "alarm", f"{alarm.kind} {alarm.state}: {alarm.detail}")
        if not self.alarms.paused_s(alarm.bed):
            self.outlets.alarm(alarm)

    def _note(self, bed: str, kind: str, detail: str) -> None:
        """Something happened: it is logged, and shown on the page."""
        _log.info("%s %s: %s", bed or "service", kind, detail)
        happening = {"at_s": time.time(), "bed": bed, "kind": kind, "detail": without_paths(detail)[:500]}
        for view in list(self.views.values()):
            if bed in ("", view.bed.settings.id):
                view.happenings.append(happening)
        self.page.tell({"t": "happening", **happening})

    def _snapshot(self) -> Iterator[tuple[dict[str, Any], bytes]]:
        """All that a page needs that knows nothing."""
        yield {"t": "state", **self.state()}, b""
        for name, view in list(self.views.items()):
            night = view.shown
            if night is not None:
                yield {"t": "night", "bed": name, "key": night.key}, night.rows.to_json()
            for happening in list(view.happenings):
                yield {"t": "happening", **happening, "only": name}, b""

    def _request(self, message: dict[str, Any]) -> None:
        """What somebody with the role `operate` asks for on the page."""
        by = str(message.get("by", ""))[:60]
        if message.get("t") == "acknowledge":
            self.acknowledge(str(message.get("kind")), str(message.get("bed")), by)
        elif message.get("t") == "pause":
            with suppress(TypeError, ValueError):
                bed = str(message.get("bed"))
                seconds = self.alarms.pause(bed, float(message.get("seconds", 0)))
                self._note(
                    bed, "alarm", f"paused for {seconds:.0f} s by {by}" if seconds else f"on again by {by}"
                )
        elif message.get("t") == "retry model":
            self.model.restart()
            self._note("", "model", f"started again by {by}")
