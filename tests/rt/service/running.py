"""The service as users run it: a process of its own, with a configuration in a file."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import psutil

from eegvlm_rt.simulator import simulate_night, write_edf
from eegvlm_rt.sources import read_channel
from tests.rt.tiny_bundle import write_tiny_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Running", "channel_of", "configuration", "night_file", "serving", "until"]

_CONFIG = """
data = "{data}"
device = "test"
timezone = "{timezone}"
[model]
bundle = "{bundle}"
mode = "head"
threads = 1
deadline_s = 2
hang_s = 5
[page]
port = 0
loopback_role = "operate"
[storage]
floor_mb = 0
results_every_s = 1
"""


def configuration(data: Path, bundle: str | None = None) -> str:
    """What every configuration here begins with. The bundle is one that loads quickly, by default."""
    return _CONFIG.format(data=data, bundle=bundle or _tiny(), timezone=zone_at_midnight(datetime.now(UTC)))


def zone_at_midnight(now: datetime) -> str:
    """A zone where it is now between 0:00 and 1:00: nights end at noon, and no test runs over that."""
    ahead = -now.hour if now.hour <= 12 else 24 - now.hour
    # The names of these zones count hours behind UTC.
    return f"Etc/GMT{-ahead:+d}"


@cache
def _tiny() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="eegvlm-tiny-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    bundle = write_tiny_bundle(folder / "tiny")
    return Path(getattr(bundle, "path", bundle))


def night_file(folder: Path, *, hours: float, sfreq: float = 64.0, seed: int = 3) -> Path:
    """A recording on disk."""
    return write_edf(simulate_night(seed=seed, hours=hours, sfreq=sfreq), folder / f"night-{seed}.edf")


def channel_of(path: Path) -> np.ndarray:
    """The samples of a file as the service records them."""
    return np.asarray(read_channel(path).samples_uv, dtype=np.float32)


class Running:
    """A service that runs. `log` is what it printed."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.log_path = config.with_suffix(".log")
        self._log = self.log_path.open("ab")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        # An epoch's arrays come from the system, not from what glibc kept: a limit on memory is felt at once.
        environment["MALLOC_MMAP_THRESHOLD_"] = "8192"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "eegvlm_rt.cli", "serve", "--config", str(config)],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
        )
        self._from = self.log_path.stat().st_size
        # One client for all: each one that is made loads the system's certificates, 70 ms of processor time.
        self.http = httpx.Client(timeout=5)

    @property
    def log(self) -> str:
        return self.log_path.read_bytes()[self._from :].decode(errors="replace")

    @property
    def url(self) -> str:
        """Address of the page; waits until it listens."""
        found = until(lambda: re.findall(r"listens at \S+ port (\d+)", self.log), self)
        return f"http://127.0.0.1:{found[-1]}"

    def find_child(self, module: str) -> psutil.Process | None:
        """A child process by the end of its module's name, None where there is none now."""
        with suppress(OSError):
            # Cheaper than to ask for all processes of the machine, and asked for often.
            tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
            for pid in [int(word) for path in tasks for word in path.read_text().split()]:
                with suppress(psutil.Error):
                    child = psutil.Process(pid)
                    if any(word.endswith(module) for word in child.cmdline()):
                        return child
        return None

    def child(self, module: str) -> psutil.Process:
        """The same, once it is there."""
        found: psutil.Process = until(lambda: self.find_child(module), self)
        return found

    def state(self) -> dict[str, Any]:
        """What the page knows."""
        with suppress(httpx.HTTPError):
            answer = self.get("/api/state")
            if answer.status_code == 200:
                value: dict[str, Any] = answer.json()
                return value
        return {"beds": [], "alarms": [], "model": {"state": ""}}

    def get(self, path: str, **values: Any) -> httpx.Response:
        """Ask the page."""
        return self.http.get(f"{self.url}{path}", **values)

    def post(self, path: str, body: object, **values: Any) -> httpx.Response:
        """Ask the page for something to be done."""
        return self.http.post(f"{self.url}{path}", json=body, **values)

    def alarms(self) -> dict[str, str]:
        """State of each alarm by its kind."""
        return {alarm["kind"]: alarm["state"] for alarm in self.state()["alarms"]}

    def end(self, number: int = signal.SIGTERM, wait_s: float = 30.0) -> int:
        """Send a signal and wait; the status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(wait_s)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.http.close()
        self._log.close()


@contextmanager
def serving(folder: Path, text: str) -> Iterator[Running]:
    """A service with `text` for its configuration."""
    path = folder / "beds.toml"
    path.write_text(text)
    running = Running(path)
    try:
        yield running
    finally:
        running.close()


def until(
    ask: Callable[[], Any], running: Running | None = None, seconds: float = 300.0, every_s: float = 0.2
) -> Any:
    """Wait until `ask` gives something true, which is returned."""
    end = time.monotonic() + seconds
    while not (value := ask()):
        assert time.monotonic() < end, f"it never came; the log: {running.log[-3000:] if running else ''}"
        assert running is None or running.process.poll() is None, f"the service ended: {running.log[-3000:]}"
        time.sleep(every_s)
    return value
