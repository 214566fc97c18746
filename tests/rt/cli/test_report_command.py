"""eegvlm-rt report: from a recording, a journal or a folder of results to one file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from eegvlm_rt.hypnogram import from_csv, write_edf
from tests.rt.tiny_bundle import write_tiny_bundle

from .cli_runs import cli, save_recording

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report-bundle") / "tiny"
    write_tiny_bundle(folder)
    return folder


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_recording(tmp_path_factory.mktemp("recording") / "night.edf", 8)


def test_a_recording_is_staged_and_reported(capsys, bundle, recording, tmp_path):
    out = tmp_path / "night.html"
    status, printed, errors = cli(
        capsys, "report", recording, "-o", out, "--bundle", bundle, "--mode", "head"
    )
    assert (status, errors) == (0, "")
    assert str(out) in printed
    page = out.read_text(encoding="utf-8")
    assert "night.edf" in page
    assert "8 epochs of 30 s" in page
    assert 'class="eeg"' in page


def test_the_file_is_named_as_other_commands_name_it(capsys, bundle, recording, tmp_path):
    command = ("report", recording, "--bundle", bundle, "--mode", "head")
    assert cli(capsys, *command, "--out", tmp_path / "a.html")[2] == ""
    status, _, errors = cli(capsys, *command, "--output", tmp_path / "b.html")
    assert (status, errors) == (0, "eegvlm-rt: --output goes in the next release: use --out\n")
    assert (tmp_path / "b.html").is_file()
    assert cli(capsys, *command)[0] == 2


def test_a_journal_and_results_are_reported_as_they_are(capsys, bundle, recording, tmp_path):
    journal, results = tmp_path / "night.journal", tmp_path / "results"
    common = ("--bundle", bundle, "--mode", "head")
    assert cli(capsys, "stream", "--source", f"edf:{recording}@max", "--journal", journal, *common)[0] == 0
    assert cli(capsys, "stage", recording, "--out", results, *common)[0] == 0
    for source in (journal, results):
        out = tmp_path / "report.html"
        status, _, errors = cli(capsys, "report", source, "-o", out, "--signal", recording)
        assert (status, errors) == (0, "")
        page = out.read_text(encoding="utf-8")
        assert "8 epochs of 30 s" in page
        assert 'class="eeg"' in page


def test_a_persons_stages_make_it_reviewed(capsys, bundle, recording, tmp_path):
    results, out = tmp_path / "results", tmp_path / "r.html"
    assert cli(capsys, "stage", recording, "--out", results, "--bundle", bundle, "--mode", "head")[0] == 0
    scored = write_edf(from_csv(results / "hypnogram.csv"), tmp_path / "scored.edf")
    more = ("--review", scored, "--reviewer", "B. Reader")
    assert cli(capsys, "report", results, "-o", out, *more)[0] == 0
    assert "by B. Reader" in out.read_text(encoding="utf-8")


def test_what_a_person_made_and_what_is_read_stay(capsys, bundle, recording, tmp_path):
    results = tmp_path / "results"
    more = ("--bundle", bundle, "--mode", "head")
    assert cli(capsys, "stage", recording, "--out", results, *more)[0] == 0
    page = results / "night.html"
    assert cli(capsys, "report", results, "-o", page)[0] == 0
    assert cli(capsys, "report", results, "-o", page, "--epochs", "2")[0] == 0
    page.write_text(page.read_text(encoding="utf-8").replace("Draft.", "Mine."), encoding="utf-8")
    status, _, errors = cli(capsys, "report", results, "-o", page)
    assert status == 2
    assert "--overwrite" in errors
    assert "Mine." in page.read_text(encoding="utf-8")
    assert cli(capsys, "report", results, "-o", page, "--overwrite")[0] == 0
    assert "Mine." not in page.read_text(encoding="utf-8")
    link = tmp_path / "link.html"
    link.symlink_to(recording)
    content = recording.read_bytes()
    status, _, errors = cli(capsys, "report", recording, "-o", link, "--overwrite", *more)
    assert status == 2
    assert "this is the input" in " ".join(errors.split())
    assert recording.read_bytes() == content


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{missing}", "-o", "r.html"], "no such file"),
        (["{folder}", "-o", "r.html"], "no predictions.json there"),
        (["{recording}", "-o", "r.docx"], "end the name with .html or .pdf"),
        (["{recording}", "-o", "r.html", "--epochs", "99"], "give 0 to 60"),
        (["{recording}", "-o", "r.html", "--channel", "Cz9"], "channels"),
    ],
)
def test_what_cannot_be_reported_ends_with_one_message(
    capsys, bundle, recording, tmp_path, arguments, message
):
    names = {"missing": tmp_path / "none.edf", "folder": tmp_path, "recording": recording}
    filled = [part.format(**names) for part in arguments]
    filled = [str(tmp_path / part) if part in ("r.html", "r.docx") else part for part in filled]
    status, printed, errors = cli(capsys, "report", *filled, "--bundle", bundle, "--mode", "head")
    assert (status, printed) == (2, "")
    assert message in " ".join(errors.split()).lower() or message in errors
