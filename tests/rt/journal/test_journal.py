"""The journal: what was written is read back, a crash costs its last record, a full disk costs no night."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eegvlm_rt.errors import JournalError
from eegvlm_rt.journal import Journal, NightState, night_state, read
from eegvlm_rt.stages import Stage
from tests.rt.journal.records import epoch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEADER = {"model": "tiny", "sfreq": 256.0}


def write_night(path: Path, epochs: int = 4) -> str:
    with Journal.create(path, HEADER) as journal:
        journal.append("clock", {"grid_start_device_s": 100.0, "grid_start_wall_s": 1.7e9})
        for index in range(epochs):
            journal.append("prediction", epoch(index))
            journal.sync()
        journal.append("shutdown", {})
        return journal.head


@contextmanager
def full_disk(journal: Journal) -> Iterator[None]:
    """The journal's descriptor leads to /dev/full: the kernel answers each write with ENOSPC."""
    descriptor = journal._descriptor
    assert descriptor is not None
    kept, full = os.dup(descriptor), os.open("/dev/full", os.O_RDWR)
    os.dup2(full, descriptor)
    yield
    os.dup2(kept, descriptor)
    os.close(kept)
    os.close(full)


def test_what_was_written_is_read_back_in_order(tmp_path):
    head = write_night(tmp_path / "j")
    report = read(tmp_path / "j")
    assert (report.ok, report.head, report.torn_bytes, report.findings) == (True, head, 0, ())
    assert [r.kind for r in report.records] == ["start", "clock", *["prediction"] * 4, "shutdown"]
    assert [r.sequence for r in report.records] == list(range(7))
    assert report.records[0].body.items() >= HEADER.items()
    assert report.records[3].body == epoch(1)


def test_the_state_of_a_night_is_folded_from_its_records(tmp_path):
    write_night(tmp_path / "j", epochs=3)
    state = night_state(read(tmp_path / "j").records)
    assert isinstance(state, NightState)
    assert (state.grid_start_device_s, state.grid_start_wall_s) == (100.0, 1.7e9)
    assert (state.next_epoch_index, state.last_timestamp_s, state.records) == (3, 190.0, 6)
    assert (state.outcomes, state.missing, state.finished) == ({"scored": 3}, (), True)


class Colour(Enum):
    RED = "red"


def test_a_body_may_hold_what_json_cannot(tmp_path):
    odd = {
        "nan": math.nan,
        "deep": [math.inf, {"x": np.float32(0.5)}],
        "array": np.arange(3),
        "set": {"b", "a"},
        "enum": Colour.RED,
        "stage": Stage.N3,
        Stage.R: 1,
        "path": tmp_path,
        "bytes": b"\x01\xff",
        "lone": "\udc80",
    }
    with Journal.create(tmp_path / "j", {}) as journal:
        journal.append("source", odd)
        assert (journal.losses, journal.error) == (0, None)
    body = read(tmp_path / "j").records[1].body
    assert body["nan"] is None
    assert body["deep"] == [None, {"x": 0.5}]
    assert body["array"] == [0, 1, 2]
    assert body["set"] == ["a", "b"]
    assert (body["enum"], body["bytes"], body["R"]) == ("red", "01ff", 1)
    json.dumps(body, allow_nan=False)


def test_what_is_no_record_is_counted_and_never_raised(tmp_path):
    endless: dict = {}
    endless["self"] = endless
    with Journal.create(tmp_path / "j", {}) as journal:
        for kind, body in (
            ("source", endless),
            ("Not A Kind", {}),
            ("x" * 13, {}),
            ("big", {"x": "y" * (1 << 20)}),
        ):
            journal.append(kind, body)
        assert journal.losses == 4
    journal.append("late", {})
    assert (journal.losses, journal.error) == (5, "the journal is closed")
    report = read(tmp_path / "j")
    assert report.ok
    assert report.records[-1].kind == "loss"
    assert report.records[-1].body["records"] == 4


