"""Which line of a TOML file a value stands on; the standard library's parser does not tell."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

__all__ = ["lines_of"]

Path = tuple[str | int, ...]

_BLANK: Final = " \t\r\n"
_BARE: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def lines_of(text: str) -> dict[Path, int]:
    """Line, counted from 1, of every key, table and array element of `text`, by its path: ("beds", 0, "id").

    `text` must be valid TOML (`tomllib` has parsed it). For other text the result is incomplete, no error.
    """
    scanner = _Scanner(text.replace("\r\n", "\n"))
    with suppress(IndexError):
        scanner.document()
    return scanner.lines


class _Scanner:
    """Reads a document once, from the first character to the last."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._text = text
        self._at = 0
        self._line = 1
        self._tables: dict[Path, int] = {}

    def document(self) -> None:
        prefix: Path = ()
        while self._skip(_BLANK):
            if self._text[self._at] == "[":
                prefix = self._header()
            else:
                self._pair(prefix)

    def _header(self) -> Path:
        several = self._text.startswith("[[", self._at)
        line = self._line
        self._step(2 if several else 1)
        keys = self._keys()
        path: Path = ()
        # A header names the last element of every array of tables that it passes through.
        for position, key in enumerate(keys):
            path += (key,)
            last = position == len(keys) - 1
            if several and last:
                self._tables[path] = self._tables.get(path, 0) + 1
                self.lines.setdefault(path, line)
            if path in self._tables:
                path += (self._tables[path] - 1,)
            self.lines.setdefault(path, line)
        self._skip(" \t")
        self._step(2 if several else 1)
        return path

    def _pair(self, prefix: Path) -> None:
        line = self._line
        path = prefix
        for key in self._keys():
            path += (key,)
            self.lines.setdefault(path, line)
        self._skip(" \t")
        self._step(1)
        self._skip(" \t")
        self._value(path)

    def _keys(self) -> list[str]:
        keys: list[str] = []
        while True:
            self._skip(" \t")
            mark = self._text[self._at]
            if mark in "\"'":
                keys.append(self._string(mark))
            else:
                begin = self._at
                while self._text[self._at] in _BARE:
                    self._step(1)
                if self._at == begin:
                    raise IndexError
                keys.append(self._text[begin : self._at])
            self._skip(" \t")
            if self._text[self._at] != ".":
                return keys
            self._step(1)

    def _value(self, path: Path) -> None:
        mark = self._text[self._at]
        if mark in "\"'":
            self._string(mark)
        elif mark == "[":
            self._array(path)
        elif mark == "{":
            self._inline(path)
        else:
            while self._at < len(self._text) and self._text[self._at] not in ",]}#\n":
                self._step(1)

    def _array(self, path: Path) -> None:
        self._step(1)
        index = 0
        while self._skip(_BLANK) and self._text[self._at] != "]":
            if self._text[self._at] == ",":
                self._step(1)
                continue
            self.lines.setdefault((*path, index), self._line)
            self._value((*path, index))
            index += 1
        self._step(1)

    def _inline(self, path: Path) -> None:
        self._step(1)
        while self._skip(_BLANK) and self._text[self._at] != "}":
            if self._text[self._at] == ",":
                self._step(1)
                continue
            self._pair(path)
        self._step(1)

    def _string(self, mark: str) -> str:
        """Passes a string of any of the four kinds; returns what stands between the marks."""
        fence = mark * 3 if self._text.startswith(mark * 3, self._at) else mark
        self._step(len(fence))
        begin = self._at
        while not self._text.startswith(fence, self._at):
            self._step(2 if mark == '"' and self._text[self._at] == "\\" else 1)
        # Up to two quotes may stand before the three that end a string of many lines.
        while len(fence) == 3 and self._text.startswith(fence, self._at + 1):
            self._step(1)
        content = self._text[begin : self._at]
        self._step(len(fence))
        return content

    def _skip(self, blank: str) -> bool:
        """Passes blanks and, where lines end too, comments; False at the end of the text."""
        while self._at < len(self._text):
            if self._text[self._at] == "#" and "\n" in blank:
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            elif self._text[self._at] in blank:
                self._step(1)
            else:
                return True
        return False

    def _step(self, count: int) -> None:
        if self._at + count > len(self._text):
            self._at = len(self._text)
            raise IndexError
        self._line += self._text.count("\n", self._at, self._at + count)
        self._at += count
