"""The service's side of the page's process: it is told what is going on, and never waited for."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from .config import file_fingerprint
from .restarts import Restarts
from .wire import Wire, pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .config import PageSettings

__all__ = ["PageLink"]

MOST_WAITING: Final = 400
RETRY_S: Final = 60.0
HANG_S: Final = 20.0
START_S: Final = 120.0

Message = tuple[dict[str, Any], bytes]

_log = logging.getLogger("eegvlm_rt.service")


class PageLink:
    """Keeps the page's process running and tells it everything.

    Messages wait in a queue that is bounded; where the process does not take them, the queue is emptied, and
    the process gets the whole state anew (`snapshot`) once it does.

    Attributes:
        port: where the page listens, None before it does.
        problem: why the process ended last, empty while it runs.
        restarts: how often it did.
    """

    def __init__(
        self,
        settings: PageSettings,
        *,
        snapshot: Callable[[], Iterable[Message]],
        on_request: Callable[[dict[str, Any]], None],
    ) -> None:
        self.settings = settings
        self.port: int | None = None
        self.problem = ""
        self.process: subprocess.Popen[bytes] | None = None
        self.heard_at = time.monotonic()
        self._snapshot, self._on_request = snapshot, on_request
        self._queue: deque[Message] = deque()
        self._wake = threading.Condition()
        self._stale = True
        self._counter = Restarts()
        self._stop = threading.Event()
        self._again = False
        self._files = _fingerprint(settings)
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)

    @property
    def restarts(self) -> int:
        """How often the process ended."""
        return self._counter.total

    def start(self) -> None:
        """Start the process, and keep it running."""
        self._thread.start()

    def stop(self) -> None:
        """End the process."""
        self._stop.set()
        with self._wake:
            self._wake.notify_all()
        self._kill()
        if self._thread.is_alive():
            self._thread.join(10.0)

    def restart(self, settings: PageSettings) -> None:
        """Begin anew with other settings."""
        self.settings, self._again, self.port = settings, True, None
        self._kill()

    def outdated(self) -> bool:
        """Whether a file with tokens or certificates is another one than the process read at its start."""
        return self._files != _fingerprint(self.settings)

    def watch(self) -> None:
        """End a process that gives no sign of life; to be called every second or so."""
        limit = START_S if self.port is None else HANG_S
        if self.process is not None and time.monotonic() - self.heard_at > limit:
            self.problem = f"no sign of life for {limit:g} s"
            self.heard_at = time.monotonic()
            self._kill()

    def tell(self, message: dict[str, Any], blob: bytes = b"") -> None:
        """Let the page know; returns at once."""
        with self._wake:
            if len(self._queue) >= MOST_WAITING:
                self._queue.clear()
                self._stale = True
            if not self._stale:
                self._queue.append((message, blob))
                self._wake.notify()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._session()
            if self._stop.is_set():
                return
            if self._again:
                self._again = False
                continue
            too_often = self._counter.died(time.monotonic())
            _log.warning("page process: %s", self.problem)
            self._stop.wait(RETRY_S if too_often else self._counter.pause_s)
            if too_often:
                self._counter.forget()

    def _session(self) -> None:
        wire, there = pair()
        self._files = _fingerprint(self.settings)
        self.heard_at = time.monotonic()
        try:
            with there:
                command = [sys.executable, "-m", "eegvlm_rt.service.page", "--fd", str(there.fileno())]
                command += ["--parent", str(os.getpid())]
                self.process = subprocess.Popen(
                    command, pass_fds=(there.fileno(),), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
                )
            wire.send({"t": "settings", **asdict(self.settings)})
            with self._wake:
                self._stale = True
                self._queue.clear()
            sender = threading.Thread(
                target=self._send, args=(wire, self.process), name="page-out", daemon=True
            )
            sender.start()
            while not self._stop.is_set():
                received = wire.receive(1.0)
                if received is not None:
                    self._hear(received[0])
        except (EOFError, OSError, ValueError) as error:
            self.problem = self.problem or f"{type(error).__name__}: {error}"
        finally:
            status = self._kill()
            self.port = None
            wire.close()
            self.problem = self.problem or f"ended with status {status}"

    def _hear(self, message: dict[str, Any]) -> None:
        self.heard_at = time.monotonic()
        if message.get("t") == "listening":
            self.port, self.problem = message["port"], ""
            self._counter.succeeded()
        elif message.get("t") == "refused":
            self.problem = message["error"]
        elif message.get("t") != "alive":
            self._on_request(message)

    def _send(self, wire: Wire, process: subprocess.Popen[bytes]) -> None:
        """Send what waits, as long as this process lives."""
        try:
            while not self._stop.is_set() and self.process is process:
                with self._wake:
                    if not self._stale and not self._queue:
                        self._wake.wait(1.0)
                    stale, self._stale = self._stale, False
                    waiting = list(self._queue)
                    self._queue.clear()
                for message, blob in [*self._snapshot(), *waiting] if stale else waiting:
                    wire.send(message, blob)
        except (OSError, ValueError):
            with self._wake:
                self._stale = True

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


def _fingerprint(settings: PageSettings) -> tuple[object, ...]:
    """Tells another content of the files that the page reads at its start: a token taken out of its file must
    not be good any more after a reload.
    """
    names = (settings.tokens_file, settings.certificate, settings.key, settings.client_ca)
    return file_fingerprint(name for name in names if name is not None)
