"""JSON read strictly: one object, each key once, bounded in size; and written where JSON can hold it."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from ..errors import BundleError

__all__ = ["json_text", "load_object", "plain_values"]

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
