"""Tables of text that are read into hypnograms: errors name row and column, in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from ..errors import InputError, RecordingError
from ..files.inputs import open_regular
from ..stages import Stage

if TYPE_CHECKING:
    import os
    from pathlib import Path

__all__ = ["STAGE_WORDS", "Row", "Table", "read_text"]

STAGE_WORDS = "W, N1, N2, N3, R or an EDF+ text such as 'Sleep stage 2'"
_MAX_BYTES = 1 << 24


def read_text(path: str | os.PathLike[str]) -> tuple[Path, str]:
    """The text of a UTF-8 file of at most 16 MiB, a byte order mark left out. Raises RecordingError."""
    target, handle, size = open_regular(path)
    with handle:
        raw = handle.read(_MAX_BYTES + 1)
    if max(size, len(raw)) > _MAX_BYTES:
        raise RecordingError("file", f"{size} bytes", f"at most {_MAX_BYTES} are read", path=str(target))
    try:
        return target, raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        cure = f"byte {error.start} is no UTF-8 text; save it as UTF-8"
        raise RecordingError("file", target.name, cure, path=str(target)) from error


@dataclass(frozen=True, slots=True)
class Table:
    """A tab-separated file: names of its columns, and the rows that are not empty."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Table:
        """Read it; raises RecordingError where it cannot be read."""
        target, text = read_text(path)
        lines = [line.rstrip("\r").split("\t") for line in text.split("\n")]
        columns = tuple(name.strip() for name in lines[0])
        return cls(
            target,
            columns,
            tuple(
                Row(target, i, columns, tuple(cells)) for i, cells in enumerate(lines[1:], 2) if any(cells)
            ),
        )

    def need(self, *names: str) -> None:
        """Raises RecordingError, listing the columns there are, where one of these is missing."""
        for name in names:
            if name not in self.columns:
                self.lacks(name)

    def lacks(self, name: str) -> NoReturn:
        """Raise the RecordingError for a column that is missing."""
        names = ", ".join(self.columns)[:160] or "none"
        printable = "".join(character if character.isprintable() else "\ufffd" for character in names)
        cure = f"it has no column {name}; its columns (tabs between) are: {printable}"
        raise RecordingError("file", self.path.name, cure, path=str(self.path))


@dataclass(frozen=True, slots=True)
class Row:
    """One row; `line` is its number in the file, the names of the columns being line 1."""

    path: Path
    line: int
    columns: tuple[str, ...]
    cells: tuple[str, ...]

    def text(self, column: str) -> str:
        """A cell; raises RecordingError where the row is too short."""
        place = self.columns.index(column)
        if place >= len(self.cells):
            value = f"{len(self.cells)} cells"
            raise RecordingError(
                f"row {self.line}",
                value,
                f"has no {column}; {len(self.columns)} are needed",
                path=str(self.path),
            )
        return self.cells[place].strip()

    def number(self, column: str) -> float:
        """A cell as a finite number; raises RecordingError."""
        try:
            value = float(self.text(column))
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error(
                column, "give a number of seconds" if not column.startswith("p_") else "give 0 to 1"
            )
        return value

    def stage(self, column: str) -> Stage | None:
        """A cell as a stage, None for a word that says "not scored"; raises RecordingError."""
        word = self.text(column)
        try:
            if word.isdigit():
                raise InputError("stage", word, "a number is none")
            return Stage.parse(word)
        except InputError as error:
            raise self.error(column, f"give {STAGE_WORDS}") from error

    def error(self, column: str, cure: str) -> RecordingError:
        """The error for one cell."""
        return RecordingError(f"row {self.line}, {column}", self.text(column), cure, path=str(self.path))
