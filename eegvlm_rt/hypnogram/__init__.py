"""The stages of a night: a value, its files, and how well two of them agree."""

from __future__ import annotations

from .agreement import Agreement, agreement
from .edf import read_edf, write_edf
from .model import Hypnogram
from .text import from_csv, from_json, to_csv, to_json

__all__ = [
    "Agreement",
    "Hypnogram",
    "agreement",
    "from_csv",
    "from_json",
    "read_edf",
    "to_csv",
    "to_json",
    "write_edf",
]
