"""From files, folders, patterns and lists to the nights that are to be scored."""

from __future__ import annotations

import csv
import glob
import hashlib
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import InputError, RecordingError
from .receipt import read_receipt, receipt_path
from .tasks import NightTask, file_digest, plain_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["SUFFIXES", "find_nights", "read_list", "with_names"]

SUFFIXES: Final = (".edf", ".bdf")
"""What is looked for in folders; a file that is named may have any suffix."""


def find_nights(inputs: Sequence[str], out: Path, *, listed: str | None = None) -> list[NightTask]:
    """The recordings of files, folders (searched with everything below them) and patterns (`data/*/n?.edf`,
    `**`), and of the list in the file `listed`; each once, in order of their paths within an input.

    What lies in the results `out` is no input. Raises InputError where an input names nothing.
    """
    tasks: list[NightTask] = []
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            nights = [_task(p, path, searched=True) for p in _in_folder(path, out)]
            cure = f"no {' or '.join(SUFFIXES)} file in this folder or below"
        elif not os.path.lexists(path) and glob.has_magic(text):
            # Patterns may be absolute and hold `**`: Path.glob takes relative ones only.
            matches = sorted(glob.glob(text, recursive=True))  # noqa: PTH207
            nights = [task for match in matches for task in _of_match(Path(match), out)]
            cure = "no file fits this pattern"
        else:
            # A file that is not there is a night that fails, unless nothing else was asked for.
            nights = [_task(path, path.parent)]
            cure = ""
        if not nights:
            raise InputError("input", text, cure)
        tasks += nights
    if listed is not None:
        tasks += read_list(listed)
    if len(tasks) == 1 and not tasks[0].path.exists():
        raise RecordingError("file", str(tasks[0].path), "no such file", path=str(tasks[0].path))
    return with_names(_once(tasks), out)


def read_list(name: str) -> list[NightTask]:
    """The nights of a list: a path a line, or a table (CSV, or TSV by tabs) whose first line names the
    columns `path` and, where wanted, `channel` and `name`. "-" is standard input.

    Paths are relative to the list; empty lines and those that begin with # do not count. Raises
    RecordingError where it cannot be read, InputError, naming the line, for one without a path.
    """
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise RecordingError("list", name, f"cannot be read: {error.strerror}", path=name) from error
    base = Path() if name == "-" else Path(name).parent
    numbered = [
        (i, line) for i, line in enumerate(text.splitlines(), 1) if line.strip() and line.lstrip()[0] != "#"
    ]
    if not numbered:
        raise InputError("list", name, "it names no recording")
    separator = "\t" if "\t" in numbered[0][1] else ","
    columns = [cell.strip().lower() for cell in next(csv.reader([numbered[0][1]], delimiter=separator))]
    if "path" not in columns:
        return [_listed(base, line.strip()) for _, line in numbered]
    tasks = []
    for number, line in numbered[1:]:
        cells = dict(zip(columns, next(csv.reader([line], delimiter=separator)), strict=False))
        path, channel, night = (cells.get(column, "").strip() for column in ("path", "channel", "name"))
        if not path:
            raise InputError("list", f"line {number}", "give a path in the column path")
        task = replace(_listed(base, path), channel=channel or None)
        tasks.append(replace(task, name=plain_name([night])) if night else task)
    return tasks


def with_names(tasks: Sequence[NightTask], out: Path) -> list[NightTask]:
    """The same nights with names that are unique among them and among the results that are there.

    A name is kept from run to run: a receipt of that name about another recording (another path, and neither
    the same size and time nor the same content) is another night, and this one gets a longer name.
    """
    counts: dict[str, int] = {}
    for task in tasks:
        counts[task.name.casefold()] = counts.get(task.name.casefold(), 0) + 1
    results, names = [], set()
    for task in tasks:
        own = task
        if not _fits(task, out) or (counts[task.name.casefold()] > 1 and not _is_known(task, out)):
            digest = hashlib.sha256(os.fsencode(task.path)).hexdigest()[:8]
            own = replace(task, name=f"{task.name}-{digest}")
        if own.name.casefold() in names:
            raise InputError("name", own.name, "two nights have it; give each a name of its own in the list")
        names.add(own.name.casefold())
        results.append(own)
    return results


def _fits(task: NightTask, out: Path) -> bool:
    """Whether the name is free, or the receipt that has it is about this recording."""
    receipt = read_receipt(receipt_path(out, task.name))
    if receipt is None or receipt.path == str(task.path):
        return True
    try:
        facts = task.path.stat()
        if not task.path.is_file():
            return False
        if (receipt.size, receipt.mtime_ns) == (facts.st_size, facts.st_mtime_ns):
            return True
        return receipt.size == facts.st_size and receipt.sha256 == file_digest(task.path)
    except OSError:
        return False


def _is_known(task: NightTask, out: Path) -> bool:
    """Whether the receipt of this name is about the very file."""
    receipt = read_receipt(receipt_path(out, task.name))
    return receipt is not None and receipt.path == str(task.path)


def _in_folder(folder: Path, out: Path) -> Iterator[Path]:
    """Recordings below a folder in order; neither hidden ones nor the results'."""
    results = out.resolve()
    for place, folders, names in os.walk(folder, followlinks=False):
        here = Path(place)
        folders[:] = sorted(n for n in folders if n[0] != "." and (here / n).resolve() != results)
        for name in sorted(names):
            if name[0] != "." and name.lower().endswith(SUFFIXES):
                yield here / name


def _of_match(path: Path, out: Path) -> Iterator[NightTask]:
    if path.is_dir():
        yield from (_task(p, path, searched=True) for p in _in_folder(path, out))
    elif not path.resolve().is_relative_to(out.resolve()):
        yield _task(path, path.parent, searched=True)


def _task(path: Path, base: Path, *, searched: bool = False) -> NightTask:
    """A night named after its place below `base`."""
    parts = path.relative_to(base).parts
    stem = Path(parts[-1]).stem if parts[-1].lower().endswith(SUFFIXES) else parts[-1]
    return NightTask(plain_name((*parts[:-1], stem)), Path(os.path.abspath(path)), searched=searched)  # noqa: PTH100


def _listed(base: Path, text: str) -> NightTask:
    path = base / text
    return _task(path, path.parent)


def _once(tasks: Iterable[NightTask]) -> list[NightTask]:
    """One night for each recording and channel: a file that is named comes before one that was found."""
    tasks_by_input: dict[tuple[str, str | None], NightTask] = {}
    for task in tasks:
        key = (str(task.path), task.channel)
        if key not in tasks_by_input or tasks_by_input[key].searched:
            tasks_by_input[key] = task
    return list(tasks_by_input.values())
