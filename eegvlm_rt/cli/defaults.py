"""A file with a user's own defaults for options of the command line.

    # ~/.config/eegvlm-rt/config.toml
    [defaults]              # every command that has the option
    bundle = "/srv/models/nano"
    threads = 2

    [score]                 # one command; stronger than [defaults]
    channel = ["EEG Fpz-Cz", "EEG C4-A1"]
    report = true

What stands on the command line is stronger than the file. A key that no command has, or a value that the
option does not take, is an error: a default that is silently not used would be worse than none.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import InputError
from .options import OldName

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["ENVIRONMENT", "SHARED", "configuration_path", "with_defaults"]

ENVIRONMENT = "EEGVLM_RT_CONFIG"
"""Names the file; empty, none is read."""

SHARED = "defaults"
"""The table for every command that has the option."""

_LARGEST = 1_000_000
"""Bytes of a file of defaults: a longer one is something else."""

_NEVER = ("overwrite", "help", "version")
"""Whether files of others are replaced is decided at each call, never once for all."""

Tables: TypeAlias = "Mapping[str, Mapping[str, Any]]"


def configuration_path() -> Path | None:
    """The file of defaults, or None where there is none. One that the environment names must exist.

    Without `EEGVLM_RT_CONFIG` it is `eegvlm-rt/config.toml` in `$XDG_CONFIG_HOME`, else in `~/.config` (XDG
    Base Directory Specification 0.8); what has that name and cannot be read is an error when it is read. The
    working directory is never looked at: a folder of recordings sets no options.
    """
    named = os.environ.get(ENVIRONMENT)
    if named is not None:
        return Path(named) if named else None
    home = os.environ.get("XDG_CONFIG_HOME", "")
    try:
        base = Path(home) if Path(home).is_absolute() else Path.home() / ".config"
    except RuntimeError:
        return None
    path = base / "eegvlm-rt" / "config.toml"
    return path if os.path.lexists(path) else None


def with_defaults(
    parser: argparse.ArgumentParser, argv: Sequence[str], path: Path | None
) -> tuple[list[str], list[str]]:
    """The command line with the options of the file behind the command's name, before its own options; and
    the options that came from the file. A command line that asks for help does not need the file.

    Raises InputError for a file that cannot be read, an unknown table or option, and a value that is refused.
    """
    arguments, commands = list(argv), _commands(parser)
    if path is None or not arguments or arguments[0] not in commands or {"-h", "--help"} & set(arguments):
        return arguments, []
    tables = _read(path)
    _check_names(path, tables, commands)
    name, rest = arguments[0], arguments[1:]
    options = _options(commands[name])
    typed = set(_typed(rest, commands[name]))
    words: list[str] = []
    for table in (name, SHARED):
        for key, value in tables.get(table, {}).items():
            action = options.get(_dashed(key))
            if action is not None and action.dest not in typed:
                words += _words(f"{path}: [{table}] {key}", _dashed(key), value, action)
                typed.add(action.dest)
    return [name, *words, *rest], words


def _read(path: Path) -> dict[str, dict[str, Any]]:
    # Most users have no such file: a start without one does not wait for the reader of it.
    import tomllib

    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise InputError("configuration", str(path), f"is larger than {_LARGEST:,} bytes")
        content = tomllib.loads(text.decode("utf-8-sig"))
    except OSError as error:
        raise InputError("configuration", str(path), f"cannot be read: {error.strerror}") from None
    except RecursionError:
        raise InputError("configuration", str(path), "is nested too deeply") from None
    except ValueError as error:
        # Of TOML, of UTF-8, or of a number with thousands of digits.
        raise InputError("configuration", str(path), f"is not TOML: {error}") from None
    for name, table in content.items():
        if not isinstance(table, dict):
            raise InputError(
                f"{path}: {name}", table, f"stands outside a table; put it under [{SHARED}] or a command"
            )
    return content


def _check_names(path: Path, tables: Tables, commands: Mapping[str, argparse.ArgumentParser]) -> None:
    """Every table is a command or the shared one, and every key an option of it."""
    every = {option for command in commands.values() for option in _options(command)}
    for name, table in tables.items():
        if name != SHARED and name not in commands:
            names = ", ".join(sorted(commands))
            raise InputError(f"{path}: table", name, f"use [{SHARED}] or a command: {names}")
        options = every if name == SHARED else set(_options(commands[name]))
        if len({_dashed(key) for key in table}) < len(table):
            twice = next(key for key in table if "_" in key and key.replace("_", "-") in table)
            raise InputError(f"{path}: [{name}]", twice, f"stands there as {twice.replace('_', '-')} too")
        for key in table:
            if key.replace("_", "-") in _NEVER:
                raise InputError(f"{path}: [{name}]", key, "has no default; give it on the command line")
            if _dashed(key) not in options:
                names = ", ".join(sorted(option.removeprefix("--") for option in options))
                raise InputError(f"{path}: [{name}]", key, f"no such option; use one of {names}")


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands without actions of their own (`bundle verify` has its own defaults)."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return {
                name: command
                for name, command in action.choices.items()
                if not any(isinstance(one, argparse._SubParsersAction) for one in command._actions)
            }
    return {}


def _options(command: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """The long options of a command that may have a default. One that takes a list of unknown length could
    swallow the inputs behind it."""
    return {
        option: action
        for action in command._actions
        for option in action.option_strings
        if option.startswith("--")
        and not isinstance(action, OldName)
        and action.nargs not in ("+", "*")
        and option.removeprefix("--") not in _NEVER
    }


def _dashed(key: str) -> str:
    return "--" + key.replace("_", "-")


def _typed(words: Iterable[str], command: argparse.ArgumentParser) -> Iterable[str]:
    """Names of the values that the command line itself sets, also by the beginning of an option's name, which
    argparse takes. What looks like an option but is the value of another only costs a default."""
    for word in words:
        if word == "--":
            return
        name = word.partition("=")[0]
        for action in command._actions:
            for option in action.option_strings:
                beginning = option.startswith(name) if name.startswith("--") else word.startswith(option)
                if name.startswith("-") and beginning:
                    yield action.dest


def _words(place: str, option: str, value: Any, action: argparse.Action) -> list[str]:
    """The option as it would be typed; one that may be given again takes a list."""
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise InputError(place, value, "give true or false")
        return [option] if value else []
    several = isinstance(action, argparse._AppendAction) and isinstance(value, list)
    values = value if several else [value]
    for one in values:
        _check_value(place, one, action)
    return [f"{option}={_at_home(str(one))}" for one in values]


def _at_home(text: str) -> str:
    """A path that begins with `~/`, as a shell would give it."""
    return str(Path(text).expanduser()) if text.startswith("~/") else text


def _check_value(place: str, value: Any, action: argparse.Action) -> None:
    """The option's own check of a value, so that the message names the file."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(place, value, "give a text or a number")
    if isinstance(value, int) and value.bit_length() > 63:
        raise InputError(place, value, "a number of TOML has 64 bits")
    if "\0" in str(value):
        raise InputError(place, value, "no option takes a NUL character")
    try:
        checked = action.type(str(value)) if callable(action.type) else str(value)
    except argparse.ArgumentTypeError as error:
        raise InputError(place, value, str(error)) from None
    except (TypeError, ValueError):
        raise InputError(place, value, "give a number") from None
    if action.choices is not None and checked not in action.choices:
        raise InputError(place, value, f"use one of {', '.join(map(str, action.choices))}")
