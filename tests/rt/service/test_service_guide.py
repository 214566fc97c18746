"""The guide to the service: its programs and its configuration are what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eegvlm_rt.service import parse_configuration
from eegvlm_rt.service.alarms import LATCHING, PRIORITIES

GUIDE = (Path(__file__).resolve().parents[3] / "docs" / "service.md").read_text(encoding="utf-8")


def test_every_program_of_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    programs = re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL)
    assert len(programs) == 2
    names: dict[str, object] = {}
    for program in programs:
        text = program.replace("/tmp/eegvlm-nights", str(tmp_path / "nights"))
        exec(compile(text, "service.md", "exec"), names)
    assert (tmp_path / "nights").is_dir()


def test_the_shortest_configuration_is_right(tmp_path: Path) -> None:
    found = re.findall(r"```toml\n(.*?)```", GUIDE, flags=re.DOTALL)
    assert len(found) == 1
    text = "\n".join(line.strip() for line in found[0].splitlines())
    parse_configuration(text.replace("/var/lib/eegvlm-rt/nights", str(tmp_path)).encode())


def test_the_table_of_alarms_is_that_of_the_program() -> None:
    table: dict[str, str] = {}
    for names, priority in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ([a-z, ]+) \|", GUIDE, flags=re.MULTILINE):
        table |= dict.fromkeys(re.findall(r"`(\w+)`", names), priority)
    shown = {
        str(kind): f"{priority}, latching" if kind in LATCHING else str(priority)
        for kind, priority in PRIORITIES.items()
    }
    assert {kind: table.get(kind) for kind in shown} == shown
