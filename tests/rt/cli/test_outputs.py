"""No command replaces one of its inputs, nor a file that a person made or changed."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path

import pytest

from eegvlm_rt.files.seal import is_ours
from eegvlm_rt.hypnogram import Hypnogram, read_edf, write_edf
from eegvlm_rt.stages import Stage
from tests.rt.cli.cli_runs import cli, save_recording
from tests.rt.tiny_bundle import write_tiny_bundle

HEAD = ("--mode", "head")


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_tiny_bundle(folder / "nano")
    return folder


@pytest.fixture(autouse=True)
def _environment(monkeypatch, models, tmp_path):
    monkeypatch.setenv("EEGVLM_RT_MODELS", str(models))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def night(tmp_path) -> Path:
    return save_recording(tmp_path / "night.edf")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def scored(path: Path) -> Path:
    """A hypnogram as other software writes it: no seal."""
    write_edf(Hypnogram((Stage.N2,) * 3, datetime(2020, 5, 1, 22)), path)
    path.write_bytes(path.read_bytes().replace(b"eegvlm-rt", b"somebody ", 1))
    return path


@pytest.fixture
def journal(capsys, night) -> Path:
    path = night.with_name("night.journal")
    assert cli(capsys, "stream", "--source", f"edf:{night}@max", *HEAD, "--json", "--journal", path)[0] == 0
    return path


def refused(capsys, folder: Path, *argv: object) -> str:
    """The message of a command that must be refused, and must leave the folder as it is."""
    before = contents(folder)
    status, _, err = cli(capsys, *argv)
    assert status == 2, err
    assert contents(folder) == before
    return err


# --- stage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
def test_a_truth_in_the_folder_of_the_results_is_kept(capsys, tmp_path, night, overwrite):
    truth = scored(tmp_path / "hypnogram.edf")
    err = refused(capsys, tmp_path, "stage", night, *HEAD, "--truth", truth, "--out", tmp_path, *overwrite)
    assert "hypnogram.edf; this is the input" in err


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
@pytest.mark.parametrize("name", ["hypnogram.edf", "./hypnogram.edf", "symbolic.edf", "hard.edf"])
def test_a_recording_called_like_a_result_is_kept(capsys, tmp_path, name, overwrite):
    recording = save_recording(tmp_path / "hypnogram.edf")
    (tmp_path / "symbolic.edf").symlink_to(recording)
    (tmp_path / "hard.edf").hardlink_to(recording)
    err = refused(capsys, tmp_path, "stage", name, *HEAD, "--out", ".", *overwrite)
    assert "this is the input" in err


@pytest.mark.parametrize("name", ["hypnogram.edf", "hypnogram.csv", "predictions.json", "night_events.json"])
def test_a_file_of_a_person_is_kept_unless_it_is_asked_for(capsys, tmp_path, night, name):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("scored by hand\n")
    command = ("stage", night, *HEAD, "--out", out, "--format", "bids")
    err = refused(capsys, out, *command)
    assert f"{name}; is there already, and eegvlm-rt did not write it" in err
    assert "--overwrite" in err
    assert cli(capsys, *command, "--overwrite")[0] == 0
    assert (out / name).read_text() != "scored by hand\n"


def test_results_are_written_again_and_again(capsys, tmp_path, night):
    out = tmp_path / "out"
    forms = [part for name in ("json", "bids", "edfbrowser", "profusion") for part in ("--format", name)]
    for mode in ("head", "direct", "head"):
        status, _, err = cli(capsys, "stage", night, "--mode", mode, "--out", out, *forms)
        assert (status, err) == (0, "")
    assert all(is_ours(path) for path in out.iterdir())


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("hypnogram.edf", b"Sleep stage", b"Sleep STAGE"),
        ("hypnogram.csv", b",22", b",23"),
        ("predictions.json", b'"mode"', b'"Mode"'),
    ],
)
def test_a_result_that_a_person_changed_is_kept(capsys, tmp_path, night, name, old, new):
    out = tmp_path / "out"
    assert cli(capsys, "stage", night, *HEAD, "--out", out)[0] == 0
    path = out / name
    data = path.read_bytes()
    path.write_bytes(data.replace(old, new, 1) if old in data else data + b" ")
    assert name in refused(capsys, out, "stage", night, *HEAD, "--out", out)


def test_results_that_were_copied_are_still_ours(capsys, tmp_path, night):
    assert cli(capsys, "stage", night, *HEAD, "--out", "one")[0] == 0
    (tmp_path / "two").mkdir()
    for path in (tmp_path / "one").iterdir():
        (tmp_path / "two" / path.name).write_bytes(path.read_bytes())
    assert cli(capsys, "stage", night, *HEAD, "--out", "two")[0] == 0


def test_nothing_is_written_into_a_bundle(capsys, night, models):
    err = refused(capsys, models / "nano", "stage", night, *HEAD, "--out", models / "nano", "--overwrite")
    assert "lies in the input" in err


# --- the other commands ---------------------------------------------------------------------------


def test_a_journal_is_exported_onto_no_recording_and_not_onto_itself(capsys, tmp_path, night, journal):
    assert "night.edf" in refused(capsys, tmp_path, "journal", "export", journal, "-o", night)
    alias = tmp_path / "alias.csv"
    alias.symlink_to(journal)
    err = refused(capsys, tmp_path, "journal", "export", journal, "-o", alias, "--overwrite")
    assert "this is the input" in err
    for name in ("h.edf", "h.csv", "h.jsonl", "h.edf", "h.csv", "h.jsonl"):
        assert cli(capsys, "journal", "export", journal, "-o", tmp_path / name)[0] == 0
    assert len(read_edf(tmp_path / "h.edf")) == 3


def test_a_picture_is_written_onto_no_recording(capsys, tmp_path, night):
    assert "this is the input" in refused(capsys, tmp_path, "render", night, "-o", night, "--overwrite")
    other = save_recording(tmp_path / "other.edf")
    assert "other.edf" in refused(capsys, tmp_path, "render", night, "-o", other)
    for epoch in (1, 2):
        assert cli(capsys, "render", night, "--epoch", epoch, "-o", "epoch.png")[0] == 0
    assert is_ours(tmp_path / "epoch.png")


def test_a_bundle_is_packed_onto_no_recording_and_not_into_itself(capsys, tmp_path, night, models):
    assert "night.edf" in refused(capsys, tmp_path, "bundle", "pack", "nano", night)
    manifest = models / "nano" / "manifest.json"
    err = refused(capsys, models / "nano", "bundle", "pack", "nano", manifest, "--overwrite")
    assert "lies in the input" in err
    for _ in range(2):
        assert cli(capsys, "bundle", "pack", "nano", "nano.tar")[0] == 0
    assert cli(capsys, "bundle", "pack", "nano", night, "--overwrite")[0] == 0


def test_an_archive_is_not_unpacked_over_itself(capsys, tmp_path):
    assert cli(capsys, "bundle", "pack", "nano", "nano.tar")[0] == 0
    assert cli(capsys, "bundle", "unpack", "nano.tar", "out")[0] == 0
    (tmp_path / "nano.tar").rename(tmp_path / "out" / "nano.tar")
    err = refused(capsys, tmp_path / "out", "bundle", "unpack", "out/nano.tar", "out", "--overwrite")
    assert "holds the archive" in err


def test_a_demo_keeps_what_is_in_its_folder(capsys, tmp_path):
    out = tmp_path / "demo-night"
    out.mkdir()
    (out / "recording.edf").write_bytes(b"a person's night")
    assert "recording.edf" in refused(capsys, out, "demo", "--hours", "0.1", *HEAD)
    (out / "recording.edf").unlink()
    for seed in (1, 2):
        status, _, err = cli(capsys, "demo", "--hours", "0.1", "--seed", seed, *HEAD)
        assert (status, err) == (0, "")


# --- stream ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
def test_a_stream_replaces_neither_its_source_nor_its_journal(capsys, tmp_path, night, overwrite):
    def command(source: Path, *more: object) -> tuple[object, ...]:
        return ("stream", "--source", f"edf:{source}@max", *HEAD, "--json", *more, *overwrite)

    assert "is the input" in refused(capsys, tmp_path, *command(night, "--journal", night))
    journal = tmp_path / "hypnogram.csv"
    err = refused(capsys, tmp_path, *command(night, "--journal", journal, "--out", tmp_path))
    assert "hypnogram.csv; this is the input" in err
    recording = save_recording(tmp_path / "hypnogram.edf")
    assert "is the input" in refused(capsys, tmp_path, *command(recording, "--out", tmp_path))


def test_what_a_person_put_into_the_folder_stops_no_night(capsys, tmp_path, night):
    out = tmp_path / "out"
    out.mkdir()
    (out / "night.json").write_text("corrected by hand")
    for number in (2, 3):
        status, _, _ = cli(capsys, "stream", "--source", f"edf:{night}@max", *HEAD, "--out", out)
        assert status == 0
        assert len(read_edf(out / f"night ({number})" / "hypnogram.edf")) == 3
    assert contents(out) == {"night.json": b"corrected by hand"}


def test_a_streamed_night_goes_beside_a_file_that_came_meanwhile(capsys, tmp_path, night, monkeypatch):
    out = tmp_path / "out"

    class Late:
        """Somebody saves a file into the folder while the night runs."""

        def __init__(self, plain):
            self.plain = plain

        def __call__(self, outlet, told):
            (out / "hypnogram.edf").write_bytes(b"saved at three in the morning")
            self.plain(outlet, told)

    from eegvlm_rt.cli.stream_output import JsonLines

    late = Late(JsonLines.begin)
    monkeypatch.setattr(JsonLines, "begin", lambda self, told: late(self, told))
    command = ("stream", "--source", f"edf:{night}@max", *HEAD, "--json", "--out", out)
    status, printed, _ = cli(capsys, *command)
    summary = json.loads(printed.splitlines()[-1])
    assert status == 0
    assert (out / "hypnogram.edf").read_bytes() == b"saved at three in the morning"
    assert len(read_edf(out / "night (2)" / "hypnogram.edf")) == 3
    assert {Path(file).parent for file in summary["files"]} == {out / "night (2)"}
    assert any("hypnogram.edf" in warning for warning in summary["warnings"])


def test_a_streamed_night_is_written_again(capsys, tmp_path, night):
    for _ in range(2):
        command = ("stream", "--source", f"edf:{night}@max", *HEAD, "--json", "--out", tmp_path / "out")
        assert cli(capsys, *command)[0] == 0
    assert all(is_ours(path) for path in (tmp_path / "out").iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_not_ours(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"x")
    path.chmod(0)
    assert not is_ours(path)
