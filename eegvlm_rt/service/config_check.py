"""Whether a configuration can be used: what its schema says, and what no schema can say."""

from __future__ import annotations

import ipaddress
import json
import math
import os
import stat
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ..errors import EegVlmError, InputError
from ..extras import install_command
from ..sources.spec import parse_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jsonschema import ValidationError

__all__ = [
    "PRIORITIES",
    "Problem",
    "configuration_schema",
    "file_fingerprint",
    "is_loopback",
    "problems_of",
    "read_tokens",
]

OTHERS: Final = stat.S_IRWXO
PRIORITIES: Final = ("high", "medium", "low")

Place = tuple[str | int, ...]
Lines = dict[Place, int]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at one place of a configuration: `line` from 1, 0 where no line is to blame."""

    line: int
    field: str
    value: str
    cure: str

    def __str__(self) -> str:
        return f"{self.field}: {self.value}; {self.cure}"


@cache
def configuration_schema() -> dict[str, Any]:
    """The JSON Schema of the configuration."""
    text = resources.files(__package__).joinpath("config.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def problems_of(values: dict[str, Any], lines: Lines) -> list[Problem]:
    """Everything that is wrong with a parsed file whose `lines` are known, in order of lines."""
    problems = list(_infinite_numbers(values, (), lines)) or list(_schema_problems(values, lines))
    # What no schema can say is looked for in what has the right form.
    problems = problems or list(_further_problems(values, lines))
    return sorted(problems, key=lambda problem: problem.line)


def _infinite_numbers(value: object, path: Place, lines: Lines) -> Iterator[Problem]:
    """TOML has inf and nan, which are neither below a schema's minimum nor above its maximum."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _infinite_numbers(item, (*path, name), lines)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _infinite_numbers(item, (*path, index), lines)
    elif isinstance(value, float) and not math.isfinite(value):
        yield _problem(lines, path, value, "give a finite number")


def _schema_problems(values: dict[str, Any], lines: Lines) -> Iterator[Problem]:
    try:
        from jsonschema import Draft202012Validator
    except ModuleNotFoundError as error:
        raise InputError("service", str(error), install_command("service")) from error
    for problem in Draft202012Validator(configuration_schema()).iter_errors(values):
        yield from _of_schema(problem, lines)


def _of_schema(error: ValidationError, lines: Lines) -> Iterator[Problem]:
    path = tuple(error.absolute_path)
    schema: dict[str, Any] = error.schema if isinstance(error.schema, dict) else {}
    if error.validator == "additionalProperties":
        properties = sorted(schema["properties"])
        for name in sorted(set(error.instance) - set(properties)):
            cure = f"no such setting; there are: {', '.join(properties)}"
            yield Problem(_line(lines, (*path, name)), _name((*path, name)), "unknown", cure)
        return
    if error.validator == "required":
        names = [name for name in error.validator_value if name not in error.instance]
        for name in names:
            cure = f"add {name}: {_description(schema, name)}"
            yield Problem(_line(lines, path), _name((*path, name)), "missing", cure)
        return
    if error.validator == "dependentRequired":
        for name, needed in error.validator_value.items():
            for other in needed:
                if name in error.instance and other not in error.instance:
                    place = _line(lines, (*path, name))
                    yield Problem(place, _name((*path, other)), "missing", f"{name} needs {other}: add it")
        return
    cure = str(schema.get("description") or error.message)
    if error.validator == "type":
        kinds = error.validator_value
        cure = f"give a value of type {kinds if isinstance(kinds, str) else ' or '.join(kinds)}"
        cure += f": {schema['description']}" if "description" in schema else ""
    elif error.validator == "enum":
        cure = f"give one of: {', '.join(map(str, error.validator_value))}"
    elif "description" in schema:
        cure = f"give {schema['description']}"
    yield Problem(_line(lines, path), _name(path) or "file", _shown(error.instance), cure)


def _further_problems(values: dict[str, Any], lines: Lines) -> Iterator[Problem]:
    """What no schema can say."""
    zone = values.get("timezone")
    if zone is not None:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            yield _problem(lines, ("timezone",), zone, "no such zone here; give one such as Europe/Zurich")
    first: dict[str, int] = {}
    for index, bed in enumerate(values["beds"]):
        path = ("beds", index)
        # Folders are named by the id, and some file systems do not tell letters by case.
        folded = bed["id"].lower()
        if folded in first:
            other = _line(lines, ("beds", first[folded], "id"))
            yield _problem(lines, (*path, "id"), bed["id"], f"line {other} has it already; ids differ")
        first.setdefault(folded, index)
        try:
            parse_source(bed["source"])
        except EegVlmError as error:
            yield _problem(lines, (*path, "source"), bed["source"], error.cure)
        off, on = bed.get("lights_off"), bed.get("lights_on")
        if off is not None and _minutes(off) == _minutes(on):
            cure = "give another time than lights_off, or always = true for a record without pause"
            yield _problem(lines, (*path, "lights_on"), on, cure)
        if off is not None and bed.get("always"):
            cure = "leave it out where lights_off and lights_on are given"
            yield _problem(lines, (*path, "always"), "true", cure)
        yield from _alarm_problems(bed.get("alarms", {}), (*path, "alarms"), lines)
    yield from _alarm_problems(values.get("alarms", {}), ("alarms",), lines)
    model = values.get("model", {})
    yield from _wait_problems(values, lines)
    if "bundle" in model and "slots" in model:
        yield _problem(lines, ("model", "bundle"), model["bundle"], "leave it out: the slots hold the bundle")
    if model.get("hang_s", 60) <= model.get("deadline_s", 20):
        yield _problem(lines, ("model",), "hang_s", "give more seconds than deadline_s")
    yield from _page_problems(values.get("page", {}), lines)
    yield from _secret_problems(values, lines)
    data = Path(values["data"])
    if not data.is_absolute():
        yield _problem(lines, ("data",), values["data"], "give an absolute path")
    elif data.exists() and not data.is_dir():
        yield _problem(lines, ("data",), values["data"], "this is no folder; name one")
    elif data.exists() and not os.access(data, os.W_OK | os.X_OK):
        yield _problem(lines, ("data",), values["data"], "the service may not write here; change the rights")


