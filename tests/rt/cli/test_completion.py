"""`eegvlm-rt completion`: the script is run by a real bash, which then completes as a user would see it."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from eegvlm_rt.cli.options import MODES
from tests.rt.cli.cli_runs import cli

if TYPE_CHECKING:
    from pathlib import Path


def completed(script: Path, *words: str) -> set[str]:
    """What bash offers for the last of `words`."""
    line = " ".join(["eegvlm-rt", *words])
    typed = " ".join(f"'{word}'" for word in ("eegvlm-rt", *words))
    before = words[-2] if len(words) > 1 else "eegvlm-rt"
    program = (
        f"source '{script}'; COMP_WORDS=({typed}); COMP_CWORD={len(words)}; COMP_LINE='{line}'; "
        f"COMP_POINT={len(line)}; $(complete -p eegvlm-rt | sed 's/.*-F \\([^ ]*\\) .*/\\1/') eegvlm-rt "
        f"'{words[-1]}' '{before}'; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    bash = shutil.which("bash")
    assert bash is not None
    answer = subprocess.run([bash, "-c", program], capture_output=True, text=True, check=False, timeout=30)
    return {line.strip() for line in answer.stdout.splitlines() if line.strip()}


@pytest.fixture
def script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    status, out, _ = cli(capsys, "completion", "bash")
    assert status == 0
    path = tmp_path / "completion.bash"
    path.write_text(out)
    return path


def test_a_command_is_completed(script: Path) -> None:
    assert completed(script, "str") == {"stream"}
    assert {"stage", "stream"} <= completed(script, "st")


def test_an_option_and_its_values_are_completed(script: Path) -> None:
    assert "--trusted-keys" in completed(script, "stage", "--tr")
    assert completed(script, "stage", "--mode", "") == set(MODES)


def test_an_option_that_had_another_name_is_not_offered(script: Path) -> None:
    assert "--deadline" not in completed(script, "stream", "--dead")
    assert "--deadline-s" in completed(script, "stream", "--dead")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_a_script_of_their_own(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = cli(capsys, "completion", shell)
    assert status == 0
    assert "--lights-off" in out or "lights-off" in out


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = cli(capsys, "completion", "csh")
    assert status == 2
    assert "bash" in err
