"""A journal in other forms: its records as JSON lines, its night as CSV or EDF+."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import InputError
from ..files.outputs import write_file
from ..hypnogram.edf import write_edf
from ..hypnogram.text import to_csv
from ..journal.export import json_lines
from .night import Night

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from ..journal.frames import Record

__all__ = ["SUFFIXES", "export_journal"]

SUFFIXES: Final = (".jsonl", ".csv", ".edf")
"""Forms that `export_journal` writes."""


def export_journal(records: Sequence[Record], path: str | PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a journal in the form that the suffix of `path` names: .jsonl the records, .csv or .edf its
    night.

    Raises:
        InputError: another suffix, or a night that the form cannot hold. OutputError: a file is there that
        eegvlm-rt did not write, or that was changed since (unless `overwrite`). RecordingError: the file
        cannot be written.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix == ".jsonl":
        lines = "".join(json_lines(records)).encode("utf-8", errors="replace")
        return write_file(target, lines, overwrite=overwrite)
    if suffix not in SUFFIXES:
        raise InputError("out", str(path), "end the name with " + ", ".join(SUFFIXES))
    hypnogram = Night.from_journal(records, keep=False).hypnogram
    write = to_csv if suffix == ".csv" else write_edf
    return write(hypnogram, target, overwrite=overwrite)
