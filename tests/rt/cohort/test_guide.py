"""The tutorial of cohorts: its programs and its command run as a reader would run them."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from eegvlm_rt.cli import main
from tests.rt.cohort.nights import save_nights

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "cohort.md"


def test_a_reader_gets_from_a_folder_to_a_table_and_reports(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(bundle, tmp_path / "models" / "nano")
    monkeypatch.setenv("EEGVLM_RT_MODELS", str(tmp_path / "models"))
    monkeypatch.chdir(tmp_path)
    text = GUIDE.read_text(encoding="utf-8")
    programs = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    commands = re.findall(r"^eegvlm-rt (score .*)$", text, flags=re.MULTILINE)
    assert len(programs) == 3
    names: dict[str, object] = {}
    exec(compile(programs[0], str(GUIDE), "exec"), names)
    assert main([*shlex.split(commands[0]), "--workers", "1"]) == 0
    for path in ("nights.csv", "nights.parquet", "nights.json", "group.html", "nights/night-1/report.html"):
        assert (tmp_path / "results" / path).stat().st_size > 100
    exec(compile(programs[1], str(GUIDE), "exec"), names)
    exec(compile(programs[2], str(GUIDE), "exec"), names)
    printed = capsys.readouterr().out
    assert "night-3 scored sleep" in printed
    assert "of them done before: 3" in printed
    # The commands for a BIDS dataset, with one of one's own.
    for label in ("01", "02", "03"):
        save_nights(tmp_path / "bids" / f"sub-{label}" / "eeg", f"sub-{label}_task-sleep_eeg")
    (tmp_path / "bids" / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    for command in commands[1:]:
        assert main(shlex.split(command.replace("/data/bids", str(tmp_path / "bids")))) == 0
    out = tmp_path / "bids" / "derivatives" / "eegvlm-rt"
    assert len((out / "nights.csv").read_text(encoding="utf-8").splitlines()) == 3
