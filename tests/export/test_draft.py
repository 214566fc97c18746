"""Bundles that fall short: reported, not published, or published with a mark that nobody overlooks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from eegvlm_export.cli import EXIT_GATES, main
from eegvlm_export.gates import Gate, GateResult, GatesFailedError, shortcomings
from eegvlm_train.data.night_files import UV_PER_LSB, night_path, save_npz

from eegvlm_rt.bundle import Bundle, draft_fields
from eegvlm_rt.bundle.draft import MAX_REASON, MAX_REASONS, parse_draft
from eegvlm_rt.cli import main as stage
from eegvlm_rt.hypnogram import from_csv
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.simulator.edf import write_edf

pytestmark = pytest.mark.usefixtures("traced_once")

RECIPE = """
tower: fp32
llm: fp32
parity_epochs: 2
reasoning_epochs: 0
gates:
  bytes.total: {at_most: 1}
  agreement.head: {at_least: 0.5}
"""


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("night")
    x = np.random.default_rng(0).normal(0, 20 / UV_PER_LSB, (4, 3000)).astype(np.int16)
    save_npz(night_path(folder, 0), x=x, uv_per_lsb=UV_PER_LSB)
    return folder


def arguments_of(checkpoint: Path, folder: Path, night: Path) -> list[str]:
    (folder / "recipe.yaml").write_text(RECIPE)
    given = ["--recipe", str(folder / "recipe.yaml"), "--parity", str(night), "--threads", "1"]
    return [str(checkpoint), "-o", str(folder / "bundle"), *given]


def test_a_failed_gate_is_reported_in_full_and_nothing_is_published(
    checkpoint: Path, night: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.json"
    assert main([*arguments_of(checkpoint, tmp_path, night), "--report", str(report)]) == EXIT_GATES
    assert not (tmp_path / "bundle").exists()
    told = capsys.readouterr().err
    assert "wanted <= 1" in told
    assert "--draft" in told
    content = json.loads(report.read_text())
    assert content["figures"]["agreement"]["head"] == 1.0
    assert [gate["figure"] for gate in content["gates"]] == ["bytes.total", "agreement.head"]
    (shortcoming,) = content["shortcomings"]
    assert shortcoming.startswith("bytes.total: ")
    assert content["speed_ms"]


def test_an_untrained_checkpoint_is_refused_at_once_and_its_draft_is_marked(
    checkpoint: Path, night: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(checkpoint, tmp_path / "untrained"))
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"untrained": ["enhancement", "language_model"]}))
    arguments = [*arguments_of(copy, tmp_path, night), "--report", str(tmp_path / "report.html")]
    assert main(arguments) == EXIT_GATES
    told = capsys.readouterr().err
    assert "untrained: enhancement, language_model" in told
    assert "graphs" not in told
    assert not (tmp_path / "bundle").exists()
    assert not (tmp_path / "report.html").exists()

    assert main([*arguments, "--draft"]) == 0
    assert "a draft: bytes.total" in capsys.readouterr().err
    report = (tmp_path / "report.html").read_text()
    assert "falls short" in report
    assert "same stage, head" in report
    bundle = Bundle.open(tmp_path / "bundle")
    assert bundle.manifest.model_id == "tiny-draft"
    untrained, reason = bundle.manifest.draft
    assert untrained == "untrained: enhancement, language_model"
    assert reason.startswith("bytes.total: ")
    assert not bundle.manifest.parity["gates"]["bytes.total"]["passed"]
    card = (bundle.path / "README.md").read_text()
    assert card.startswith("# tiny-draft\n")
    assert f"- {reason}\n" in card
    assert "| gates | 2, 1 failed |" in card
    files = staged_by(bundle.path, tmp_path, capsys, f"{untrained}; {reason}")
    assert len(files) > 5
    for file in files:
        assert b"tiny-draft" in file.read_bytes(), file.name
    assert from_csv(tmp_path / "out" / "hypnogram.csv").draft == "tiny-draft"
    predictions = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert (predictions["model"]["id"], predictions["model"]["draft"]) == ("tiny-draft", True)


def staged_by(bundle: Path, folder: Path, capsys: pytest.CaptureFixture[str], reason: str) -> list[Path]:
    """The files of two epochs that a draft staged, the picture aside; stdout and stderr name it."""
    write_edf(simulate_night(3, hours=1 / 60), folder / "night.edf")
    forms = [word for form in ("json", "bids", "profusion", "edfbrowser") for word in ("--format", form)]
    given = ["--bundle", str(bundle), "--mode", "head", "--threads", "1", "--out", str(folder / "out")]
    assert stage(["stage", str(folder / "night.edf"), *given, *forms]) == 0
    told = capsys.readouterr()
    assert f"tiny-draft: a draft, not for use, and its files say so ({reason})" in told.err
    assert "model tiny-draft" in told.out
    files = [file for file in (folder / "out").iterdir() if file.suffix != ".png"]
    # The sidecar of BIDS explains the columns of the table beside it, whatever model staged the night.
    return [file for file in files if file.name != "night_events.json"]


def test_shortcomings_name_figure_value_and_bound() -> None:
    failed = GateResult(Gate("shift.cot", at_most=0.02), 0.5)
    missing = GateResult(Gate("agreement.cot", at_least=0.9), None)
    passed = GateResult(Gate("agreement.head", at_least=0.9), 1.0)
    told = ["shift.cot: 0.5, wanted <= 0.02", "agreement.cot: not measured, wanted >= 0.9"]
    assert shortcomings((failed, missing, passed)) == told
    error = GatesFailedError((failed, missing, passed), ("enhancement",))
    assert str(error) == "untrained: enhancement; gates failed: shift.cot, agreement.cot"


def test_as_many_reasons_as_a_manifest_holds() -> None:
    fields = draft_fields("a" * 128, ["x" * 1000] * 100)
    assert len(fields["model_id"]) == 128
    assert len(fields["draft"]) == MAX_REASONS
    assert fields["draft"][-1] == f"and {100 - MAX_REASONS + 1} more"
    assert len(fields["draft"][0]) == MAX_REASON
    assert parse_draft(fields["draft"])
    assert draft_fields("mine-draft", ["x"])["model_id"] == "mine-draft"
