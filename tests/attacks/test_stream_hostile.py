"""Hostile chunks: every epoch stays a row in its place, and nothing but typed errors is raised."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from tests.attacks import fuzz_stream
from tests.attacks.hostile_chunks import check

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("run", range(0, 200, 4))
def test_a_hostile_night_keeps_every_promise(run: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    for number in range(run, run + 4):
        check(77, number)


@pytest.mark.parametrize(("seed", "run"), [(731, 88), (733, 1452), (800, 68336), (900, 50047)])
def test_a_night_that_once_broke_one_keeps_it(seed: int, run: int) -> None:
    """A clock that came back to a former reading among samples that were being dropped."""
    check(seed, run)


def test_the_fuzzer_counts_and_keeps_what_breaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_seed: int, run: int) -> tuple[int, int]:
        assert run != 3
        return 2, 1

    monkeypatch.setattr(fuzz_stream, "check", broken)
    assert fuzz_stream.main(["--runs", "5", "--seed", "9", "--crashes", str(tmp_path)]) == 1
    assert "5 nights of 8 chunks" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["AssertionError-9-3.txt"]
    logging.disable(logging.NOTSET)
