"""The forms a hypnogram can be written in, by name."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import InputError
from .bids import write_bids_events, write_bids_hypnogram
from .edf import write_edf
from .edfbrowser import write_edfbrowser
from .profusion import write_profusion
from .text import to_csv, to_json

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from .model import Hypnogram

__all__ = ["FORMATS", "write_format"]

FORMATS: Final[Mapping[str, tuple[str, Callable[[Hypnogram, Path], Path]]]] = {
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


def write_format(hypnogram: Hypnogram, folder: str | os.PathLike[str], name: str) -> Path:
    """Write the form `name` into a folder and return the file. Raises InputError for an unknown name."""
    if name not in FORMATS:
        raise InputError("format", name, f"use one of {', '.join(FORMATS)}")
    file, writer = FORMATS[name]
    return writer(hypnogram, Path(folder) / file)
