"""Fourteen kinds of faults. Each is a generator: it does harm, yields, and cleans up."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import httpx
import psutil

from ._world import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

    from ._world import World

__all__ = ["KINDS"]


def source_death(world: World, rng: np.random.Generator) -> Iterator[None]:
    """An amplifier's process is killed, and is back 1 to 6 s later."""
    name = str(rng.choice(world.names))
    world.senders[name].kill()
    world.senders[name].wait()
    time.sleep(float(rng.uniform(1, 6)))
    world.start_sender(name)
    yield


def source_pause(world: World, rng: np.random.Generator) -> Iterator[None]:
    """An amplifier stops for 1 to 8 s, then sends all at once what it has not sent."""
    sender = psutil.Process(world.senders[str(rng.choice(world.names))].pid)
    sender.suspend()
    time.sleep(float(rng.uniform(1, 8)))
    sender.resume()
    yield


def model_killed(world: World, _rng: np.random.Generator) -> Iterator[None]:
    """The model's process is killed."""
    process = world.child("service.worker")
    if process is not None:
        process.kill()
    yield


def model_hung(world: World, _rng: np.random.Generator) -> Iterator[None]:
    """The model's process stops and stays so."""
    process = world.child("service.worker")
    if process is not None:
        process.suspend()
    time.sleep(7)
    yield


def model_killed_again_and_again(world: World, _rng: np.random.Generator) -> Iterator[None]:
    """The model's process is killed until the service leaves it alone; then it may run again."""
    pids: set[int] = set()

    def safe() -> bool:
        process = world.child("service.worker")
        if process is not None and process.pid not in pids:
            pids.add(process.pid)
            with suppress(psutil.Error):
                process.kill()
        state = world.state()
        return state is not None and state["model"]["state"] == "safe mode"

    wait_for(safe, 60)
    yield


def page_killed(world: World, _rng: np.random.Generator) -> Iterator[None]:
    """The page's process is killed."""
    process = world.child("service.page")
    if process is not None:
        process.kill()
    yield


def disk_full(world: World, rng: np.random.Generator) -> Iterator[None]:
    """No file of the recorder can grow for 2 to 8 s."""
    world.fill_disk(True)
    time.sleep(float(rng.uniform(2, 8)))
    world.fill_disk(False)
    yield


def clock_step(world: World, rng: np.random.Generator) -> Iterator[None]:
    """The host's clock, as the schedule sees it, is set by up to three days, and set right later."""
    world.offset.write_text(str(float(rng.uniform(-3, 3)) * 86_400))
    time.sleep(2)
    world.offset.write_text("0")
    time.sleep(1)
    yield


def service_killed(world: World, rng: np.random.Generator) -> Iterator[None]:
    """The whole service is killed, and started up to 3 s later."""
    assert world.service is not None
    world.service.kill()
    world.service.wait()
    time.sleep(float(rng.uniform(0, 3)))
    world.start_service()
    yield


def network_flood(world: World, _rng: np.random.Generator) -> Iterator[None]:
    """Five seconds of requests and connections, as fast as four threads send them."""
    end = time.monotonic() + 5

    def flood() -> None:
        while time.monotonic() < end:
            with suppress(httpx.HTTPError, OSError):
                httpx.get(f"{world.url}/api/state", timeout=1)
                with socket.create_connection(("127.0.0.1", world.port), timeout=1) as line:
                    line.sendall(b"GET /" + b"a" * 4000)

    threads = [threading.Thread(target=flood) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    yield


def dead_listeners(world: World, _rng: np.random.Generator) -> Iterator[None]:
    """Twenty listeners that never read."""
    lines = []
    for _ in range(20):
        with suppress(OSError):
            line = socket.create_connection(("127.0.0.1", world.port), timeout=2)
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            line.sendall(b"GET /events?bed=bed1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            lines.append(line)
    time.sleep(3)
    yield
    for line in lines:
        line.close()


def broken_configuration(world: World, _rng: np.random.Generator) -> Iterator[None]:
    """The configuration is made wrong and loaded, then made right and loaded."""
    assert world.service is not None
    process = psutil.Process(world.service.pid)
    world.config.write_text(world.text.replace("[[beds]]", "[[beds]]\ncolour = 1\n", 1))
    process.send_signal(1)
    time.sleep(2)
    world.config.write_text(world.text)
    process.send_signal(1)
    yield


def bad_bundle(world: World, rng: np.random.Generator) -> Iterator[None]:
    """A bundle with a changed byte is installed while the service runs."""
    good = (world.folder / "bundle.tar").read_bytes()
    data = bytearray(good)
    # Behind the manifest: another manifest would be another bundle, which only a signature tells.
    data[int(rng.integers(len(data) // 4, len(data)))] ^= 0x55
    bad = world.folder / "bad.tar"
    bad.write_bytes(data)
    command = [
        sys.executable,
        "-m",
        "eegvlm_rt.cli",
        "bundle",
        "install",
        str(bad),
        "--slots",
        str(world.slots),
    ]
    done = subprocess.run(command, capture_output=True, env=world.environment, check=False, timeout=900)
    assert done.returncode == 2, done.stdout
    yield


def recorder_paused(world: World, rng: np.random.Generator) -> Iterator[None]:
    """The recorder itself stops for 1 to 4 s, as on a machine without breath."""
    assert world.service is not None
    process = psutil.Process(world.service.pid)
    process.suspend()
    time.sleep(float(rng.uniform(1, 4)))
    process.resume()
    yield


KINDS: Final[dict[str, Callable[[World, np.random.Generator], Iterator[None]]]] = {
    "source death": source_death,
    "source pause": source_pause,
    "model killed": model_killed,
    "model hung": model_hung,
    "model killed to safe mode": model_killed_again_and_again,
    "page killed": page_killed,
    "disk full": disk_full,
    "clock step": clock_step,
    "service killed": service_killed,
    "network flood": network_flood,
    "dead listeners": dead_listeners,
    "broken configuration": broken_configuration,
    "bad bundle": bad_bundle,
    "recorder paused": recorder_paused,
}