def _alarm_problems(alarms: dict[str, Any], path: Place, lines: Lines) -> Iterator[Problem]:
    group_of: dict[str, str] = {}
    for group in (*PRIORITIES, "off"):
        for position, kind in enumerate(alarms.get(group, [])):
            if kind in group_of:
                cure = f"it is in {group_of[kind]} already; an alarm has one priority or is off"
                yield _problem(lines, (*path, group, position), kind, cure)
            group_of.setdefault(kind, group)


def _wait_problems(values: dict[str, Any], lines: Lines) -> Iterator[Problem]:
    """A decision may come 30 s and its deadline after the one before: that is no alarm."""
    soonest_s = 33 + values.get("model", {}).get("deadline_s", 20)
    owners: list[tuple[Place, dict[str, Any]]] = [((), values)]
    owners += [(("beds", index), bed) for index, bed in enumerate(values["beds"])]
    for place, owner in owners:
        wait_s = owner.get("alarms", {}).get("no_decision_s", soonest_s)
        if wait_s < soonest_s:
            cure = f"give {soonest_s:g} or more: 30 s for an epoch, its deadline_s, and 3"
            yield _problem(lines, (*place, "alarms", "no_decision_s"), wait_s, cure)


def _page_problems(page: dict[str, Any], lines: Lines) -> Iterator[Problem]:
    host = page.get("host", "127.0.0.1")
    closed = "tokens_file" in page or "client_ca" in page
    if page.get("enabled", True) and not is_loopback(host) and not closed:
        cure = "the network can reach this address: give tokens_file or client_ca, or 127.0.0.1"
        yield _problem(lines, ("page", "host"), host, cure)
    for name in ("certificate", "client_ca"):
        if name in page and not os.access(page[name], os.R_OK):
            yield _problem(lines, ("page", name), page[name], "no such file, or it may not be read")


def _secret_problems(values: dict[str, Any], lines: Lines) -> Iterator[Problem]:
    """Files that hold secrets must be there, and closed to everybody else on this machine."""
    places: list[tuple[Place, str]] = []
    for section, name in (("page", "tokens_file"), ("page", "key"), ("mqtt", "password_file")):
        if name in values.get(section, {}):
            places.append(((section, name), values[section][name]))
    for index, hook in enumerate(values.get("webhooks", [])):
        if "token_file" in hook:
            places.append((("webhooks", index, "token_file"), hook["token_file"]))
    for path, file in places:
        try:
            mode = Path(file).stat().st_mode
            with Path(file).open("rb"):
                pass
        except OSError as error:
            yield _problem(lines, path, file, f"cannot be read: {error.strerror}")
            continue
        if not stat.S_ISREG(mode):
            yield _problem(lines, path, file, "not a regular file; name one")
        elif mode & OTHERS:
            yield _problem(lines, path, file, f"others on this machine may open it: chmod 600 {file}")
    file = values.get("page", {}).get("tokens_file")
    if file is not None and os.access(file, os.R_OK):
        try:
            read_tokens(file)
        except InputError as error:
            yield _problem(lines, ("page", "tokens_file"), file, error.cure)


def read_tokens(path: str) -> dict[str, str]:
    """Role by token. Raises InputError for a file of another form; the message holds no token."""
    roles: dict[str, str] = {}
    for number, line in enumerate(Path(path).read_text("utf-8", errors="replace").splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2 or words[0] not in ("view", "operate"):
            raise InputError("tokens_file", path, f"line {number}: write 'view TOKEN' or 'operate TOKEN'")
        if not 20 <= len(words[1]) <= 256 or not words[1].isascii():
            raise InputError("tokens_file", path, f"line {number}: a token has 20 to 256 ASCII characters")
        roles[words[1]] = words[0]
    if not roles:
        raise InputError("tokens_file", path, "it holds no token; write 'view TOKEN'")
    return roles


def file_fingerprint(paths: Iterable[str]) -> tuple[object, ...]:
    """Differs where a file has another content than before, as far as its size and times tell."""
    facts: list[object] = []
    for path in paths:
        try:
            status = Path(path).stat()
            facts.append((path, status.st_ino, status.st_size, status.st_mtime_ns))
        except OSError as error:
            facts.append((path, error.errno))
    return tuple(facts)


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _minutes(clock: str) -> tuple[int, int]:
    hours, minutes = clock.split(":")
    return int(hours), int(minutes)


def _problem(lines: Lines, path: Place, value: object, cure: str) -> Problem:
    return Problem(_line(lines, path), _name(path), _shown(value), cure)


def _line(lines: Lines, path: Place) -> int:
    """The line of a path, or of the nearest thing around it."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _name(path: Place) -> str:
    """beds[0].id, as a person would write it; beds are counted from 1."""
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return repr(text[:80]) if isinstance(value, str) else text[:80]


def _description(schema: dict[str, Any], name: str) -> str:
    description = schema.get("properties", {}).get(name, {}).get("description")
    return str(description or "it is needed")
