"""A journal as JSON lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .frames import Record

__all__ = ["json_lines"]


def json_lines(records: Iterable[Record]) -> Iterator[str]:
    """One line per record: {"sequence", "kind", "sha256", "body"}."""
    for record in records:
        yield json.dumps(record.to_dict(), allow_nan=False, ensure_ascii=False) + "\n"
