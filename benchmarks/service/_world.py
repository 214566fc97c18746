"""The service under test with all that is around it: amplifiers, clock, disk, network."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import psutil

from benchmarks._common import fresh
from tests.rt.sources.lsl_loopback import LSL_CONFIG

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SFREQ_HZ", "SIGNAL", "World", "sent_ranges", "wait_for"]

SFREQ_HZ: Final = 256.0
SIGNAL: Final = "signal.f32"
"""File of the signal that is sent, in the folder of a run."""
ROOT: Final = Path(__file__).resolve().parents[2]
CONFIG: Final = """
data = "{data}"
device = "chaos"
[model]
slots = "{slots}"
mode = "{mode}"
threads = 1
deadline_s = 5
hang_s = 6
retry_s = 5
[page]
port = {port}
loopback_role = "operate"
[storage]
floor_mb = 0
results_every_s = 5
"""
BED: Final = """
[[beds]]
id = "{name}"
source = "lsl:{name}?source_id={name}-id"
channel = "Fpz"
stall_s = 3
alarms.source_gone_s = 5
"""


class World:
    """A folder, a service that runs in it, and one amplifier for each bed at `speed` times real time."""

    def __init__(self, folder: Path, beds: int, speed: float, mode: str) -> None:
        self.folder, self.speed = folder, speed
        self.names = [f"bed{i + 1}" for i in range(beds)]
        self.data, self.slots, self.offset = folder / "data", folder / "slots", folder / "offset"
        self.config = folder / "beds.toml"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        values = {"data": self.data, "slots": self.slots, "mode": mode, "port": self.port}
        self.text = CONFIG.format(**values) + "".join(BED.format(name=name) for name in self.names)
        self.config.write_text(self.text)
        (folder / "lsl.cfg").write_text(LSL_CONFIG)
        self.environment = {
            **os.environ,
            "LSLAPICFG": str(folder / "lsl.cfg"),
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "PASSIVE",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])),
        }
        self.signal = folder / SIGNAL
        fresh("benchmarks._simulated_night", str(self.signal), "5", "1", str(SFREQ_HZ))
        self.t0 = time.time()
        self.senders: dict[str, subprocess.Popen[bytes]] = {}
        self.lives = dict.fromkeys(self.names, 0)
        self.service: subprocess.Popen[bytes] | None = None
        self.log = folder / "service.log"

    def start_service(self) -> None:
        """Start it, and do not wait."""
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "benchmarks.service._served", str(self.config), str(self.offset)]
            self.service = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.environment
            )

    def start_sender(self, name: str) -> None:
        """Another life of an amplifier."""
        self.lives[name] += 1
        progress = self.folder / f"{name}.life-{self.lives[name]:03}"
        values = [name, str(self.signal), str(SFREQ_HZ), str(self.speed), str(self.t0), str(progress)]
        self.senders[name] = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.service._sender", *values],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def state(self) -> dict[str, Any] | None:
        """What the page says, None where it says nothing."""
        with suppress(httpx.HTTPError, ValueError):
            answer = httpx.get(f"{self.url}/api/state", timeout=2)
            value: dict[str, Any] = answer.json()
            return value if value.get("beds") and answer.status_code == 200 else None
        return None

    def child(self, module: str) -> psutil.Process | None:
        """A child process of the service."""
        assert self.service is not None
        with suppress(psutil.Error):
            for process in psutil.Process(self.service.pid).children():
                with suppress(psutil.Error):
                    if any(word.endswith(module) for word in process.cmdline()):
                        return process
        return None

    def healthy(self) -> bool:
        """Whether every bed records and decides, and the model runs."""
        state = self.state()
        if state is None or state["model"]["state"] != "running":
            return False
        return all(
            bed["recording"]
            and bed["sample_age_s"] is not None
            and bed["sample_age_s"] < 3
            and bed["decision_age_s"] is not None
            and bed["decision_age_s"] < 60 / self.speed + 6
            for bed in state["beds"]
        )

    def fill_disk(self, full: bool) -> None:
        """No file of the recorder may grow any more: what it writes is refused, as by a full disk (EFBIG)."""
        assert self.service is not None
        limits = (4096, resource.RLIM_INFINITY) if full else (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        psutil.Process(self.service.pid).rlimit(resource.RLIMIT_FSIZE, limits)

    def close(self) -> None:
        """End everything."""
        for sender in self.senders.values():
            sender.kill()
            sender.wait()
        if self.service is not None and self.service.poll() is None:
            self.service.send_signal(signal.SIGTERM)
            try:
                self.service.wait(60)
            except subprocess.TimeoutExpired:
                self.service.kill()
                self.service.wait()


def wait_for(ask: Callable[[], Any], seconds: float) -> float | None:
    """Seconds until `ask` was true, None where it never was."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if ask():
            return time.monotonic() - began
        time.sleep(0.2)
    return None


def sent_ranges(folder: Path, name: str) -> list[tuple[int, int]]:
    """Ranges of samples that an amplifier sent, one for each of its lives that had a listener."""
    ranges = []
    for path in sorted(folder.glob(f"{name}.life-???")):
        first, last = map(int, path.read_text().split())
        ranges.append((first, last))
    return ranges
