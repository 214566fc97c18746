"""eegvlm-rt completion SHELL: the script that completes commands, options and their values."""

from __future__ import annotations

import argparse
import sys

from ..errors import EegVlmError
from ..extras import install_command
from .parser import build_parser

__all__ = ["FILE_OPTIONS", "FOLDER_OPTIONS", "run"]

FILE_OPTIONS = ("FILE", "PNG", "INPUT", "NAME|DIR", "BUNDLE")
FOLDER_OPTIONS = ("DIR", "OUT")
"""What an argument is called in the help tells whether files or folders complete it."""


def run(args: argparse.Namespace) -> int:
    """Print the script; the shell runs it, nothing of it is run here."""
    try:
        import shtab
    except ImportError:
        raise EegVlmError("shtab", "not installed", install_command("completion")) from None
    parser = build_parser()
    _mark_paths(parser, shtab.FILE, shtab.DIRECTORY)
    sys.stdout.write(shtab.complete(parser, args.shell, root_prefix="eegvlm_rt") + "\n")
    return 0


def _mark_paths(parser: argparse.ArgumentParser, file: object, folder: object) -> None:
    """Let every argument that takes a path be completed by paths, in all commands below `parser`."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in dict.fromkeys(action.choices.values()):
                _mark_paths(command, file, folder)
        elif action.choices is None and isinstance(action.metavar, str):
            if action.metavar in FILE_OPTIONS:
                action.complete = file  # type: ignore[attr-defined]
            elif action.metavar in FOLDER_OPTIONS:
                action.complete = folder  # type: ignore[attr-defined]
