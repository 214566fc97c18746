"""Small parts: words without paths, word to systemd, old signal, latencies."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest

from eegvlm_rt.service import SignalLog
from eegvlm_rt.service.histogram import Histogram
from eegvlm_rt.service.restarts import Restarts
from eegvlm_rt.service.results import drop_signal
from eegvlm_rt.service.sdnotify import Notifier
from eegvlm_rt.service.wording import without_paths


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("edf:/home/anna/nights/a.edf@10x; cannot be read", "edf:…/a.edf@10x; cannot be read"),
        ("file '/etc/eegvlm-rt/beds.toml'", "file '…/beds.toml'"),
        ("serial_port=/dev/ttyUSB0", "serial_port=…/ttyUSB0"),
        ("https://alarms.example/a/b is away", "https://alarms.example/a/b is away"),
        ("1/2 of 30 s, µV/s", "1/2 of 30 s, µV/s"),
        ("", ""),
    ],
)
def test_words_for_others_tell_nothing_of_the_file_system(text: str, shown: str) -> None:
    assert without_paths(text) == shown


def test_systemd_is_told_what_it_reads(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "3000000"})
        assert notifier.watchdog_s == 3.0
        notifier.ready("2 of 2 beds recording")
        notifier.alive()
        notifier.stopping()
        got = [listening.recv(1000) for _ in range(3)]
    assert got == [b"READY=1\nSTATUS=2 of 2 beds recording", b"WATCHDOG=1", b"STOPPING=1"]
    Notifier({}).alive()
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).alive()


def test_only_the_signal_of_old_nights_is_removed_and_only_that(tmp_path: Path) -> None:
    for day in range(1, 5):
        folder = tmp_path / f"2026-11-0{day}"
        folder.mkdir()
        log = SignalLog(folder)
        log.append(np.zeros(3, np.float32), np.arange(3.0), 1.0)
        log.close()
        (folder / "night.journal").write_text("kept")
    removed = drop_signal(tmp_path, 2)
    assert [path.parent.name for path in removed] == ["2026-11-01", "2026-11-02"]
    assert len(list(tmp_path.glob("*/signal-*.frames"))) == 2
    assert len(list(tmp_path.glob("*/night.journal"))) == 4


def test_five_deaths_in_a_minute_are_too_many_and_so_are_five_without_success() -> None:
    restarts = Restarts()
    assert [restarts.died(10.0 * i) for i in range(5)] == [False, False, False, False, True]
    restarts.forget()
    assert restarts.died(1000.0)
    restarts.succeeded()
    assert not restarts.died(2000.0)
    slow = Restarts()
    assert [slow.died(1000.0 * i) for i in range(5)] == [False, False, False, False, True]
    steady = Restarts()
    for i in range(50):
        assert not steady.died(100.0 * i)
        steady.succeeded()


def test_a_histogram_counts_by_upper_bounds() -> None:
    histogram = Histogram((1.0, 10.0))
    for value in (0.5, 1.0, 1.1, 10.0, 11.0, None, 0.0, "x", -1.0):
        histogram.add(value)
    assert histogram.to_dict() == {"bounds": [1.0, 10.0], "counts": [2, 2, 1], "sum": 23.6}
