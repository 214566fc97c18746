"""Files written whole or not at all and never over what a person made; JSON read strictly: one object,
each key once, bounded in size.

**What may be replaced** is decided here, for every command and every writer. An input is never a target.
What is there already is replaced only where eegvlm-rt wrote it and nobody has changed it since, where the
new content begins with all of it, or where the caller asks for it (`overwrite`, --overwrite).

**How a command uses it.** The option is `--overwrite`, from `cli.options`, as for every command. Before any
work, `check_outputs(targets, inputs=..., overwrite=args.overwrite)` names every file that the command is
going to write and everything that it reads: recording, truth, keys, and the bundle's folder (`find_bundle`).
At the end, `write_file(path, data, overwrite=args.overwrite)` writes each file whole; its content has `SEAL`
where the format has a place for one. A command that fills a folder asks `claim_folder` instead. A night that
cannot be had again is not refused at its end: it goes beside what is there (`free_name`).

**How a file of ours is known.** It carries a seal, `eegvlm-rt seal=` and 32 hexadecimal digits: the first
half of the SHA-256 of its bytes, these digits being zeros. EDF+ has it in the recording field, JSON in a
value, PNG in a text chunk, XML and HTML in a comment. Tables have no place for one: their digest is kept as
an extended attribute, where the file system has them, and in the list of a sealed JSON file beside them. A
file that a person changed fits none of these, and stays.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import tempfile
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from .errors import BundleError, OutputError, RecordingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = [
    "FOLDER_MARK",
    "SEAL",
    "check_outputs",
    "claim_folder",
    "file_digests",
    "free_name",
    "is_ours",
    "json_text",
    "load_object",
    "plain_values",
    "sealed",
    "staged_file",
    "write_file",
]

SEAL: Final = "eegvlm-rt seal=" + 32 * "0"
"""What a writer puts where its format has a place for it; `write_file` fills in the digits."""

FOLDER_MARK: Final = "eegvlm-rt.json"
"""What says that a folder of results is ours."""

_SEAL: Final = re.compile(rb"eegvlm-rt seal=([0-9a-f]{32})")
_ATTRIBUTE: Final = "user.eegvlm_rt.sha256"
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_LARGEST: Final = 1 << 31
_LISTS: Final = ("predictions.json", "night.json")


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
        descriptor, name = tempfile.mkstemp(prefix=".eegvlm-", dir=place.parent)
        staged = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(content)
                _note_digest(handle.fileno(), content)
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
                _keep_digest(handle.fileno(), hashlib.file_digest(handle, "sha256").hexdigest())
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


def is_ours(path: str | os.PathLike[str]) -> bool:
    """Whether eegvlm-rt wrote this file and nobody has changed it since: by its seal, by the digest in its
    extended attribute, or by the list in a sealed file beside it.
    """
    place = Path(path)
    try:
        if not place.is_file() or place.stat().st_size > _LARGEST:
            return False
        data = place.read_bytes()
    except OSError:
        return False
    return _is_sealed(data) or _is_noted(place, data) or _is_listed(place, data)


def sealed(data: bytes) -> bytes:
    """`data` with the digits of its seal, where it has a place for one."""
    place = data.find(SEAL.encode())
    if place < 0:
        return data
    content = bytearray(data)
    content[place : place + len(SEAL)] = SEAL.encode()[:-32] + _digits(data, place).encode()
    return _with_checksum(content, place)


def file_digests(paths: Iterable[Path]) -> dict[str, str]:
    """Name -> SHA-256 of files that are there, as a sealed file beside them lists them."""
    found = {}
    for path in paths:
        with path.open("rb") as handle:
            found[path.name] = hashlib.file_digest(handle, "sha256").hexdigest()
    return found


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


def _digits(data: bytes, place: int) -> str:
    """The digits of a seal at `place`: those of the SHA-256 of the content without them, and in a PNG
    without the checksum of their chunk.
    """
    plain = bytearray(data)
    plain[place : place + len(SEAL)] = SEAL.encode()
    checksum = _checksum_place(plain, place)
    if checksum is not None:
        plain[checksum : checksum + 4] = bytes(4)
    return hashlib.sha256(plain).hexdigest()[:32]


def _note_digest(descriptor: int, content: bytes) -> None:
    """Keep the digest of a file without a seal beside its content; not every file system can."""
    if _SEAL.search(content) is None:
        _keep_digest(descriptor, hashlib.sha256(content).hexdigest())


def _keep_digest(descriptor: int, digest: str) -> None:
    if hasattr(os, "setxattr"):
        with suppress(OSError):
            os.setxattr(descriptor, _ATTRIBUTE, digest.encode())


def _is_noted(place: Path, data: bytes) -> bool:
    try:
        return os.getxattr(place, _ATTRIBUTE) == hashlib.sha256(data).hexdigest().encode()
    except (AttributeError, OSError):
        return False


def _is_sealed(data: bytes) -> bool:
    match = _SEAL.search(data)
    return match is not None and match[1].decode() == _digits(data, match.start())


def _is_listed(place: Path, data: bytes) -> bool:
    for name in dict.fromkeys((*_LISTS, place.with_suffix(".json").name)):
        record = place.with_name(name)
        if record == place:
            continue
        try:
            content = record.read_bytes() if record.stat().st_size <= _LARGEST else b""
            listed = json.loads(content)["written"]["files"] if _is_sealed(content) else {}
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
        if isinstance(listed, dict) and listed.get(place.name) == hashlib.sha256(data).hexdigest():
            return True
    return False


def _checksum_place(data: bytes | bytearray, place: int) -> int | None:
    """Where the CRC of the PNG text chunk around `place` stands (ISO/IEC 15948, 5.3); None in other files."""
    if not data.startswith(_PNG):
        return None
    kind = data.rfind(b"tEXt", 0, place)
    checksum = kind + 4 + int.from_bytes(data[max(0, kind - 4) : kind], "big")
    return checksum if kind >= 4 and checksum + 4 <= len(data) else None


def _with_checksum(content: bytearray, place: int) -> bytes:
    checksum = _checksum_place(content, place)
    if checksum is not None:
        kind = content.rfind(b"tEXt", 0, place)
        content[checksum : checksum + 4] = zlib.crc32(content[kind:checksum]).to_bytes(4, "big")
    return bytes(content)


_MAX_DIGITS: Final = 20
_MAX_DEPTH: Final = 8


def load_object(content: bytes, name: str, limit: int) -> dict[str, Any]:
    """The object in `content`, UTF-8 of at most `limit` bytes; `name` is how errors call it.

    Raises:
        BundleError: too large, no UTF-8 JSON object, a key given twice, NaN or an infinity, an integer of
            more than 20 digits.
    """
    if len(content) > limit:
        raise BundleError(name, f"{len(content)} bytes", f"a {name} has at most {limit}")
    try:
        fields = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=lambda pairs: _once(pairs, name),
            parse_constant=_no_constant,
            parse_int=_integer,
        )
    except (ValueError, RecursionError) as error:
        raise BundleError(name, _json_fault(error), "give one JSON object in UTF-8") from error
    if not isinstance(fields, dict):
        raise BundleError(name, fields, "give a JSON object")
    return fields


def plain_values(value: object, name: str, depth: int = 0) -> Any:
    """`value` where it is made of finite numbers, booleans, texts, lists and objects, 8 deep at most.

    Raises:
        BundleError: anything else; `name` grows to say where.
    """
    if depth > _MAX_DEPTH:
        raise BundleError(name, "nested", f"go at most {_MAX_DEPTH} levels deep")
    if isinstance(value, dict):
        return {str(key): plain_values(item, f"{name}.{key}", depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(item, f"{name}[{i}]", depth + 1) for i, item in enumerate(value)]
    if isinstance(value, bool | str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise BundleError(name, value, "give finite numbers, booleans, texts, lists and objects of these")


def json_text(fields: object, name: str) -> str:
    """`fields` as indented JSON with a final newline; raises BundleError for values JSON cannot hold."""
    try:
        return json.dumps(fields, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise BundleError(name, str(error), "give values that JSON can hold") from error


def _json_fault(error: Exception) -> str:
    """What is wrong with a JSON text, in words of ours."""
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON at line {error.lineno}, column {error.colno}"
    if isinstance(error, UnicodeDecodeError):
        return f"no UTF-8 text at byte {error.start}"
    return "nested too deep" if isinstance(error, RecursionError) else str(error)


def _once(pairs: list[tuple[str, Any]], name: str) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [key for key, _ in pairs]
        repeated = sorted({key for key in names if names.count(key) > 1})
        raise BundleError(name, repeated, "give every key once")
    return fields


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"an integer of {len(text)} digits")
    return int(text)
