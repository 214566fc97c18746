"""Tables and lists of the performance page, as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["gaps", "table"]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with a line break behind it, numbers to the right."""
    numeric = [all(row[i][:1].isdigit() or row[i] == "-" for row in rows) for i in range(len(head))]
    marks = ["---:" if column else "---" for column in numeric]
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(marks)}|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


def gaps(figures: dict[str, Any]) -> list[str]:
    """What was not measured, and why."""
    lines = []
    for kind, title in (("failed", "Failed"), ("left_out", "Left out for want of time")):
        if figures.get(kind):
            shown = [f"- `{line.splitlines()[0][:120]}`" for line in figures[kind]]
            lines += [f"{title}:\n\n" + "\n".join(shown) + "\n"]
    return lines
