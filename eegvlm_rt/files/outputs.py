"""Files written whole or not at all, and never over what a person made.

**What may be replaced** is decided here, for every command and every writer. An input is never a target.
What is there already is replaced only where eegvlm-rt wrote it and nobody has changed it since, where the
new content begins with all of it, or where the caller asks for it (`overwrite`, --overwrite).

**How a command uses it.** The option is `--overwrite`, from `cli.options`, as for every command. Before any
work, `check_outputs(targets, inputs=..., overwrite=args.overwrite)` names every file that the command is
going to write and everything that it reads: recording, truth, keys, and the bundle's folder (`find_bundle`).
At the end, `write_file(path, data, overwrite=args.overwrite)` writes each file whole; its content has `SEAL`
where the format has a place for one. A command that fills a folder asks `claim_folder` instead. A night that
cannot be had again is not refused at its end: it goes beside what is there (`free_name`).

**How a file of ours is known** is in `seal.py`.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from ..errors import OutputError, RecordingError
from .seal import SEAL, is_ours, keep_digest, note_digest, sealed
from .strict_json import json_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = [
    "FOLDER_MARK",
    "check_outputs",
    "claim_folder",
    "free_name",
    "staged_file",
    "write_file",
]

FOLDER_MARK: Final = "eegvlm-rt.json"
"""What says that a folder of results is ours."""


def write_file(path: str | os.PathLike[str], data: bytes, *, overwrite: bool = False) -> Path:
    """Write `data`, its seal filled in, beside `path`, then rename it there; a link is followed, its target
    replaced.

    Raises OutputError for a file that is there and must not be replaced (see the module), RecordingError
    where it cannot be written, and for a folder, device or pipe: renaming would replace it.
    """
    target = Path(path)
    try:
        place = target.resolve()
        _check_regular(place, target)
        content = sealed(data)
        if not overwrite and not (_replaceable(place, is_ours) or _begins_with(content, place)):
            raise _not_ours(target)
        # Beside the target, since a rename is one step within a file system only: whoever reads the name
        # finds the old file or the new one, whole.
        descriptor, name = tempfile.mkstemp(prefix=".eegvlm-", dir=place.parent)
        staged = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(content)
                note_digest(handle.fileno(), content)
            staged.chmod(0o644)
            staged.replace(place)
        except BaseException:
            staged.unlink()
            raise
    except (OutputError, RecordingError):
        raise
    except (OSError, RuntimeError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise RecordingError("path", str(target), f"cannot be written: {why}", path=str(target)) from error
    return target


@contextmanager
def staged_file(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[BinaryIO]:
    """A binary file to write in pieces, for what is too large to hold whole: renamed to `path` at the end of
    the block, removed where the block raises. It gets no seal: list its digest in a sealed file beside it.

    Raises what `write_file` raises, before anything is written where the target must not be replaced.
    """
    target = Path(path)
    check_outputs([target], overwrite=overwrite)
    try:
        place = target.resolve()
        descriptor, name = tempfile.mkstemp(prefix=".eegvlm-", dir=place.parent)
        staged = Path(name)
        try:
            with os.fdopen(descriptor, "w+b") as handle:
                yield handle
                handle.flush()
                handle.seek(0)
                keep_digest(handle.fileno(), hashlib.file_digest(handle, "sha256").hexdigest())
            staged.chmod(0o644)
            staged.replace(place)
        except BaseException:
            staged.unlink()
            raise
    except OSError as error:
        why = error.strerror or error
        raise RecordingError("path", str(target), f"cannot be written: {why}", path=str(target)) from error


def check_outputs(
    targets: Iterable[str | os.PathLike[str]],
    *,
    inputs: Iterable[str | os.PathLike[str] | None] = (),
    overwrite: bool = False,
    own: Callable[[Path], bool] | None = None,
) -> None:
    """Refuse what must not be written, before any work is done.

    `inputs` are the files and folders that the command reads, None for those that were not given; a target is
    never one of them, nor in one of the folders, whatever name, link or case it is written with. Two targets
    must not be one file. `own` says which files are ours; None is `is_ours`.

    Raises OutputError, and RecordingError for a folder, device or pipe.
    """
    sources = [Path(source) for source in inputs if source is not None]
    earlier: list[Path] = []
    for target in map(Path, targets):
        source = next((s for s in sources if _same(target, s) or _inside(target, s)), None)
        if source is not None:
            what = "lies in" if source.is_dir() and not _same(target, source) else "is"
            cure = f"this {what} the input {source}; write to another file or folder"
            raise OutputError("output", str(target), cure)
        if any(_same(target, other) for other in earlier):
            raise OutputError("output", str(target), "two results would be one file; name another")
        earlier.append(target)
        _check_regular(target, target)
        if not overwrite and not _replaceable(target, own or is_ours):
            raise _not_ours(target)


def claim_folder(
    folder: str | os.PathLike[str],
    command: str,
    *,
    inputs: Iterable[str | os.PathLike[str] | None] = (),
    overwrite: bool = False,
) -> Path:
    """The folder that a command fills with results: made where it is missing, and marked as ours by a sealed
    file, so that the command may fill it again.

    Raises OutputError where the folder is an input, or holds files and no mark (unless `overwrite`),
    RecordingError where it cannot be made.
    """
    place = Path(folder)
    source = next((s for s in inputs if s is not None and _same(place, Path(s))), None)
    if source is not None:
        raise OutputError("folder", str(place), f"this is the input {source}; write to another folder")
    mark = place / FOLDER_MARK
    try:
        place.mkdir(parents=True, exist_ok=True)
        full = any(not entry.name.startswith(".eegvlm-") for entry in place.iterdir())
    except OSError as error:
        raise RecordingError(
            "folder", str(place), f"cannot be made: {error.strerror}; name another", path=str(place)
        ) from error
    if full and not overwrite and not is_ours(mark):
        cure = "holds files that eegvlm-rt did not write; name an empty folder, or add --overwrite"
        raise OutputError("folder", str(place), cure)
    fields = {"format": "eegvlm-rt folder", "command": command, "written": {"by": SEAL}}
    write_file(mark, json_text(fields, FOLDER_MARK).encode(), overwrite=True)
    return place


def free_name(path: Path) -> Path:
    """A name like `path` that is not taken: "hypnogram (2).edf"."""
    number = 2
    while os.path.lexists(free := path.with_name(f"{path.stem} ({number}){path.suffix}")):
        number += 1
    return free


def _not_ours(target: Path) -> OutputError:
    cure = (
        "is there already, and eegvlm-rt did not write it or it was changed since; write elsewhere, or add "
    )
    return OutputError("output", str(target), f"{cure}--overwrite (in Python overwrite=True)")


def _check_regular(place: Path, target: Path) -> None:
    """Raises RecordingError for what is there and no file: renaming would replace it."""
    if place.exists() and not place.is_file():
        what = "a folder" if place.is_dir() else "not a regular file"
        raise RecordingError("path", str(target), f"this is {what}; name a file to write", path=str(target))


def _replaceable(place: Path, own: Callable[[Path], bool]) -> bool:
    """Whether nothing is there, or nothing that a person could miss."""
    if not place.exists():
        return True
    return place.is_file() and (place.stat().st_size == 0 or own(place))


def _begins_with(content: bytes, place: Path) -> bool:
    """Whether `content` holds all of a file that is there, so that nothing of it is lost."""
    return place.stat().st_size <= len(content) and content.startswith(place.read_bytes())


def _same(first: Path, second: Path) -> bool:
    """Whether two names are one file, or would be: by device and inode where both are there."""
    try:
        return first.samefile(second)
    except (OSError, ValueError):
        return _absolute(first) == _absolute(second)


def _inside(target: Path, folder: Path) -> bool:
    return folder.is_dir() and Path(_absolute(target)).is_relative_to(_absolute(folder))


def _absolute(path: Path) -> str:
    try:
        return os.path.normpath(path.resolve())
    except (OSError, RuntimeError, ValueError):
        return os.path.normpath(path.absolute())
