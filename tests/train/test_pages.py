"""The page on training: its program runs, and its commands exist with their options; those of export too."""

from __future__ import annotations

from pathlib import Path

import mktestdocs
import pytest
from eegvlm_export import cli as export_cli
from eegvlm_train import cli as train_cli
from eegvlm_train.model import EegVlmForConditionalGeneration, preset
from eegvlm_train.model.processing import EegVlmProcessor
from eegvlm_train.model.tokenizer import build_tokenizer

from tests.docs.commands import ROOT, commands_of, help_of, option_names


def test_the_program_of_training_md_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = EegVlmForConditionalGeneration(preset("nano"))
    for part in (model, EegVlmProcessor.for_config(model.config, build_tokenizer())):
        part.save_pretrained(tmp_path / "runs" / "language")
    monkeypatch.chdir(tmp_path)
    mktestdocs.check_md_file(ROOT / "docs" / "training.md", memory=True)


@pytest.mark.parametrize("program", ["eegvlm_train", "eegvlm_export"])
def test_every_command_in_the_pages_exists_with_its_options(
    program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main = {"eegvlm_train": train_cli.main, "eegvlm_export": export_cli.main}[program]
    known: dict[str, set[str]] = {}
    lines = commands_of(f"python -m {program}")
    assert len(lines) > 5
    for page, line in lines:
        if option_names(line) <= {"-m", "--help"}:
            continue
        word = next(iter(line.split()[3:]), "")
        named = (
            word in train_cli.COMMANDS
            if program == "eegvlm_train"
            else word in ("compare", "import", "rehearse")
        )
        assert named or program == "eegvlm_export" or not word or word.startswith("-") or word.isupper(), line
        words = (word,) if named else ()
        if words not in known:
            known[words] = option_names(help_of(capsys, main, *words))
        assert option_names(line) - {"-m"} <= known[words], f"{page}: {line}"
