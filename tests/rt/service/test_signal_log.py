"""The raw signal on disk: whole frames, no loss at a kill or a full disk."""

from __future__ import annotations

import os
import resource
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegvlm_rt.service import SignalLog, read_frames


def piece(n: int, start: int = 0) -> tuple[np.ndarray, np.ndarray, float]:
    return np.arange(start, start + n, dtype=np.float32), np.arange(start, start + n) / 64, 100.0 + start


def test_frames_come_back_as_they_were(tmp_path: Path) -> None:
    log = SignalLog(tmp_path)
    event = {"kind": "stalled", "at_s": 3.0, "detail": "µV"}
    log.append(*piece(3))
    log.append(np.array([np.nan, -0.0], np.float32), np.array([np.inf, 1e300]), 7.5, (event,))
    log.close()
    first, second = read_frames(tmp_path)
    assert first.sequence == 0
    assert second.events == (event,)
    assert second.received_s == 7.5
    np.testing.assert_array_equal(second.samples, [np.nan, -0.0])
    np.testing.assert_array_equal(second.timestamps, [np.inf, 1e300])


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=12), st.data())
def test_reading_from_anywhere_gives_the_rest_from_disk_or_memory(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("log")
    split = data.draw(st.integers(0, len(sizes)))
    first = data.draw(st.integers(0, len(sizes)))
    log = SignalLog(folder)
    for n in sizes[:split]:
        log.append(*piece(n))
    log.close()
    log = SignalLog(folder)
    for n in sizes[split:]:
        log.append(*piece(n))
    assert [(f.sequence, len(f.samples)) for f in log.read(first)] == list(enumerate(sizes))[first:]
    log.close()
    assert [len(frame.samples) for frame in read_frames(folder)] == sizes


def test_old_frames_are_read_from_the_disk_in_bounded_pieces(tmp_path: Path) -> None:
    log = SignalLog(tmp_path)
    for i in range(600):
        log.append(*piece(1000, i))
    wanted, got = 3, []
    while frames := log.read(wanted, 100_000):
        assert sum(12 * len(frame.samples) for frame in frames) < 120_000
        got += [frame.sequence for frame in frames]
        wanted = got[-1] + 1
    assert got == list(range(3, 600))
    log.close()


@pytest.mark.parametrize("cut", [1, 7, 40, 51])
def test_a_torn_frame_ends_its_segment_and_nothing_else(tmp_path: Path, cut: int) -> None:
    log = SignalLog(tmp_path)
    for i in range(3):
        log.append(*piece(10, i))
    log.close()
    path = tmp_path / "signal-0001.frames"
    path.write_bytes(path.read_bytes()[:-cut])
    torn = path.read_bytes()
    log = SignalLog(tmp_path)
    assert log.next_sequence == 2
    log.append(*piece(5))
    log.close()
    assert path.read_bytes() == torn
    assert [(f.sequence, len(f.samples)) for f in read_frames(tmp_path)] == [(0, 10), (1, 10), (2, 5)]


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_changed_byte_is_noticed(tmp_path_factory: pytest.TempPathFactory, place: int, value: int) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    log = SignalLog(folder)
    for i in range(3):
        log.append(*piece(8, i))
    log.close()
    path = folder / "signal-0001.frames"
    data = bytearray(path.read_bytes())
    place %= len(data)
    changed = data[place] != value
    data[place] = value
    path.write_bytes(data)
    frames = list(read_frames(folder))
    assert (len(frames) < 3) == changed
    for frame in frames:
        np.testing.assert_array_equal(frame.samples, piece(8, frame.sequence)[0])


def test_a_length_that_lies_reads_nothing_beyond_its_bound(tmp_path: Path) -> None:
    head = struct.pack("<IIQdII", 0x53C4E70A, 0xFFFFFFFF, 0, 0.0, 1, 0)
    (tmp_path / "signal-0001.frames").write_bytes(b"EVLMSIG\x01" + head + bytes(100))
    assert list(read_frames(tmp_path)) == []


def test_a_full_disk_loses_nothing_that_fits_into_memory(tmp_path: Path) -> None:
    """The limit for files of this process stands for the end of the disk; SIGXFSZ is ignored by Python."""
    script = f"""
import resource, sys
import numpy as np
from pathlib import Path
from eegvlm_rt.service import SignalLog, read_frames
log = SignalLog(Path({str(tmp_path)!r}))
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for i in range(40):
    if i == 10:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    if i == 30:
        assert log.error and log.lost_frames == 0
        assert [f.sequence for f in log.read(0)] == list(range(30))
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    log.append(np.full(64, i, np.float32), np.full(64, i, float), float(i))
assert log.error is None
log.close()
assert [f.sequence for f in read_frames(Path({str(tmp_path)!r}))] == list(range(40))
"""
    assert resource.RLIMIT_FSIZE
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_a_killed_writer_leaves_every_frame_it_was_told_of(tmp_path: Path) -> None:
    script = f"""
import numpy as np, sys
from pathlib import Path
from eegvlm_rt.service import SignalLog
log = SignalLog(Path({str(tmp_path)!r}))
for i in range(100000):
    log.append(np.full(64, i, np.float32), np.full(64, i, float), float(i))
    print(i, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None
    told = -1
    while told < 200:
        told = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    told = max([told, *(int(line) for line in process.stdout.read().split())])
    process.wait()
    process.stdout.close()
    frames = list(read_frames(tmp_path))
    assert [frame.sequence for frame in frames][: told + 1] == list(range(told + 1))
