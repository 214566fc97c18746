"""The guide to streams: its programs run, in order, as a reader would run them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eegvlm_rt.signal.conditioning import lookahead_s
from tests.rt.tiny_bundle import write_tiny_bundle

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "streaming.md"


def test_every_program_of_the_guide_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tiny_bundle(tmp_path / "nano")
    monkeypatch.setenv("EEGVLM_RT_MODELS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    programs = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(programs) == 2
    names: dict[str, object] = {}
    for program in programs:
        exec(compile(program, str(GUIDE), "exec"), names)
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == "2"
    assert len(printed) == 60 + 2


def test_the_lookahead_is_as_the_guide_says() -> None:
    rates, delays = (
        re.findall(r"([\d.]+)(?: Hz| s| (?=\|))", line)
        for line in GUIDE.read_text(encoding="utf-8").splitlines()
        if line.startswith(("| rate", "| lookahead"))
    )
    assert len(rates) == len(delays) == 7
    for rate, delay in zip(rates, delays, strict=True):
        assert lookahead_s(float(rate)) == pytest.approx(float(delay), abs=0.005)
