"""The guide to the Python surface: its programs run, in order, as a reader would run them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.rt.tiny_bundle import write_tiny_bundle

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "python.md"


def test_every_program_of_the_guide_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tiny_bundle(tmp_path / "nano")
    monkeypatch.setenv("EEGVLM_RT_MODELS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    programs = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(programs) == 7
    names: dict[str, object] = {}
    for program in programs:
        exec(compile(program, str(GUIDE), "exec"), names)
    printed = capsys.readouterr().out
    assert "Stage:" in printed
    assert "n_samples: 2998; an epoch is 30 s: give 3000 samples at 100 Hz" in printed
