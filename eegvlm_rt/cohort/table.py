"""The table of all nights, CSV and Parquet, written in pieces from the receipts."""

from __future__ import annotations

import csv
import io
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from ..files.outputs import check_outputs, staged_file, write_file
from ..files.seal import SEAL, file_digests
from ..files.strict_json import json_text
from .row import COLUMNS, row_of_receipt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from .receipt import Receipt

__all__ = ["CSV", "DICTIONARY", "PARQUET", "table_paths", "write_table"]

CSV, PARQUET, DICTIONARY = "nights.csv", "nights.parquet", "nights.json"
PIECE: Final = 2000
"""Rows that are held at a time: a cohort of any size is written in some MB of memory."""

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def table_paths(out: Path) -> list[Path]:
    """The files that `write_table` writes: without pyarrow (the extra `score`) there is no Parquet."""
    names = [CSV, PARQUET] if find_spec("pyarrow") is not None else [CSV]
    return [out / name for name in (*names, DICTIONARY)]


def write_table(out: Path, receipts: Iterable[Receipt], *, overwrite: bool = False) -> list[Path]:
    """Write a row per receipt, and the dictionary that says what each column means; returns the files.

    Raises what `files.write_file` raises.
    """
    paths = table_paths(out)
    check_outputs(paths, overwrite=overwrite)
    with ExitStack() as stack:
        table = stack.enter_context(staged_file(out / CSV, overwrite=overwrite))
        text = stack.enter_context(_text(table))
        lines = csv.DictWriter(text, list(COLUMNS), lineterminator="\n")
        lines.writeheader()
        parquet = None
        if out / PARQUET in paths:
            import pyarrow as pa
            import pyarrow.parquet as pq

            schema = _schema(pa)
            binary = stack.enter_context(staged_file(out / PARQUET, overwrite=overwrite))
            parquet = stack.enter_context(pq.ParquetWriter(binary, schema, compression="zstd"))
        for piece in _pieces(receipts):
            rows = [row_of_receipt(receipt) for receipt in piece]
            lines.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
            if parquet is not None:
                parquet.write_table(pa.Table.from_pylist(rows, schema=schema))
    dictionary = {
        "about": "columns of nights.csv and nights.parquet; empty: a figure that a night does not have",
        "columns": {name: {"type": kind.__name__, "meaning": text} for name, (kind, text) in COLUMNS.items()},
        "written": {"by": SEAL, "files": file_digests(paths[:-1])},
    }
    write_file(out / DICTIONARY, json_text(dictionary, DICTIONARY).encode(), overwrite=overwrite)
    return paths


@contextmanager
def _text(binary: BinaryIO) -> Iterator[io.TextIOWrapper]:
    """UTF-8 over a binary file that stays open."""
    text = io.TextIOWrapper(binary, encoding="utf-8", errors="surrogateescape", newline="")
    try:
        yield text
    finally:
        text.detach()


def _pieces(receipts: Iterable[Receipt]) -> Iterator[list[Receipt]]:
    piece: list[Receipt] = []
    for receipt in receipts:
        piece.append(receipt)
        if len(piece) == PIECE:
            yield piece
            piece = []
    if piece:
        yield piece


def _cell(value: object) -> object:
    """A cell of CSV. Text that a spreadsheet would run as a formula gets an apostrophe before it."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def _schema(pa: Any) -> Any:
    kinds = {str: pa.string(), float: pa.float64(), int: pa.int64(), bool: pa.bool_()}
    return pa.schema(
        [
            pa.field(name, kinds[kind], metadata={"meaning": meaning})
            for name, (kind, meaning) in COLUMNS.items()
        ]
    )
