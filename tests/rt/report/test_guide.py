"""The guide to reports: its program runs as a reader would run it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "report.md"


def test_the_program_of_the_guide_writes_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (program,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)
    exec(compile(program, str(GUIDE), "exec"), {})
    assert "24 epochs of 30 s" in (tmp_path / "night.html").read_text(encoding="utf-8")
