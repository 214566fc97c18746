"""`python -m eegvlm_train`: commands are found, and what is missing is named."""

from __future__ import annotations

import pytest
from eegvlm_train import cli

from eegvlm_rt.versions import version_text


def test_without_a_command_the_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    printed = capsys.readouterr().out
    assert all(name in printed for name in cli.COMMANDS)


def test_an_unknown_command_is_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["dream"]) == 2
    assert "dream: no such command" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "extra"),
    [("torch", "train"), ("gssc.nets", "peers"), ("yasa", "peers"), ("peft", "lora"), ("matplotlib", "viz")],
)
def test_a_missing_package_is_named_with_its_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, module: str, extra: str
) -> None:
    def missing(_module: str, _package: str | None) -> None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(cli, "import_module", missing)
    assert cli.main(["evaluate", "--help"]) == 2
    package = module.partition(".")[0]
    assert f"{package}: not installed; pip install -e '.[{extra}]'" in capsys.readouterr().err


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == version_text("eegvlm_train") + "\n"
