"""Alarms to a receiver over HTTP: one JSON object a request, repeated until it is taken."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx

from .. import __version__

if TYPE_CHECKING:
    from .alarms import Alarm
    from .config import WebhookSettings

__all__ = ["Webhook"]

MOST_WAITING: Final = 500
BACKOFF_S: Final = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0, 60.0)

_log = logging.getLogger("eegvlm_rt.service")


class Webhook:
    """A receiver and the thread that serves it.

    Of one alarm only the newest state waits: what a receiver misses while it is away is replaced by what is
    true when it is back. Each request has an `Idempotency-Key` that its repetitions share. An answer of 4xx
    other than 408, 425 and 429 will not change: the alarm is dropped, which is counted.
    """

    def __init__(self, settings: WebhookSettings, device: str) -> None:
        self.delivered = self.failed = self.dropped = 0
        self._settings, self._device = settings, device
        self._host = urlsplit(settings.url).hostname or "receiver"
        self._waiting: OrderedDict[tuple[str, str], Alarm] = OrderedDict()
        self._wake = threading.Condition()
        self._stop = False
        self._failing_since: float | None = None
        self._why = ""
        self._began = f"{time.time():.0f}"
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def stop(self) -> None:
        """Deliver no more."""
        with self._wake:
            self._stop = True
            self._wake.notify()
        self._thread.join(self._settings.timeout_s + 1.0)

    def put(self, alarm: Alarm) -> None:
        """Deliver an alarm as it stands now; returns at once."""
        with self._wake:
            self._waiting.pop(alarm.key, None)
            self._waiting[alarm.key] = alarm
            while len(self._waiting) > MOST_WAITING:
                self._waiting.popitem(last=False)
                self.dropped += 1
            self._wake.notify()

    def trouble(self, limit_s: float) -> str:
        """Why nothing was delivered for longer than `limit_s`, empty where all is well; no address."""
        since = self._failing_since
        if since is None or time.monotonic() - since < limit_s:
            return ""
        return f"webhook to {self._host}: {self._why}"

    def _run(self) -> None:
        client: httpx.Client | None = None
        attempt = 0
        while True:
            with self._wake:
                while not self._waiting and not self._stop:
                    self._wake.wait()
                if self._stop:
                    break
                key, alarm = next(iter(self._waiting.items()))
            try:
                client = client or self._client()
                success = self._post(client, alarm)
            except Exception as error:
                success, self._why = False, type(error).__name__
                client = None
            if success:
                attempt, self._failing_since = 0, None
                with self._wake:
                    if self._waiting.get(key) is alarm:
                        del self._waiting[key]
                continue
            self.failed += 1
            self._failing_since = self._failing_since or time.monotonic()
            with self._wake:
                pause = BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)]
                self._wake.wait_for(lambda: self._stop, pause)
            attempt += 1
        if client is not None:
            client.close()

    def _client(self) -> httpx.Client:
        verify: ssl.SSLContext | bool = True
        if self._settings.ca is not None:
            verify = ssl.create_default_context(cafile=self._settings.ca)
        headers = {"User-Agent": f"eegvlm-rt/{__version__}"}
        if self._settings.token_file is not None:
            token = Path(self._settings.token_file).read_text("utf-8").strip()
            headers["Authorization"] = f"Bearer {token}"
        return httpx.Client(
            verify=verify, headers=headers, timeout=self._settings.timeout_s, follow_redirects=False
        )

    def _post(self, client: httpx.Client, alarm: Alarm) -> bool:
        """Whether the receiver has it, or never will."""
        body: dict[str, Any] = {"type": "alarm", "device": self._device, **alarm.to_dict()}
        key = f"{self._device}-{self._began}-{alarm.number}"
        # The answer is read to a bound: a receiver cannot fill this machine's memory.
        with client.stream("POST", self._settings.url, json=body, headers={"Idempotency-Key": key}) as answer:
            status = answer.status_code
        if status < 300:
            self.delivered += 1
            return True
        self._why = f"status {status}"
        if 400 <= status < 500 and status not in (408, 425, 429):
            self.dropped += 1
            _log.warning("webhook to %s: status %d; this alarm is not sent again", self._host, status)
            return True
        return False
