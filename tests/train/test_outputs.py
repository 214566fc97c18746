"""Commands of training and export never replace an input, nor what a person made."""

from __future__ import annotations

from pathlib import Path

import pytest
from eegvlm_train.cli import main
from eegvlm_train.outputs import write_text

from eegvlm_rt.errors import OutputError
from eegvlm_rt.files.seal import is_ours


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A checkpoint of somebody, as far as these commands look at it."""
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


@pytest.mark.parametrize(
    "command",
    [
        ("merge", "BASE", "OTHER", "BASE"),
        ("merge", "OTHER", "BASE", "BASE"),
        ("assemble", "BASE", "--enhancement", "BASE", "--tower", "OTHER"),
        ("language-model", "BASE", "BASE"),
        ("train-vision", "BASE", "BASE"),
        ("train-language", "OTHER", "BASE", "--base", "BASE"),
    ],
)
@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
def test_a_checkpoint_is_not_written_onto_itself(
    tmp_path: Path,
    base: Path,
    capsys: pytest.CaptureFixture[str],
    command: tuple[str, ...],
    overwrite: tuple[str, ...],
) -> None:
    names = {"BASE": str(base), "OTHER": str(tmp_path / "other")}
    assert main([*(names.get(word, word) for word in command), *overwrite]) == 2
    assert "this is the input" in capsys.readouterr().err
    assert [path.name for path in base.iterdir()] == ["config.json"]


def test_an_import_is_not_written_onto_its_source(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from eegvlm_export.cli import main as export

    assert export(["import", str(base), "-o", str(base), "--overwrite"]) == 2
    assert f"this lies in the input {base}" in capsys.readouterr().err


@pytest.mark.parametrize("command", [("simulate", "OUT"), ("train-vision", "DATA", "OUT")])
def test_a_folder_with_files_of_others_is_no_folder_of_results(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    names = {"OUT": str(base), "DATA": str(tmp_path / "nights")}
    assert main([names.get(word, word) for word in command]) == 2
    err = capsys.readouterr().err
    assert "holds files that eegvlm-rt did not write; name an empty folder, or add --overwrite" in err


def test_a_tokenizer_is_written_over_no_other_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "tokenizer.json"
    target.write_text("somebody's")
    assert main(["tokenizer", str(target)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert target.read_text() == "somebody's"
    for _ in range(2):
        assert main(["tokenizer", str(target), "--overwrite"]) == 0


def test_figures_are_written_over_no_other_file(tmp_path: Path) -> None:
    target = write_text(tmp_path / "new" / "figures.json", "{}", overwrite=False)
    write_text(target, "{}", overwrite=False)
    target.write_text("a note of a person")
    assert not is_ours(target)
    with pytest.raises(OutputError):
        write_text(target, "{}", overwrite=False)
