"""Where the command line writes: plain text off a terminal, colors on it unless NO_COLOR is set."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from rich.console import Console
from rich.text import Text

from ..notice import NOTICE

__all__ = [
    "NOTICE",
    "note",
    "out",
    "plain",
    "progress_console",
    "report_error",
    "report_note",
    "report_warning",
]

NARROWEST = 20
"""Columns below which no table is readable: lines are then printed whole and the terminal breaks them."""

_WIDEST, _UNKNOWN_WIDTH = 120, 100


def out() -> Console:
    """Console for results, on stdout: at most 120 columns, 100 where the width is not known."""
    return _console(sys.stdout)


def progress_console(results: Console | None) -> Console | None:
    """Console for a progress bar: that of the results where it is a terminal, else stderr's, else None.

    A bar below the results must go through the very console that prints them. Without one, something else
    writes to stdout: then there is no bar where stdout is a terminal.
    """
    if results is not None and results.is_interactive:
        return results
    if results is None and sys.stdout.isatty():
        return None
    console = _console(sys.stderr)
    return console if console.is_interactive else None


def note(console: Console) -> None:
    """Print the notice that ends every report."""
    console.print(Text(NOTICE, style="dim"))


def report_error(message: str) -> None:
    """Print one message on stderr."""
    _report(message, "bold red", "default")


def report_warning(message: str) -> None:
    """Print one line on stderr that is no error."""
    _report(message, "bold yellow", "default")


def report_note(message: str) -> None:
    """Print one line on stderr about what was done without being asked for on the command line."""
    _report(message, "dim", "dim")


def _report(message: str, name_style: str, style: str) -> None:
    text = Text("eegvlm-rt: ", style=name_style)
    text.append(plain(message), style=style)
    _console(sys.stderr).print(text, soft_wrap=True)


def plain(text: str) -> str:
    """`text` without characters that could drive a terminal."""
    return "".join(character if character.isprintable() else "�" for character in text)


def _console(stream: TextIO) -> Console:
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    has_width = console.is_terminal or "COLUMNS" in os.environ
    width = min(console.width, _WIDEST) if has_width else _UNKNOWN_WIDTH
    console.width = width if width >= NARROWEST else _UNKNOWN_WIDTH
    return console
