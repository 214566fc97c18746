"""The tutorial of cohorts: its programs and its command run as a reader would run them."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from eegvlm_rt.cli import main
from eegvlm_rt.hypnogram import read_bids_events
from tests.rt.cohort.nights import save_nights

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "cohort.md"


def test_a_reader_gets_from_a_folder_to_a_table_and_reports(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny_bundle, tmp_path / "models" / "nano")
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


def test_a_bids_dataset_becomes_derivatives(tiny_bundle: Path, tmp_path: Path) -> None:
    commands = re.findall(r"^eegvlm-rt (score /data/bids .*)$", GUIDE.read_text("utf-8"), flags=re.MULTILINE)
    dataset = tmp_path / "bids"
    for label in ("01", "02", "03"):
        save_nights(dataset / f"sub-{label}" / "eeg", f"sub-{label}_task-sleep_eeg")
    (dataset / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    out = dataset / "derivatives" / "eegvlm-rt"
    more = ["--bundle", str(tiny_bundle), "--format", "bids-hypnogram", "--workers", "1"]
    levels = [shlex.split(command.replace("/data/bids", str(dataset))) for command in commands]
    assert main([*levels[0], *more]) == 0
    assert not (out / "nights.csv").exists()
    folder, begin = out / "sub-02" / "eeg", "sub-02_task-sleep_desc-eegvlm"
    assert len(read_bids_events(folder / f"{begin}_events.tsv")) == 3
    with (folder / f"{begin}_events.tsv").open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    assert list(rows[0])[:3] == ["onset", "duration", "stage"]
    assert rows[0]["method"] == "automatic"
    assert "eegvlm-rt" in rows[0]["annotator"]
    assert sum(float(rows[0][f"p_{s}"]) for s in ("W", "N1", "N2", "N3", "R")) == pytest.approx(1, abs=1e-5)
    assert json.loads((folder / f"{begin}_events.json").read_text())["stage"]["Levels"]["N2"]
    assert (folder / f"{begin}_hypnogram.tsv").exists()
    described = json.loads((out / "dataset_description.json").read_text())
    assert described["DatasetType"] == "derivative"
    assert described["GeneratedBy"][0]["Name"] == "eegvlm-rt"
    assert main(levels[1]) == 0
    nights = (out / "nights.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in nights[1:]] == ["sub-01_task-sleep", "sub-02_task-sleep"]
    assert (out / "group.html").is_file()
