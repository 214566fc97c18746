"""`stream --wait-s`: a source that is not there yet has an exit status of its own."""

from __future__ import annotations

import time

import pytest

from eegvlm_rt.cli import main

ABSENT = "brainflow:playback_file?file=/nowhere/night.csv&master_board=cyton"


@pytest.mark.parametrize(("wait", "status"), [(["--wait-s", "2"], 75), ([], 2)])
def test_a_source_that_is_not_there(wait: list[str], status: int, capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    assert main(["stream", "--source", ABSENT, *wait]) == status
    assert "cannot be opened" in capsys.readouterr().err
    assert time.monotonic() - began >= (2 if "2" in wait else 0)


@pytest.mark.parametrize("source", ["nothing", "brainflow:no_such_board", "edf:/nowhere.edf"])
def test_wrong_arguments_are_not_waited_for(source: str) -> None:
    began = time.monotonic()
    assert main(["stream", "--source", source, "--wait-s", "60"]) == 2
    assert time.monotonic() - began < 30
