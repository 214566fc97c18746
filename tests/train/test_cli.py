"""`python -m eegvlm_train`: commands are found, and what is missing is named."""

from __future__ import annotations

import pytest
from eegvlm_train import cli


def test_without_a_command_the_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    printed = capsys.readouterr().out
    assert all(name in printed for name in cli.COMMANDS)


def test_an_unknown_command_is_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["dream"]) == 2
    assert "dream: no such command" in capsys.readouterr().err


def test_a_missing_package_is_named_with_its_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_module: str, _package: str | None) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(cli, "import_module", missing)
    assert cli.main(["evaluate", "--help"]) == 2
    assert "torch: not installed; pip install 'eegvlm-rt[train]'" in capsys.readouterr().err
