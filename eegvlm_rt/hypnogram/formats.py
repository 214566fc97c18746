"""The forms a hypnogram can be written in, by name."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from ..errors import InputError
from .bids import write_bids_events, write_bids_hypnogram
from .edf import write_edf
from .edfbrowser import write_edfbrowser
from .profusion import write_profusion
from .text import to_csv, to_json

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from .model import Hypnogram

__all__ = ["FORMATS", "format_files", "write_format"]


class Writer(Protocol):
    """Writes a hypnogram to a file."""

    def __call__(self, hypnogram: Hypnogram, path: Path, *, overwrite: bool) -> Path: ...


FORMATS: Final[Mapping[str, tuple[str, Writer]]] = {
    "edf": ("hypnogram.edf", write_edf),
    "edf-rk": ("hypnogram-rk.edf", partial(write_edf, rk=True)),
    "csv": ("hypnogram.csv", to_csv),
    "json": ("hypnogram.json", to_json),
    "bids": ("night_events.tsv", write_bids_events),
    "bids-hypnogram": ("night_hypnogram.tsv", write_bids_hypnogram),
    "profusion": ("hypnogram.xml", write_profusion),
    "edfbrowser": ("hypnogram-edfbrowser.csv", write_edfbrowser),
}
"""Name -> (name of the file, writer)."""


def format_files(names: Iterable[str]) -> list[str]:
    """Names of the files that these forms write, with sidecars. Raises InputError for an unknown name."""
    files = []
    for name in names:
        _check(name)
        files.append(FORMATS[name][0])
        if name.startswith("bids"):
            files.append(str(Path(FORMATS[name][0]).with_suffix(".json")))
    return files


def write_format(
    hypnogram: Hypnogram, folder: str | os.PathLike[str], name: str, *, overwrite: bool = False
) -> Path:
    """Write the form `name` into a folder and return the file.

    Raises InputError for an unknown name, OutputError for a file of another that is there (unless
    `overwrite`), RecordingError where it cannot be written.
    """
    _check(name)
    file, writer = FORMATS[name]
    return writer(hypnogram, Path(folder) / file, overwrite=overwrite)


def _check(name: str) -> None:
    if name not in FORMATS:
        raise InputError("format", name, f"use one of {', '.join(FORMATS)}")
