"""Files written whole or not at all, and JSON read strictly: one object, each key once, bounded in size."""

from __future__ import annotations

import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any, Final

from .errors import BundleError, RecordingError

__all__ = ["json_text", "load_object", "plain_values", "write_file"]


def write_file(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write `data` beside `path`, then rename it there; a link is followed, its target replaced.

    Raises RecordingError where that cannot be, and for a folder, device or pipe: renaming would replace it.
    """
    target = Path(path)
    try:
        place = target.resolve()
        if place.exists() and not place.is_file():
            what = "a folder" if place.is_dir() else "not a regular file"
            raise RecordingError(
                "path", str(target), f"this is {what}; name a file to write", path=str(target)
            )
        descriptor, name = tempfile.mkstemp(prefix=".eegvlm-", dir=place.parent)
        staged = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(data)
            staged.chmod(0o644)
            staged.replace(place)
        except BaseException:
            staged.unlink()
            raise
    except RecordingError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise RecordingError("path", str(target), f"cannot be written: {why}", path=str(target)) from error
    return target


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
        raise BundleError(name, str(error), "give one JSON object in UTF-8") from error
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