@pytest.mark.parametrize("keep", [1, 7, 63, 64, 65, 150])
def test_a_torn_tail_is_set_aside_and_told(tmp_path, keep):
    path = tmp_path / "j"
    write_night(path)
    data = path.read_bytes()
    *_, last, end = read(path).records
    path.write_bytes(data + data[last.offset : end.offset][:keep])
    torn = read(path)
    assert torn.chain_ok
    assert torn.torn_bytes > 0
    journal, state = Journal.resume(path)
    with journal:
        assert state.next_epoch_index == 4
        journal.append("prediction", epoch(4))
    whole = read(path)
    assert whole.ok
    resumed = whole.records[-2]
    assert (resumed.kind, resumed.body["torn_bytes"]) == ("resume", torn.torn_bytes)
    assert len((tmp_path / resumed.body["torn_file"]).read_bytes()) == torn.torn_bytes


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(cut=st.floats(0, 1))
def test_a_file_cut_anywhere_loses_only_what_was_cut(tmp_path, cut):
    path = tmp_path / "whole"
    if not path.exists():
        write_night(path)
    data, records = path.read_bytes(), read(path).records
    size = round(cut * len(data))
    short = tmp_path / "short"
    short.write_bytes(data[:size])
    whole = [
        r
        for r, after in zip(records, [*records[1:], None], strict=True)
        if (after.offset if after else len(data)) <= size
    ]
    report = read(short)
    assert (report.chain_ok, list(report.records)) == (True, whole)
    journal, state = Journal.open(short, HEADER)
    journal.close()
    assert (state is None) == (not whole)
    assert read(short).ok


def test_one_process_writes_at_a_time(tmp_path):
    with Journal.create(tmp_path / "j", {}):
        for again in (Journal.resume, lambda path: Journal.open(path, {})):
            with pytest.raises(JournalError, match="another process writes it"):
                again(tmp_path / "j")
        assert read(tmp_path / "j").ok
    Journal.resume(tmp_path / "j")[0].close()


def test_a_journal_that_is_there_is_never_begun_anew(tmp_path):
    write_night(tmp_path / "j")
    before = (tmp_path / "j").read_bytes()
    with pytest.raises(JournalError, match="is there already"):
        Journal.create(tmp_path / "j", {})
    assert (tmp_path / "j").read_bytes() == before


def test_a_file_without_a_record_is_begun_anew_and_what_it_held_kept(tmp_path):
    (tmp_path / "j").write_bytes(b"EVLMJNL\x01\xe6JR")
    with pytest.raises(JournalError, match="holds no record"):
        Journal.resume(tmp_path / "j")
    write_night(tmp_path / "j")
    assert read(tmp_path / "j").ok
    assert (tmp_path / "j.torn-0").read_bytes() == b"EVLMJNL\x01\xe6JR"


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 300])
def test_a_name_no_journal_can_have_is_refused(tmp_path, name):
    with pytest.raises(JournalError):
        Journal.create(f"{tmp_path}/{name}", {})


def test_what_is_no_regular_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path, tmp_path / "pipe", "/dev/full"):
        for use in (read, Journal.resume, lambda path: Journal.create(path, {})):
            with pytest.raises(JournalError):
                use(place)


def test_a_full_disk_is_counted_and_the_chain_goes_on_when_space_returns(tmp_path):
    with Journal.create(tmp_path / "j", {}) as journal:
        journal.append("prediction", epoch(0))
        with full_disk(journal):
            for index in (1, 2):
                journal.append("prediction", epoch(index))
            journal.append("source", {})
            assert journal.losses == 3
            assert journal.error is not None
        journal.append("prediction", epoch(3))
        assert (journal.losses, journal.error) == (3, None)
    report = read(tmp_path / "j")
    assert report.ok
    loss = next(r.body for r in report.records if r.kind == "loss")
    assert (loss["records"], loss["kinds"]) == (3, {"prediction": 2, "source": 1})
    assert loss["reason"] == "No space left on device"
    state = night_state(report.records)
    assert (state.next_epoch_index, state.missing) == (4, (1, 2))


def test_losses_at_the_end_are_told_when_the_journal_is_closed(tmp_path):
    with Journal.create(tmp_path / "j", {}) as journal, full_disk(journal):
        journal.append("prediction", epoch(0))
    assert [r.kind for r in read(tmp_path / "j").records] == ["start", "loss"]


def test_a_file_size_limit_is_met_with_whole_records_only(tmp_path):
    code = (
        "import resource, sys; from eegvlm_rt.journal import Journal;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, -1));"
        "j = Journal.create(sys.argv[1], {});"
        "[(j.append('prediction', {'index': i, 'fill': 'x' * 200}), j.sync()) for i in range(20)];"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1));"
        "print(j.losses, j.error); j.append('prediction', {'index': 20}); j.close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "j")], capture_output=True, text=True, check=True
    )
    losses, _, error = done.stdout.strip().partition(" ")
    report = read(tmp_path / "j")
    assert (report.ok, error) == (True, "File too large")
    assert report.records[-2].body["records"] == int(losses) > 0
    assert report.records[-1].body["index"] == 20
    assert len([r for r in report.records if r.kind == "prediction"]) == 21 - int(losses)


