"""The commands that the pages show, and the options of the real commands."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from textwrap import indent

import pytest

__all__ = ["ROOT", "commands_of", "help_of", "option_names"]

ROOT = Path(__file__).resolve().parents[2]

_COMMAND = re.compile(
    r"(^ {4,}(?:\$ )?|`)((?:eegvlm-rt|python -m [a-z_.]+)(?: [^`\n]*?(?:\\\n[^`\n]*?)*)?)(?=`|$)", re.M
)
_OPTION = re.compile(r"(?<![\w-])--?[a-zA-Z][\w-]*")


def commands_of(program: str, *, blocks_only: bool = False) -> list[tuple[str, str]]:
    """(page, command without its comment) of every command of a program in the pages; those within a sentence
    may be cut short, and are left out by `blocks_only`."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
    commands = []
    for page in pages:
        text = page.read_text(encoding="utf-8")
        text = re.sub(r"```sh\n(.*?)```", lambda block: indent(block[1], "    "), text, flags=re.DOTALL)
        for match in _COMMAND.finditer(text):
            line = re.sub(r"\\\n\s*", "", match[2])
            # In lists of commands an explanation stands behind two spaces, elsewhere behind a `#`.
            line = re.split(r"\s+#|\s{2,}", line)[0]
            if blocks_only and match[1] == "`":
                continue
            if line == program or line.startswith((f"{program} ", f"{program}.")):
                commands.append((page.name, line))
    return commands


def option_names(text: str) -> set[str]:
    """The options in a command or in a help text."""
    return set(_OPTION.findall(text))


def help_of(capsys: pytest.CaptureFixture[str], main: Callable[..., object], *words: str) -> str:
    """What a command prints that was called with these words and `--help`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["command", *words, "--help"])
        with pytest.raises(SystemExit) as end:
            main()
    assert end.value.code == 0
    return capsys.readouterr().out
