"""Seven nights within minutes: `benchmarks.service._week FOLDER BEDS SPEED NIGHTS LIMIT_S [no-tab]`.

A browser's tab shows the first bed all the time. The schedule's clock runs at SPEED from lights-off to
lights-on, and faster between, once all is decided; each bed plays a file of a whole night at SPEED. Memory,
files and threads of every process are read after each night, and of the tab its JavaScript heap after a
collection and its DOM nodes; one JSON object on stdout. After LIMIT_S the night in progress is the last.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from eegvlm_rt.heap import keep_one_heap
from eegvlm_rt.journal import read
from eegvlm_rt.service import Service, parse_configuration, read_frames
from eegvlm_rt.service.clock import Clock
from eegvlm_rt.sources import read_channel
from tests.rt.service.chromium import Tab, browser

SFREQ_HZ = 256.0
HOURS = 7.5
"""Less than the window: a file begins a second after it, which is minutes of the schedule's clock."""
EVENING = datetime(2026, 11, 1, 21, 59, tzinfo=UTC).timestamp()
DAY_SPEED = 20.0
CONFIG = """
data = "{data}"
timezone = "UTC"
[model]
mode = "head"
threads = 1
deadline_s = 5
[page]
port = {port}
[storage]
floor_mb = 0
results_every_s = 5
"""
BED = '[[beds]]\nid = "bed{n}"\nsource = "edf:{file}@{speed:g}x"\nlights_off = "22:00"\nlights_on = "06:00"\n'


class FastClock(Clock):
    """Host time at `speed` times real time; by day faster still, or not at all."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self.by_day = self.stands = False
        self._at, self._passed = time.monotonic(), 0.0
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        """Seconds that have passed for the schedule."""
        with self._lock:
            now = time.monotonic()
            factor = 0.0 if self.stands else self.speed * (DAY_SPEED if self.by_day else 1.0)
            self._passed += factor * (now - self._at)
            self._at = now
            return self._passed

    def wall(self) -> float:
        """Seconds since 1970; the first evening is that of 2026-11-01."""
        return EVENING + self.monotonic()

    def both(self) -> tuple[float, float]:
        """Both clocks at one moment."""
        now = self.monotonic()
        return EVENING + now, now


def main() -> int:
    """Run the nights, or write the file that they play (`night FILE`)."""
    if sys.argv[1] == "night":
        from eegvlm_rt.simulator import simulate_night, write_edf

        write_edf(simulate_night(seed=9, hours=HOURS, sfreq=SFREQ_HZ), Path(sys.argv[2]))
        return 0
    folder, beds, speed, nights = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    limit_s = float(sys.argv[5])
    # As `eegvlm-rt serve` does before anything else.
    keep_one_heap()
    file = folder / "night.edf"
    # In a process of its own: what a simulation needs of memory is not the service's.
    subprocess.run([sys.executable, "-m", "benchmarks.service._week", "night", str(file)], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        text = CONFIG.format(data=folder / "data", port=free.getsockname()[1])
    text += "".join(BED.format(n=n + 1, file=file, speed=speed) for n in range(beds))
    clock = FastClock(speed)
    service = Service(parse_configuration(text.encode()), clock=clock)
    began_s = time.monotonic()
    service.start()
    if sys.argv[6:] == ["no-tab"]:
        rows = watch(service, clock, nights, limit_s, None)
    else:
        with browser() as tab:
            rows = watch(service, clock, nights, limit_s, tab)
    seconds = time.monotonic() - began_s
    cpu_s = {name: sum(process.cpu_times()[:2]) for name, process in processes(service).items()}
    service.stop()
    print(json.dumps({"nights": rows, "seconds": seconds, "cpu_s": cpu_s, **accounts(folder / "data", file)}))
    return 0


def watch(
    service: Service, clock: FastClock, nights: int, limit_s: float, tab: Tab | None
) -> list[dict[str, Any]]:
    """Let the nights go by, for `limit_s` or a little longer; what was read after each."""
    rows: list[dict[str, Any]] = []
    recording = opened = False
    began_s = time.monotonic()
    while len(rows) < nights and (time.monotonic() - began_s < limit_s or recording):
        if time.monotonic() - began_s > 2 * limit_s:
            raise TimeoutError(f"night {len(rows) + 1} did not end within {2 * limit_s:.0f} s")
        time.sleep(0.25)
        service.tick()
        if service.page.port and tab is not None and not opened:
            opened = True
            tab.open(f"http://127.0.0.1:{service.page.port}/#bed1")
        active = bool(service.nights()) or any(view.bed.night for view in service.views.values())
        day = not any(view.bed.wanted for view in service.views.values())
        clock.by_day, clock.stands = day and not active, day and active
        if recording and not active:
            time.sleep(2.0)
            rows.append(facts(service, len(rows) + 1))
            if tab is not None:
                rows[-1]["tab"] = tab_facts(tab)
            passed_min = (time.monotonic() - began_s) / 60
            left_min = passed_min / len(rows) * (nights - len(rows))
            rest = f"; {passed_min:.0f} min, about {left_min:.0f} more"
            print(json.dumps(rows[-1]) + rest, file=sys.stderr, flush=True)
        recording = active
    return rows


def tab_facts(tab: Tab) -> dict[str, Any]:
    """What the tab needs, and whether it shows what is true."""
    tab.call("HeapProfiler.collectGarbage")
    return {
        "heap_mib": round(tab.call("Runtime.getHeapUsage")["usedSize"] / (1 << 20), 2),
        "nodes": tab.call("Memory.getDOMCounters")["nodes"],
        "epochs_shown": tab.run("import('/page.js').then(({ page }) => page.rows.filter(Boolean).length)"),
        "link": tab.run("document.getElementById('link').textContent"),
        "problems": len(tab.problems),
    }


def processes(service: Service) -> dict[str, psutil.Process]:
    """The three processes by name."""
    members = {"recorder": psutil.Process()}
    for name, child in (("model", service.model.process), ("page", service.page.process)):
        if child is not None:
            members[name] = psutil.Process(child.pid)
    return members


def facts(service: Service, night: int) -> dict[str, Any]:
    """Memory in MiB, files and threads of every process."""
    row: dict[str, Any] = {"night": night}
    for name, process in processes(service).items():
        row[name] = {
            "rss_mib": round(process.memory_info().rss / (1 << 20), 2),
            "files": process.num_fds(),
            "threads": process.num_threads(),
        }
    return row


def accounts(data: Path, file: Path) -> dict[str, Any]:
    """Samples lost and epochs of all nights. What was recorded must be the file from its begin, sample by
    sample; where a slow machine plays it so late that the night is over before the file, the rest was never
    sent in the night, and is counted apart.
    """
    sent = np.asarray(read_channel(file).samples_uv, dtype=np.float32)
    lost, late, epochs, samples, folders = 0, 0, 0, 0, 0
    for folder in sorted(path for path in data.glob("*/*") if path.is_dir()):
        folders += 1
        got = np.concatenate([frame.samples for frame in read_frames(folder)])
        samples += len(got)
        late += len(sent) - len(got)
        # From the first sample on that is not the one that was sent, none counts.
        wrong = np.flatnonzero(got != sent[: len(got)])
        lost += len(got) - int(wrong[0]) if len(wrong) else 0
        epochs += sum(record.kind == "prediction" for record in read(folder / "night.journal").records)
    return {
        "samples": samples,
        "samples_lost": lost,
        "samples_after_lights_on": late,
        "epochs": epochs,
        "folders": folders,
    }


if __name__ == "__main__":
    sys.exit(main())
