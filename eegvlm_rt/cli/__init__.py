"""The command line: eegvlm-rt demo | stage | stream | render | bundle | journal | info."""

from __future__ import annotations

import os
import shlex
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..bundle.find import find_bundle, folder_of_the_same_name
from ..errors import DraftWarning, EegVlmError, RecordingWarning
from ..heap import keep_one_heap
from .console import report_error, report_note, report_warning
from .defaults import configuration_path, with_defaults
from .parser import build_parser

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["main"]

INTERRUPTED = 130
CLOSED_PIPE = 1
BAD_INPUT = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 2 input that cannot be used, 130 interrupted,
    1 where nobody reads the output any more.
    """
    keep_one_heap()
    _open_missing_streams()
    with _warnings_told() as later:
        status = _run(argv)
    if status != BAD_INPUT:
        # An error stands alone, so that its cure is not looked for in a line about something else.
        for line in later:
            report_warning(line)
    return status


def _run(argv: Sequence[str] | None) -> int:
    parser = build_parser()
    try:
        path = configuration_path()
        arguments, defaults = with_defaults(parser, sys.argv[1:] if argv is None else argv, path)
        if defaults:
            report_note(f"defaults of {path}: {shlex.join(defaults)}")
        args = parser.parse_args(arguments)
        if here := folder_of_the_same_name(getattr(args, "bundle", None)):
            report_warning(f"bundle: {here}; this is {find_bundle(str(here))}, the folder here is ./{here}")
        status: int = args.run(args)
        sys.stdout.flush()
    except EegVlmError as error:
        report_error(str(error))
        return BAD_INPUT
    except MemoryError:
        report_error("memory: exhausted; stage a shorter recording or one of a lower rate")
        return BAD_INPUT
    except KeyboardInterrupt:
        report_error("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    except OSError as error:
        report_error(f"{error.filename or 'system'}: {error.strerror}")
        return BAD_INPUT
    return status


@contextmanager
def _warnings_told() -> Iterator[list[str]]:
    """What a reader left out, and a model that is a draft, are lines on stderr; lines about options that have
    a new name are gathered for the end; other warnings are as Python prints them.
    """
    later: list[str] = []
    with warnings.catch_warnings():
        for kind in (RecordingWarning, DraftWarning):
            warnings.simplefilter("always", kind)
        warnings.filterwarnings("always", category=DeprecationWarning, message="--")
        plain = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if str(message).startswith("--"):
                later.append(str(message))
            elif issubclass(category, RecordingWarning | DraftWarning):
                report_warning(str(message))
            else:
                plain(message, category, *place, **more)

        warnings.showwarning = show
        yield later


def _open_missing_streams() -> None:
    """Streams closed by the caller lead nowhere; else the next file opened would take their place."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
