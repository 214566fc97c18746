"""Fields of the configuration of another program: used, known to change nothing, or refused by name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from eegvlm_rt.errors import CheckpointError

__all__ = ["MAX_SIZE", "Fields", "read_json"]

MAX_SIZE: Final = 1 << 24
"""No size of a network that can be run here is larger."""


def read_json(file: Path) -> dict[str, Any]:
    """The JSON object in `file`. Raises CheckpointError where there is no such file or it holds no object."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            "checkpoint", f"{file.parent} has no {file.name}", "give a folder that has it"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"checkpoint: {file.name}",
            f"{type(error).__name__}: {error}",
            "give a file of JSON: copy it again",
        ) from None
    if not isinstance(content, dict):
        raise CheckpointError(
            f"checkpoint: {file.name}", type(content).__name__, "give a JSON object with the model's fields"
        )
    return content


class Fields:
    """Fields of one configuration, by name. Whoever reads a field uses it; `finish` refuses the others.

    A field that is null counts as one that is not there: so transformers writes a default. `ignored` are
    names, with or without `name` before them, that the user says change nothing.
    """

    def __init__(self, values: object, name: str = "", ignored: Iterable[str] = ()) -> None:
        if not isinstance(values, Mapping):
            raise CheckpointError(name, values, "give a JSON object")
        self._values = dict(values)
        self._name = name
        self._ignored = frozenset(ignored)
        self._read: set[str] = set()

    def __contains__(self, field: str) -> bool:
        return self._values.get(field) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def names(self, field: str) -> bool:
        """Whether the configuration names the field, if only as null."""
        return field in self._values

    def path(self, field: str) -> str:
        """The name of a field as messages give it, "text_config.rope_theta"."""
        return f"{self._name}.{field}" if self._name else field

    def value(self, field: str, default: Any = None) -> Any:
        """A field as it stands, or `default`."""
        self._read.add(field)
        value = self._values.get(field)
        return default if value is None else value

    def integer(self, field: str, default: int) -> int:
        """A whole number from 1 to `MAX_SIZE`."""
        value = self.value(field, default)
        if type(value) is not int or not 1 <= value <= MAX_SIZE:
            raise CheckpointError(self.path(field), value, f"give a whole number from 1 to {MAX_SIZE}")
        return value

    def token_ids(self, field: str) -> tuple[int, ...]:
        """A token id or a list of them; empty where there is none."""
        value = self.value(field, [])
        ids = value if isinstance(value, list) else [value]
        if any(type(token) is not int for token in ids):
            raise CheckpointError(self.path(field), value, "give a token id or a list of them")
        return tuple(ids)

    def number(self, field: str, default: float) -> float:
        """A number above 0."""
        value = self.value(field, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise CheckpointError(self.path(field), value, "give a number above 0")
        return float(value)

    def flag(self, field: str, default: bool) -> bool:
        """True or false."""
        value = self.value(field, default)
        if not isinstance(value, bool):
            raise CheckpointError(self.path(field), value, "give true or false")
        return value

    def text(self, field: str, default: str) -> str:
        """A text."""
        value = self.value(field, default)
        if not isinstance(value, str):
            raise CheckpointError(self.path(field), value, "give a text")
        return value

    def part(self, field: str) -> Fields | None:
        """A configuration inside this one; None where there is none. It is finished on its own."""
        value = self.value(field)
        return None if value is None else Fields(value, self.path(field), self._ignored)

    def only(self, field: str, *accepted: Any, cure: str) -> None:
        """Use a field that has one meaning here: raises CheckpointError for any value not in `accepted`."""
        value = self.value(field)
        if value is None or self._is_ignored(field):
            return
        if not any(isinstance(value, bool) == isinstance(one, bool) and value == one for one in accepted):
            raise CheckpointError(self.path(field), value, cure)

    def without_effect(self, *patterns: str) -> None:
        """Count as read every field that matches a pattern of shell style: it changes no arithmetic."""
        self._read |= {field for field in self._values if any(fnmatchcase(field, one) for one in patterns)}

    def finish(self) -> None:
        """Raise CheckpointError for the first field, by name, that nobody read."""
        for field in sorted(self._values):
            if field in self._read or field not in self or self._is_ignored(field):
                continue
            raise CheckpointError(
                self.path(field),
                self._values[field],
                f"this field is not known here: if it changes no arithmetic, say --ignore-field "
                f"{self.path(field)}, else import a model without it",
            )

    def _is_ignored(self, field: str) -> bool:
        return bool({field, self.path(field)} & self._ignored)
