"""One bed: a thread that takes samples from the source and puts them into the night they belong to.

Nothing here waits for the model, the page or the network.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import EegVlmError, SourceStalledError
from ..sources.live import LiveSource
from ..sources.replay import ReplaySource
from ..sources.spec import open_source, parse_source
from ..streaming.clocks import HostClock
from .clock import Clock
from .night import BedNight, facts_of, unfinished_nights, window_date
from .schedule import Schedule, Window

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from ..sources.chunk import Chunk
    from .config import BedSettings, ModelSettings

__all__ = ["Bed", "BedState"]

FRAME_S: Final = 0.5
LONGEST_FRAME_S: Final = 10.0
SYNC_S: Final = 2.0
RETRY_S: Final = (1.0, 2.0, 5.0, 10.0)
LONGEST_NIGHT_S: Final = 26 * 3600.0
WAITING_S: Final = 1800.0
_CHUNK_S: Final = 0.25

_log = logging.getLogger("eegvlm_rt.service")


class BedState(StrEnum):
    """WAITING: the source is not there yet, or not any more. STANDBY: no night now. RECORDING: a night is
    being recorded. ENDED: the file that was played is at its end.
    """

    WAITING = "waiting"
    STANDBY = "standby"
    RECORDING = "recording"
    ENDED = "ended"


class Bed:
    """A bed and its thread.

    Attributes:
        settings: those in force.
        state: see `BedState`.
        night: the night that is being recorded, None between two nights.
        problem: what keeps the source from being open, empty while it is.
        last_sample_at: `time.monotonic()` of the latest sample, None before the first.
        recording_since: `time.monotonic()` since when samples are wanted.
        samples, missing, reconnects, clock_steps: counted since the start.
    """

    def __init__(
        self,
        settings: BedSettings,
        data: Path,
        model: ModelSettings,
        zone: ZoneInfo | None,
        clock: Clock,
        *,
        on_night: Callable[[Bed, BedNight], None],
        on_event: Callable[[Bed, str, str], None],
        on_samples: Callable[[Bed, Any, float], None],
    ) -> None:
        self.settings = settings
        self.state = BedState.WAITING
        self.night: BedNight | None = None
        self.problem = ""
        self.folder_problem = ""
        self.last_sample_at: float | None = None
        self.recording_since: float | None = None
        self.samples = self.missing = self.reconnects = self.clock_steps = self.lost_samples = 0
        self.sfreq, self.channel = 0.0, settings.channel or ""
        self.beat = time.monotonic()
        self._data, self._model, self._zone, self._clock = data, model, zone, clock
        self._schedule = Schedule(settings.lights_off, settings.lights_on, zone)
        self._on_night, self._on_event, self._on_samples = on_night, on_event, on_samples
        self._host = HostClock()
        self._stepped = False
        self._stop = threading.Event()
        self._changed = threading.Event()
        self._source: ReplaySource | LiveSource | None = None
        self._pending: list[Chunk] = []
        self._pending_samples = 0
        self._events: list[dict[str, Any]] = []
        self._framed_at = self._synced_at = time.monotonic()
        self._played: Window | None = None
        self._opened_before = False
        self._retry_folder_at = self._begun_at = 0.0
        self._thread = threading.Thread(target=self._run, name=f"bed-{settings.id}", daemon=True)

    def start(self) -> None:
        """Begin: end what earlier processes left over, then take samples."""
        self._thread.start()

    def halt(self) -> None:
        """Let the thread come to its end; `stop` waits for it."""
        self._stop.set()
        source = self._source
        if isinstance(source, LiveSource):
            source.stop()

    def stop(self, wait_s: float = 12.0) -> None:
        """Take no more samples; the night stays open for the next process."""
        self.halt()
        self._thread.join(wait_s)
        if self.night is not None:
            self._frame()
            self.night.leave()

    def remove(self) -> BedNight | None:
        """Stop, and end the night: the bed is no part of the service any more."""
        self.halt()
        self._thread.join(12.0)
        night, self.night = self.night, None
        if night is not None:
            self._frame_into(night)
            night.end_signal()
        return night

    def reconfigure(self, settings: BedSettings, model: ModelSettings, zone: ZoneInfo | None) -> None:
        """Other settings, from the next chunk on. The source is opened anew only where it is another."""
        old, self.settings, self._model, self._zone = self.settings, settings, model, zone
        self._schedule = Schedule(settings.lights_off, settings.lights_on, zone)
        names = ("source", "channel", "unit", "stall_s")
        if any(getattr(old, name) != getattr(settings, name) for name in names):
            self._changed.set()
            source = self._source
            if isinstance(source, LiveSource):
                source.stop()

    @property
    def wanted(self) -> bool:
        """Whether a night of the schedule is on."""
        return self._schedule.window(self._clock.wall()) is not None and self.state is not BedState.ENDED

    @property
    def next_begin_s(self) -> float:
        """When the next night begins, seconds since 1970."""
        return self._schedule.next_begin_s(self._clock.wall())

    def _run(self) -> None:
        self._end_former_nights()
        attempts = 0
        while not self._stop.is_set():
            self._changed.clear()
            try:
                attempts = 0 if self._open() else -1
                if attempts == 0:
                    self._record()
            except EegVlmError as error:
                self._trouble(str(error))
            except Exception as error:
                _log.exception("bed %s", self.settings.id)
                self._trouble(f"{type(error).__name__}: {error}")
            finally:
                self._release()
            self._pause(RETRY_S[min(max(attempts, 0), len(RETRY_S) - 1)])
            attempts += 1

    def _end_former_nights(self) -> None:
        """A night that lasts still is resumed by its first sample; every other one is ended, in order."""
        window = self._schedule.window(self._clock.wall())
        for folder in unfinished_nights(self._data, self.settings.id):
            if window is not None and window_date(folder) == str(window.date):
                continue
            try:
                past = Window(date.fromisoformat(window_date(folder)), 0.0, 0.0)
                night = BedNight.reopen(self.settings, folder, past)
            except (EegVlmError, OSError, ValueError) as error:
                self._on_event(self, "night", f"{folder.name} cannot be ended: {error}")
                continue
            night.end_signal()
            self._on_event(self, "night", f"{folder.name} was left open; it is ended now")
            self._on_night(self, night)

    def _open(self) -> bool:
        spec = parse_source(self.settings.source)
        if spec.kind == "edf":
            # A file is played once in each night.
            window = self._schedule.window(self._clock.wall())
            if window is None or self._played == window:
                self._tick()
                return False
            self._played = window
        self._source = open_source(
            spec,
            self.settings.channel,
            unit=self.settings.unit,
            timeout_s=self.settings.stall_s,
            chunk_s=min(1.0, _CHUNK_S * spec.speed),
        )
        self.sfreq, self.channel = self._source.sfreq, self._source.channel
        self._seek()
        if self._opened_before:
            self.reconnects += 1
        self._opened_before = True
        self.problem = ""
        self.state = BedState.STANDBY if self.night is None else BedState.RECORDING
        self._on_event(self, "source", f"connected: {self.channel}, {self.sfreq:g} Hz")
        return True

    def _seek(self) -> None:
        """A file that is played resumes where a killed process was."""
        source = self._source
        window = self._schedule.window(self._clock.wall())
        if not isinstance(source, ReplaySource) or window is None:
            return
        if self.night is None:
            self._night_of(window)
        night = self.night
        if night is not None and night.resumed and night.signal.next_sequence:
            last = night.signal.read(night.signal.next_sequence - 1)
            if last and len(last[-1].timestamps):
                source.seek(float(last[-1].timestamps[-1]) + 1 / source.sfreq)

    def _record(self) -> None:
        source = self._source
        assert source is not None
        while not (self._stop.is_set() or self._changed.is_set()):
            try:
                for chunk in source.chunks():
                    self._take(chunk)
                    if self._stop.is_set() or self._changed.is_set():
                        return
            except SourceStalledError as stall:
                self._on_event(self, "source", f"stalled: {stall.cure}")
                self._tick()
                continue
            break
        if isinstance(source, ReplaySource) and not self._stop.is_set():
            self._end_night("complete")
            self.state = BedState.ENDED

    def _take(self, chunk: Chunk) -> None:
        self.beat = time.monotonic()
        for event in chunk.events:
            self._events.append({"kind": str(event.kind), "at_s": event.at_s, "detail": event.detail})
            self._on_event(self, "source", f"{event.kind}: {event.detail}")
            self.reconnects += str(event.kind) == "reconnected"
        if len(chunk):
            self.last_sample_at = self.beat
            self.samples += len(chunk)
            self.missing += int(np.count_nonzero(np.isnan(chunk.samples)))
            self._on_samples(self, chunk.samples, chunk.received_s)
        self._tick()
        if self.recording_since is not None or self.night is not None:
            if len(chunk):
                self._pending.append(chunk)
                self._pending_samples += len(chunk)
            while self._pending and self._pending_samples > WAITING_S * max(self.sfreq, 1.0):
                lost = len(self._pending.pop(0))
                self._pending_samples -= lost
                self.lost_samples += lost
        long_enough = self.beat - self._framed_at >= FRAME_S
        if (self._pending or self._events) and (long_enough or self._pending_samples >= 2 * self.sfreq):
            self._frame()

    def _tick(self) -> None:
        """What is due with or without samples: nights begin and end, files are brought to the disk."""
        self.beat = now = time.monotonic()
        # One reading for both: a clock that is set between two would end the night before the step is known.
        wall_s, monotonic_s = self._clock.both()
        step_s = self._host.read(wall_s, monotonic_s)
        if step_s:
            self.clock_steps += 1
            self._stepped = True
            self._on_event(self, "clock", f"the host's clock was set by {step_s:+.1f} s")
        self._night_of(self._schedule.window(wall_s))
        if self.night is not None and now - self._synced_at >= SYNC_S:
            self._synced_at = now
            self.night.signal.sync()

    def _night_of(self, window: Window | None) -> None:
        """End the night, begin one, or let it go on.

        A clock that is set moves no samples from one night to another: the night that is being recorded then
        goes on under its date, with the end of the window that the clock now shows.
        """
        night = self.night
        now = self._clock.monotonic()
        if night is not None and window is not None and window.date != night.window.date and self._stepped:
            night.record("service", {"event": "clock set", "window": str(window.date), "at_s": time.time()})
            night.window = window
        if night is not None and (
            window is None or window.date != night.window.date or now - self._begun_at > LONGEST_NIGHT_S
        ):
            self._end_night("complete")
            night = None
        self._stepped = False
        if window is None:
            self.recording_since = None
            if self.state is not BedState.WAITING:
                self.state = BedState.STANDBY
            return
        if self.recording_since is None:
            self.recording_since = time.monotonic()
        source = self._source
        if night is None and source is not None and time.monotonic() >= self._retry_folder_at:
            self._begin_night(window, source)

    def _begin_night(self, window: Window, source: ReplaySource | LiveSource) -> None:
        facts = facts_of(self.settings, source, self._model.mode, self._model.deadline_s)
        try:
            self.night = night = BedNight.open(self._data, self.settings, window, facts)
        except (OSError, EegVlmError) as error:
            self.folder_problem = getattr(error, "strerror", None) or str(error)
            self._retry_folder_at = time.monotonic() + 5.0
            return
        self.folder_problem = ""
        self._begun_at = self._clock.monotonic()
        self.state = BedState.RECORDING
        word = "resumed" if night.resumed else "begun"
        self._on_event(self, "night", f"{night.folder.name} {word}")
        self._on_night(self, night)

    def _end_night(self, why: str) -> None:
        night = self.night
        if night is None:
            return
        self._frame()
        self.night = None
        night.end_signal()
        self._on_event(self, "night", f"{night.folder.name} ended: {why}")
        if self.state is BedState.RECORDING:
            self.state = BedState.STANDBY

    def _frame(self) -> None:
        """Hand what is pending over to the night."""
        if self.night is not None:
            self._frame_into(self.night)

    def _frame_into(self, night: BedNight) -> None:
        chunks, self._pending, self._pending_samples = self._pending, [], 0
        events, self._events = tuple(self._events), []
        self._framed_at = time.monotonic()
        if not chunks and not events:
            return
        samples = np.concatenate([c.samples for c in chunks] or [np.empty(0)]).astype(np.float32)
        stamps = np.concatenate([c.timestamps for c in chunks] or [np.empty(0)])
        received_s = chunks[-1].received_s if chunks else time.time()
        step = max(1, round(LONGEST_FRAME_S * self.sfreq))
        for first in range(0, max(1, len(samples)), step):
            last = first + step
            # Of a piece that is handed over late, each part came when its samples would have.
            behind_s = max(0, len(samples) - last) / max(self.sfreq, 1.0)
            night.signal.append(samples[first:last], stamps[first:last], received_s - behind_s, events)
            events = ()

    def _trouble(self, problem: str) -> None:
        if problem != self.problem:
            _log.warning("bed %s: %s", self.settings.id, problem)
            self._on_event(self, "source", problem)
        self.problem = problem
        if self.state is not BedState.RECORDING:
            self.state = BedState.WAITING

    def _release(self) -> None:
        source, self._source = self._source, None
        self._frame()
        if source is not None:
            try:
                source.close()
            except Exception as error:
                _log.warning("bed %s: source not closed: %s", self.settings.id, error)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._stop.is_set() and not self._changed.is_set() and time.monotonic() < until:
            try:
                self._tick()
            except Exception:
                _log.exception("bed %s", self.settings.id)
            self._stop.wait(0.25)
