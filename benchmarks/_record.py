"""Results that are on the disk after every part, whatever happens in the next; parts that would start too
late are left out."""

from __future__ import annotations

import time
import traceback
from typing import TYPE_CHECKING, Any

from ._common import write_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Record", "shortfalls"]


class Record:
    """A dictionary of results, its file, and the time until which parts may begin."""

    def __init__(self, path: Path | None, max_seconds: float, results: dict[str, Any] | None = None) -> None:
        self.path = path
        self.begin = time.monotonic()
        self.until = self.begin + max_seconds
        self.results = (results or {}) | {"failed": [], "left_out": []}

    def part(self, place: dict[str, Any], name: str, run: Callable[[], Any]) -> Any:
        """Run one part and keep what it returns as `place[name]`; None if it failed or time is up."""
        label = f"{place.get('name', '')} {name}".strip()
        if time.monotonic() > self.until:
            self.results["left_out"].append(label)
            self.keep()
            return None
        begin = time.perf_counter()
        try:
            place[name] = run()
            seconds = time.perf_counter() - begin
            print(
                f"[{time.monotonic() - self.begin:6.1f} s] {label} ({seconds:.1f} s): {place[name]}",
                flush=True,
            )
        except Exception as error:
            traceback.print_exc()
            self.results["failed"].append(f"{label}: {type(error).__name__}: {error}")
        self.keep()
        return place.get(name)

    def keep(self) -> None:
        """Write what there is to the file."""
        if self.path is not None:
            write_json(self.path, self.results)

    @property
    def whole(self) -> bool:
        """Whether every part was measured."""
        return not shortfalls(self.results)


def shortfalls(results: dict[str, Any]) -> list[str]:
    """A line for each part that failed or was left out."""
    return [f"{kind}: {line}" for kind in ("failed", "left_out") for line in results[kind]]
