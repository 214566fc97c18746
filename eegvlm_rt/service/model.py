"""The service's side of the model's process: it is started, fed, watched, ended and started again."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from ..journal.frames import RecordKind
from ..prediction import Outcome
from .restarts import Restarts
from .wire import Wire, pair

if TYPE_CHECKING:
    from collections.abc import Callable

    from .config import ModelSettings
    from .night import BedNight

__all__ = ["ModelLink", "ModelState"]

PATIENCE_S: Final = 0.25
BATCH_BYTES: Final = 1 << 19
WITHOUT_MODEL_S: Final = 600.0
REFUSED_S: Final = 30.0
STEADY_S: Final = 60.0

_log = logging.getLogger("eegvlm_rt.service")


class ModelState(StrEnum):
    """LOADING: the process was started. RUNNING: it decides. RESTARTING: it died and is started again soon.
    SAFE_MODE: it died too often; recording goes on without it. STOPPED: the service ends.
    """

    LOADING = "loading"
    RUNNING = "running"
    RESTARTING = "restarting"
    SAFE_MODE = "safe mode"
    STOPPED = "stopped"


class ModelLink:
    """Feeds nights to the model's process and takes its records, in a thread of its own.

    Signal is asked for by the process, never pushed: one that hangs asks for nothing, and nothing piles up.
    One that died is fed again from the first epoch without a decision.

    Attributes:
        state: see `ModelState`.
        facts: bundle and digest of the model that is loaded, empty before.
        problem: why it died last.
        restarts: how often it did.
        heard_at: `time.monotonic()` of its last sign of life.
        unloadable: whether the latest process could not load its bundle.
    """

    def __init__(
        self,
        settings: ModelSettings,
        bundle: Callable[[], str],
        *,
        on_record: Callable[[BedNight, str, dict[str, Any]], None],
        on_text: Callable[[BedNight, int, str], None],
        on_event: Callable[[BedNight, str, str], None],
        on_finished: Callable[[BedNight], None],
        on_state: Callable[[ModelState, str], None],
        module: str = "eegvlm_rt.service.worker",
    ) -> None:
        self.state = ModelState.LOADING
        self.facts: dict[str, Any] = {}
        self.problem = ""
        self.unloadable = False
        self.heard_at = time.monotonic()
        self.process: subprocess.Popen[bytes] | None = None
        self._settings, self._bundle, self._module = settings, bundle, module
        self._on_record, self._on_text, self._on_event = on_record, on_text, on_event
        self._on_finished, self._on_state = on_finished, on_state
        self._nights: dict[str, BedNight] = {}
        self._refused: dict[str, float] = {}
        self._lock = threading.Lock()
        self._counter = Restarts()
        self._stop, self._poke = threading.Event(), threading.Event()
        self._again = False
        self._started_at = self.heard_at
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)

    @property
    def restarts(self) -> int:
        """How often the process died."""
        return self._counter.total

    def start(self) -> None:
        """Start the process, and keep it running."""
        self._thread.start()

    def stop(self) -> None:
        """End the process. Nights stay as they are."""
        self._stop.set()
        self._poke.set()
        self._kill()
        self._thread.join(10.0)
        self.state = ModelState.STOPPED

    def add(self, night: BedNight) -> None:
        """A night to be decided, until it is finished."""
        with self._lock:
            self._nights[night.key] = night

    def drop(self, night: BedNight) -> None:
        """A night that is decided no more."""
        with self._lock:
            self._nights.pop(night.key, None)
            self._refused.pop(night.key, None)

    def restart(self, settings: ModelSettings | None = None) -> None:
        """Load the model anew: with other settings, another bundle, or to leave safe mode."""
        if settings is not None:
            self._settings = settings
        self._again = True
        self._poke.set()
        self._kill()

    def watch(self) -> None:
        """End a process that gives no sign of life; to be called every second or so, by another thread."""
        limit = self._settings.load_s if self.state is ModelState.LOADING else self._settings.hang_s
        process = self.process
        if process is not None and time.monotonic() - self.heard_at > limit:
            self.problem = f"no sign of life for {limit:g} s"
            self.heard_at = time.monotonic()
            self._kill()
        self._finish_without()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._set(ModelState.LOADING, "")
            self.problem = ""
            self._session()
            if self._stop.is_set():
                break
            if self._again:
                self._again = False
                continue
            too_often = self._counter.died(time.monotonic())
            if too_often:
                # Before the state is made known: whoever hears of it may want another attempt at once.
                self._poke.clear()
                self._set(ModelState.SAFE_MODE, self.problem)
                self._poke.wait(self._settings.retry_s)
                self._again = False
                self._counter.forget()
            else:
                self._set(ModelState.RESTARTING, self.problem)
                self._stop.wait(self._counter.pause_s)
        self.state = ModelState.STOPPED

    def _session(self) -> None:
        """One life of the process."""
        self.unloadable = False
        try:
            settings = {**asdict(self._settings), "bundle": self._bundle()}
            wire, there = pair()
        except Exception as error:
            self.problem = str(error)
            return
        self.heard_at = self._started_at = time.monotonic()
        try:
            with there:
                command = [sys.executable, "-m", self._module, "--fd", str(there.fileno())]
                command += ["--parent", str(os.getpid())]
                self.process = subprocess.Popen(
                    command, pass_fds=(there.fileno(),), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
                )
            wire.send(settings)
            while not self._stop.is_set():
                received = wire.receive(1.0)
                if received is not None:
                    self.heard_at = time.monotonic()
                    self._handle(wire, *received)
        except (EOFError, OSError, ValueError) as error:
            if not isinstance(error, EOFError | ConnectionError):
                self.problem = self.problem or f"{type(error).__name__}: {error}"
        finally:
            status = self._kill()
            wire.close()
            self.problem = self.problem or _death(status)

    def _handle(self, wire: Wire, message: dict[str, Any], blob: bytes) -> None:
        kind = message.get("t")
        if kind == "pull":
            self._answer(wire, message)
        elif kind == "loaded":
            self.facts = message["facts"]
            self._refused.clear()
            self._set(ModelState.RUNNING, "")
        elif kind == "refused" and not message["key"]:
            self.problem, self.unloadable = message["error"], True
        elif kind == "stuck":
            self.problem = message["why"]
        else:
            with self._lock:
                night = self._nights.get(message.get("key", ""))
            if night is not None:
                self._of_night(night, message, blob)

    def _of_night(self, night: BedNight, message: dict[str, Any], blob: bytes) -> None:
        kind = message["t"]
        if kind == "record":
            body = json.loads(blob)
            if message["kind"] == RecordKind.SHUTDOWN:
                night.summary = body.get("night") or {}
                return
            night.record(message["kind"], body)
            self._on_record(night, message["kind"], body)
            if message["kind"] == RecordKind.PREDICTION and body.get("outcome") != Outcome.FAILED:
                self._counter.succeeded()
        elif kind == "text":
            self._on_text(night, message["index"], message["text"])
        elif kind == "event":
            self._on_event(night, message["kind"], message["detail"])
        elif kind == "flushed":
            self.drop(night)
            night.finish("complete")
            self._on_finished(night)
        elif kind == "refused":
            self._refused[night.key] = time.monotonic()
            self._on_event(night, "refused", message["error"])

    def _answer(self, wire: Wire, message: dict[str, Any]) -> None:
        """What is new for the process; where nothing is, the answer waits a little."""
        until = time.monotonic() + PATIENCE_S
        while True:
            answer, blob = self._news(message)
            if answer["begin"] or answer["drop"] or blob or answer["end"] or time.monotonic() >= until:
                break
            if self._stop.wait(0.05):
                break
        wire.send(answer, blob)

    def _news(self, message: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        opened, wishes = set(message["open"]), message["want"]
        with self._lock:
            nights = dict(self._nights)
        begin, frames, parts = [], [], []
        for key, night in nights.items():
            waits = time.monotonic() - self._refused.get(key, -REFUSED_S) < REFUSED_S
            if key not in opened and not waits:
                begin.append(self._facts(night))
        size = 0
        for key, first in wishes.items():
            wanted_night = nights.get(key)
            if wanted_night is None or size > BATCH_BYTES:
                continue
            for frame in wanted_night.signal.read(first, BATCH_BYTES // max(1, len(wishes))):
                fields = {"key": key, "sequence": frame.sequence, "received_s": frame.received_s}
                frames.append({**fields, "n": len(frame.samples), "events": list(frame.events)})
                parts += [frame.samples.astype("<f4").tobytes(), frame.timestamps.astype("<f8").tobytes()]
                size += 12 * len(frame.samples)
        end = {
            key: night.signal.next_sequence - 1
            for key, night in nights.items()
            if night.ended and key in wishes
        }
        drop = sorted(opened - set(nights))
        return {"begin": begin, "frames": frames, "end": end, "drop": drop}, b"".join(parts)

    def _facts(self, night: BedNight) -> dict[str, Any]:
        night.record(RecordKind.CONFIG, {**self.facts, "resume_frame": night.resume_frame})
        return {
            "key": night.key,
            "sfreq": night.sfreq,
            "channel": night.channel,
            "tolerance_s": night.bed.tolerance_s,
            "state": asdict(night.state()) if night.begun else None,
            "first_frame": night.resume_frame,
        }

    def _finish_without(self) -> None:
        """End nights whose signal ended long ago, where no model is there to decide their last epochs, or it
        refuses them.
        """
        with self._lock:
            over = [n for n in self._nights.values() if n.ended]
            safe = self.state is ModelState.SAFE_MODE
            why = {n.key: "the model was in safe mode" for n in over if safe}
            why |= {n.key: "the model refused this night" for n in over if n.key in self._refused}
        for night in over:
            if night.key in why and time.monotonic() - night.ended_at > WITHOUT_MODEL_S:
                self.drop(night)
                night.finish("complete, without the model at its end", undecided=why[night.key])
                self._on_finished(night)

    def _set(self, state: ModelState, detail: str) -> None:
        self.state = state
        self._on_state(state, detail)

    def _kill(self) -> int | None:
        process = self.process
        if process is None:
            return None
        with suppress(OSError):
            process.kill()
        try:
            status = process.wait(10.0)
        except subprocess.TimeoutExpired:
            return None
        if self.process is process:
            self.process = None
        return status


def _death(status: int | None) -> str:
    """Why a process ended, in words."""
    if status is None:
        return "it does not end"
    if status < 0:
        return f"killed by signal {-status}"
    return f"ended with status {status}"
