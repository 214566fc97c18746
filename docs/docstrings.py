"""Docstrings of this project as reStructuredText: they are plain text with `names`, lists and sections.

Sphinx's own reader (napoleon) takes `Args:` and `Attributes:`. What it does not take is written anew here:
several errors in one paragraph of `Raises:`, a `Returns:` whose text has a colon, lists of `name: meaning`
without a heading, and programs that stand indented after an empty line.
"""

from __future__ import annotations

import re
from itertools import groupby

__all__ = ["rst"]

_SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):$")
_ITEM = re.compile(r"([A-Za-z_]\w*(?:, \w+)*): \S")
_ERROR = re.compile(r"(?:^|(?<=[.;] ))(?=\w*(?:Error|Warning)\b)")
_CODE = re.compile(r"(``.*?``|`.*?`)")


def rst(lines: list[str], *, is_value: bool = False) -> list[str]:
    """The lines of a docstring as reStructuredText; `is_value` for an attribute, property or constant."""
    # Of a value's docstring napoleon takes the first line up to a colon for its type: an empty comment has
    # none.
    result: list[str] = ["..", ""] if is_value else []
    for section, block in _sections(lines):
        body = [line.strip() for line in block if line.strip()]
        if section == "Raises":
            result += [*_raises(" ".join(body)), ""]
        elif section in ("Returns", "Yields"):
            result += [f":returns: {_escaped(' '.join(body))}", ""]
        elif section:
            result += [f"{section}:", *_each_by_itself(block), ""]
        else:
            result += _text(block)
    return result


def _sections(lines: list[str]) -> list[tuple[str, list[str]]]:
    """(name of the section, its lines); the name is empty for text. A section ends with its indentation."""
    parts: list[tuple[str, list[str]]] = [("", [])]
    for line in lines:
        if match := _SECTION.match(line):
            parts.append((match[1], []))
            continue
        if parts[-1][0] and line.strip() and not line.startswith(" "):
            parts.append(("", []))
        parts[-1][1].append(line)
    return parts


def _each_by_itself(block: list[str]) -> list[str]:
    """The fields of a section; of two that share a line each gets the meaning of both."""
    fields: list[list[str]] = []
    indent = min((len(line) - len(line.lstrip()) for line in block if line.strip()), default=0)
    for line in filter(str.strip, block):
        if line[indent] != " " or not fields:
            fields.append([])
        fields[-1].append(_escaped(line))
    result = []
    for first, *more in fields:
        names, _, meaning = first.strip().partition(": ")
        for name in names.split(", ") if re.fullmatch(r"\w+(, \w+)+", names) else [names]:
            result += [f"    {name}: {meaning}", *more]
    return result


def _raises(text: str) -> list[str]:
    fields = []
    for part in filter(None, _ERROR.split(text)):
        name, _, meaning = part.strip().partition(" ")
        fields.append(f":raises {name.rstrip(':')}: {_escaped(meaning)}")
    return fields


def _text(lines: list[str]) -> list[str]:
    result: list[str] = []
    for is_blank, group in groupby(lines, key=lambda line: not line.strip()):
        if not is_blank:
            result += [*_paragraph(list(group)), ""]
    return result


def _paragraph(lines: list[str]) -> list[str]:
    outer = [line for line in lines if not line.startswith(" ")]
    if not outer or outer[0].startswith((">>> ", ".. ", ":")):
        return lines if outer else ["::", "", *(f"   {line}" for line in lines)]
    if outer[0].startswith("- "):
        return [_escaped(line) for line in lines]
    if len(outer) > 1 and all(map(_ITEM.match, outer)):
        items: list[str] = []
        for line in lines:
            if line.startswith(" "):
                items[-1] += " " + line.strip()
            else:
                items.append(line)
        return [
            f"* ``{name}``: {_escaped(text)}" for name, _, text in (item.partition(": ") for item in items)
        ]
    return [_escaped(line.strip()) for line in lines]


def _escaped(line: str) -> str:
    """A line in which stars, bars and trailing underscores stand for themselves, outside of `code`."""
    parts = _CODE.split(line)
    parts[::2] = [re.sub(r"([*|\\]|(?<=\w)_(?!\w))", r"\\\1", part) for part in parts[::2]]
    return "".join(parts)
