"""eegvlm-rt journal: what a journal holds, whether it is whole, and its night in other forms."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from eegvlm_rt.hypnogram import read_edf
from eegvlm_rt.journal import Journal, read
from tests.rt.cli.cli_runs import cli

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def night(tmp_path) -> Path:
    with Journal.create(tmp_path / "night.journal", {"model": "tiny"}) as journal:
        journal.append("clock", {"grid_start_device_s": 0.0, "grid_start_wall_s": 1.7e9})
        for index in range(3):
            journal.append("prediction", {"index": index, "outcome": "scored", "stage": "N2"})
        journal.append("shutdown", {})
    return tmp_path / "night.journal"


def test_a_whole_journal_is_told_to_be_whole(capsys, night):
    status, out, err = cli(capsys, "journal", "verify", night)
    assert (status, err) == (0, "")
    assert "6 records" in out
    assert "3 epochs: scored 3" in out
    assert "ended in order" in out
    assert read(night).head in out.replace("\n", "")


def test_a_torn_tail_has_a_status_of_its_own(capsys, night):
    night.write_bytes(night.read_bytes()[:-10])
    status, out, _ = cli(capsys, "journal", "verify", night)
    assert status == 3
    assert "torn tail" in out
    assert "record 5" in out


def test_an_altered_record_is_named(capsys, night):
    data = bytearray(night.read_bytes())
    data[read(night).records[3].offset + 70] ^= 1
    night.write_bytes(data)
    status, out, _ = cli(capsys, "journal", "verify", night, "--json")
    told = json.loads(out)
    assert (status, told["status"]) == (4, 4)
    assert [finding["sequence"] for finding in told["findings"]] == [3]


def test_a_noted_digest_shows_a_journal_that_was_cut(capsys, night):
    report = read(night)
    assert cli(capsys, "journal", "verify", night, "--head", report.head)[0] == 0
    night.write_bytes(night.read_bytes()[: report.records[-1].offset])
    assert cli(capsys, "journal", "verify", night)[0] == 0
    status, out, _ = cli(capsys, "journal", "verify", night, "--head", report.head)
    assert status == 4
    assert "cut or written anew" in out


def test_the_records_go_to_stdout_as_json_lines(capsys, night):
    status, out, err = cli(capsys, "journal", "export", night)
    assert (status, err) == (0, "")
    assert [json.loads(line)["sequence"] for line in out.splitlines()] == list(range(6))


def test_the_hypnogram_goes_to_a_file(capsys, night, tmp_path):
    status, out, _ = cli(capsys, "journal", "export", night, "-o", tmp_path / "h.edf")
    assert status == 0
    assert "h.edf" in out
    assert len(read_edf(tmp_path / "h.edf")) == 3


def test_what_is_intact_of_a_damaged_journal_is_exported_and_the_damage_told(capsys, night):
    data = bytearray(night.read_bytes())
    data[read(night).records[1].offset + 70] ^= 1
    night.write_bytes(data)
    status, out, err = cli(capsys, "journal", "export", night)
    assert (status, len(out.splitlines())) == (4, 5)
    assert "record 1" in err


@pytest.mark.parametrize("content", [b"no journal", b"EVLMJNL\x09"])
def test_what_is_no_journal_ends_with_one_message(capsys, tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    for action in ("verify", "export"):
        status, out, err = cli(capsys, "journal", action, tmp_path / "x")
        assert (status, out, err.count("\n")) == (2, "", 1)