def test_a_folder_that_comes_later_gets_the_whole_night_from_then_on(tmp_path):
    path = tmp_path / "later" / "j"
    with Journal.create(path, HEADER) as journal:
        assert journal.error == "cannot be made: No such file or directory"
        journal.append("prediction", epoch(0))
        assert (journal.losses, journal.records) == (1, 0)
        path.parent.mkdir()
        journal.append("prediction", epoch(1))
        assert (journal.losses, journal.error, journal.records) == (1, None, 3)
    report = read(path)
    assert report.ok
    assert [r.kind for r in report.records] == ["start", "loss", "prediction"]
    assert report.records[0].body.items() >= HEADER.items()


def open_the_way_to(folder: Path) -> None:
    """Let other users in."""
    folder.chmod(0o755)
    for parent in folder.parents:
        if parent.owner() != "root" or parent.name.startswith(("pytest", "popen-gw")):
            parent.chmod(parent.stat().st_mode | 0o011)


def test_a_folder_without_the_right_to_write_is_reported_and_scoring_goes_on(tmp_path):
    folder = tmp_path / "shut"
    folder.mkdir(mode=0o555)
    code = (
        "import os, sys; from eegvlm_rt.journal import Journal; os.getuid() or os.setuid(65534);"
        "j = Journal.create(sys.argv[1], {}); j.append('prediction', {}); j.sync(); j.close();"
        "print(j.losses, j.error)"
    )
    open_the_way_to(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder / "j")], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "1 cannot be made: Permission denied", done.stderr


def test_a_journal_that_may_only_be_read_is_gone_on_with_and_written_when_it_may(tmp_path):
    path = tmp_path / "j"
    with Journal.create(path, HEADER) as journal:
        journal.append("prediction", epoch(0))
    with path.open("ab") as handle:
        handle.write(b"torn")
    path.chmod(0o444)
    open_the_way_to(tmp_path)
    code = (
        "import os, sys; from eegvlm_rt.journal import Journal; os.getuid() or os.setuid(65534);"
        "j, night = Journal.resume(sys.argv[1]); j.append('prediction', {'index': 1});"
        "print(night.next_epoch_index, j.losses, j.error, flush=True); sys.stdin.readline();"
        "j.append('prediction', {'index': 2}); print(j.losses, j.error); j.close()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "1 2 cannot be opened: Permission denied\n"
        path.chmod(0o666)
        rest, _ = child.communicate("\n")
    assert rest == "2 None\n"
    report = read(path)
    assert report.ok
    assert [r.kind for r in report.records] == ["start", "prediction", "loss", "prediction"]
    assert report.records[2].body["kinds"] == {"resume": 1, "prediction": 1}


def test_a_journal_that_appears_meanwhile_is_not_overwritten(tmp_path):
    path = tmp_path / "later" / "j"
    with Journal.create(path, {}) as journal:
        path.parent.mkdir()
        head = write_night(path)
        journal.append("prediction", epoch(0))
        assert journal.losses == 1
        assert "is there already" in str(journal.error)
    assert read(path).head == head


def test_threads_may_share_a_journal(tmp_path):
    with Journal.create(tmp_path / "j", {}) as journal:
        threads = [
            threading.Thread(
                target=lambda k=k: [journal.append("source", {"k": k, "i": i}) for i in range(50)]
            )
            for k in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    report = read(tmp_path / "j")
    assert (report.ok, len(report.records)) == (True, 201)


WRITER = """
import sys
from eegvlm_rt.journal import Journal
journal, night = Journal.open(sys.argv[1], {})
index = night.next_epoch_index if night else 0
while True:
    journal.append("prediction", {"index": index, "outcome": "scored", "fill": "x" * (index * 997 % 4000)})
    journal.sync()
    print(index, flush=True)
    index += 1
"""


def test_a_writer_killed_at_any_instant_loses_nothing_it_has_told_of(tmp_path):
    rng = np.random.default_rng(0)
    told = -1
    for _ in range(6):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "j")], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        with child, child.stdout:
            child.stdout.readline()
            time.sleep(rng.uniform(0, 0.05))
            child.send_signal(signal.SIGKILL)
            lines = [int(line) for line in child.stdout.read().splitlines() if line]
        told = max([told, *lines])
        report = read(tmp_path / "j")
        assert report.chain_ok
        done = [r.body["index"] for r in report.records if r.kind == "prediction"]
        assert done == list(range(len(done)))
        assert told <= len(done) - 1 <= told + 1 or not lines
