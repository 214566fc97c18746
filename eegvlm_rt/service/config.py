"""The configuration of the service: read as a whole, checked as a whole, before anything starts."""

from __future__ import annotations

import ipaddress
import json
import math
import os
import socket
import stat
import tomllib
from dataclasses import dataclass, field
from datetime import time
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ..errors import EegVlmError, InputError
from ..sources import parse_source
from .toml_lines import lines_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jsonschema import ValidationError

__all__ = [
    "AlarmSettings",
    "BedSettings",
    "Configuration",
    "ConfigurationError",
    "ModelSettings",
    "MqttSettings",
    "PageSettings",
    "Problem",
    "StorageSettings",
    "WebhookSettings",
    "configuration_schema",
    "load_configuration",
    "parse_configuration",
]

MAX_BYTES: Final = 1 << 20
MODES_OF_SECRETS: Final = stat.S_IRWXO
PRIORITIES: Final = ("high", "medium", "low")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at one place of a configuration: `line` from 1, 0 where no line is to blame."""

    line: int
    field: str
    value: str
    cure: str

    def __str__(self) -> str:
        return f"{self.field}: {self.value}; {self.cure}"


class ConfigurationError(InputError):
    """A configuration that cannot be used; `problems` are all that are wrong with it, in order of lines."""

    def __init__(self, path: str, problems: list[Problem]) -> None:
        super().__init__("configuration", path, f"{len(problems)} problems")
        self.path = path
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(f"{self.path}:{problem.line}: {problem}" for problem in self.problems)


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """The model and its process; times in s."""

    bundle: str = "nano"
    slots: str | None = None
    mode: str = "cot"
    threads: int | None = None
    backend: str = "onnxruntime"
    deadline_s: float = 20.0
    hang_s: float = 60.0
    load_s: float = 180.0
    retry_s: float = 600.0
    memory_mb: int | None = None
    smooth: bool = False


@dataclass(frozen=True, slots=True)
class PageSettings:
    """Where the page listens and who may see it."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: int = 8080
    hosts: tuple[str, ...] = ()
    tokens_file: str | None = None
    loopback_role: str = "view"
    certificate: str | None = None
    key: str | None = None
    client_ca: str | None = None
    clients: int = 64

    @property
    def local(self) -> bool:
        """Whether only this machine can reach the page."""
        return is_loopback(self.host)


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """Disk: alarm below `floor_mb`; result files every `results_every_s`."""

    floor_mb: int = 500
    results_every_s: float = 60.0
    keep_signal_nights: int | None = None


@dataclass(frozen=True, slots=True)
class AlarmSettings:
    """When a condition is an alarm; `priorities`, `latching` and `off` only hold what differs from usual."""

    source_gone_s: float = 15.0
    no_decision_s: float = 75.0
    lag_s: float = 60.0
    priorities: Mapping[str, str] = field(default_factory=dict)
    latching: frozenset[str] | None = None
    off: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """A receiver of alarms over HTTP."""

    url: str
    token_file: str | None = None
    ca: str | None = None
    timeout_s: float = 5.0


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """A broker that gets alarms, stages and states."""

    host: str
    port: int = 1883
    topic: str = "eegvlm"
    username: str | None = None
    password_file: str | None = None
    ca: str | None = None
    home_assistant: bool = False


@dataclass(frozen=True, slots=True)
class BedSettings:
    """One bed. With neither `lights_off` nor `always` in the file, it is always."""

    id: str
    source: str
    label: str = ""
    channel: str | None = None
    unit: str | None = None
    lights_off: time | None = None
    lights_on: time | None = None
    tolerance_s: float | None = None
    stall_s: float = 10.0
    subject: str | None = None
    alarms: AlarmSettings = AlarmSettings()


@dataclass(frozen=True, slots=True)
class Configuration:
    """All of it. `path` is the file it was read from."""

    path: str
    data: Path
    device: str
    timezone: ZoneInfo | None
    beds: tuple[BedSettings, ...]
    model: ModelSettings = ModelSettings()
    page: PageSettings = PageSettings()
    storage: StorageSettings = StorageSettings()
    webhooks: tuple[WebhookSettings, ...] = ()
    mqtt: MqttSettings | None = None
    log_format: str = "text"
    log_file: str | None = None


@cache
def configuration_schema() -> dict[str, Any]:
    """The JSON Schema of the configuration."""
    text = resources.files(__package__).joinpath("config.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def load_configuration(path: str | os.PathLike[str]) -> Configuration:
    """Read and check a file. Raises ConfigurationError with every problem in it."""
    name = os.fspath(path)
    try:
        with Path(path).open("rb") as handle:
            content = handle.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(name, [Problem(0, "file", name, f"cannot be read: {why}")]) from error
    if len(content) > MAX_BYTES:
        cure = f"give at most {MAX_BYTES} bytes"
        raise ConfigurationError(name, [Problem(0, "file", f"more than {MAX_BYTES} bytes", cure)])
    return parse_configuration(content, name)


def parse_configuration(content: bytes, path: str = "beds.toml") -> Configuration:
    """Check the bytes of a file. Raises ConfigurationError with every problem in it."""
    try:
        text = content.decode("utf-8")
        values = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(path, [Problem(line, "file", "no UTF-8", "save it as UTF-8")]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(path, [_syntax_problem(error)]) from error
    except RecursionError as error:
        raise ConfigurationError(path, [Problem(0, "file", "nested", "nest less deeply")]) from error
    lines = lines_of(text)
    problems = list(_infinite_numbers(values, (), lines)) or list(_schema_problems(values, lines))
    if not problems:
        problems = list(_further_problems(values, lines))
    if problems:
        raise ConfigurationError(path, sorted(problems, key=lambda problem: problem.line))
    return _configuration(values, path)


def _syntax_problem(error: tomllib.TOMLDecodeError) -> Problem:
    """The parser's message ends with its place: "... (at line 3, column 7)"."""
    message = str(error)
    what, _, place = message.rpartition(" (at ")
    number = place.removeprefix("line ").split(",")[0]
    line = int(number) if number.isdigit() else 0
    return Problem(line, "syntax", what or message, "write valid TOML (https://toml.io)")


def _infinite_numbers(
    value: object, path: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int]
) -> Iterator[Problem]:
    """TOML has inf and nan, which are neither below a schema's minimum nor above its maximum."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _infinite_numbers(item, (*path, name), lines)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _infinite_numbers(item, (*path, index), lines)
    elif isinstance(value, float) and not math.isfinite(value):
        yield _problem(lines, path, value, "give a finite number")


def _schema_problems(values: dict[str, Any], lines: dict[tuple[str | int, ...], int]) -> Iterator[Problem]:
    try:
        from jsonschema import Draft202012Validator
    except ImportError as error:
        raise InputError("service", str(error), "install it: pip install 'eegvlm-rt[service]'") from error
    for error in Draft202012Validator(configuration_schema()).iter_errors(values):
        yield from _of_schema(error, lines)


def _of_schema(error: ValidationError, lines: dict[tuple[str | int, ...], int]) -> Iterator[Problem]:
    path = tuple(error.absolute_path)
    schema: dict[str, Any] = error.schema if isinstance(error.schema, dict) else {}
    if error.validator == "additionalProperties":
        known = sorted(schema["properties"])
        for name in sorted(set(error.instance) - set(known)):
            cure = f"no such setting; there are: {', '.join(known)}"
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


def _further_problems(values: dict[str, Any], lines: dict[tuple[str | int, ...], int]) -> Iterator[Problem]:
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
        if off is not None and _clock(off) == _clock(on):
            cure = "give another time than lights_off, or always = true for a record without pause"
            yield _problem(lines, (*path, "lights_on"), on, cure)
        if off is not None and bed.get("always"):
            cure = "leave it out where lights_off and lights_on are given"
            yield _problem(lines, (*path, "always"), "true", cure)
        yield from _alarm_problems(bed.get("alarms", {}), (*path, "alarms"), lines)
    yield from _alarm_problems(values.get("alarms", {}), ("alarms",), lines)
    model = values.get("model", {})
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


def _alarm_problems(
    alarms: dict[str, Any], path: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int]
) -> Iterator[Problem]:
    taken: dict[str, str] = {}
    for group in (*PRIORITIES, "off"):
        for position, kind in enumerate(alarms.get(group, [])):
            if kind in taken:
                cure = f"it is in {taken[kind]} already; an alarm has one priority or is off"
                yield _problem(lines, (*path, group, position), kind, cure)
            taken.setdefault(kind, group)


def _page_problems(page: dict[str, Any], lines: dict[tuple[str | int, ...], int]) -> Iterator[Problem]:
    host = page.get("host", "127.0.0.1")
    if page.get("enabled", True) and not is_loopback(host):
        if "tokens_file" not in page and "client_ca" not in page:
            cure = "the network can reach this address: give tokens_file or client_ca, or 127.0.0.1"
            yield _problem(lines, ("page", "host"), host, cure)
    for name in ("certificate", "client_ca"):
        if name in page and not os.access(page[name], os.R_OK):
            yield _problem(lines, ("page", name), page[name], "no such file, or it may not be read")


def _secret_problems(values: dict[str, Any], lines: dict[tuple[str | int, ...], int]) -> Iterator[Problem]:
    """Files that hold secrets must be there, and closed to everybody else on this machine."""
    places: list[tuple[tuple[str | int, ...], str]] = []
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
        elif mode & MODES_OF_SECRETS:
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


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _configuration(values: dict[str, Any], path: str) -> Configuration:
    page = dict(values.get("page", {}))
    log = values.get("log", {})
    mqtt = values.get("mqtt")
    common = values.get("alarms", {})
    return Configuration(
        path=path,
        data=Path(values["data"]),
        device=values.get("device") or _host_name(),
        timezone=ZoneInfo(values["timezone"]) if "timezone" in values else None,
        beds=tuple(_bed(bed, common) for bed in values["beds"]),
        model=ModelSettings(**values.get("model", {})),
        page=PageSettings(**{**page, "hosts": tuple(page.get("hosts", ()))}),
        storage=StorageSettings(**values.get("storage", {})),
        webhooks=tuple(WebhookSettings(**hook) for hook in values.get("webhooks", [])),
        mqtt=None if mqtt is None else MqttSettings(**{"port": 8883 if "ca" in mqtt else 1883, **mqtt}),
        log_format=log.get("format", "text"),
        log_file=log.get("file"),
    )


def _bed(values: dict[str, Any], common: dict[str, Any]) -> BedSettings:
    rest = {k: v for k, v in values.items() if k not in ("always", "alarms", "lights_off", "lights_on")}
    off, on = values.get("lights_off"), values.get("lights_on")
    return BedSettings(
        **{"label": values["id"], **rest},
        lights_off=None if off is None else _clock(off),
        lights_on=None if on is None else _clock(on),
        alarms=_alarm_settings({**common, **values.get("alarms", {})}),
    )


def _alarm_settings(values: dict[str, Any]) -> AlarmSettings:
    priorities = {kind: level for level in PRIORITIES for kind in values.get(level, ())}
    times = {name: float(values[name]) for name in ("source_gone_s", "no_decision_s", "lag_s") if name in values}
    latching = values.get("latching")
    return AlarmSettings(
        **times,
        priorities=priorities,
        latching=None if latching is None else frozenset(latching),
        off=frozenset(values.get("off", ())),
    )


def _clock(text: str) -> time:
    hours, minutes = text.split(":")
    return time(int(hours), int(minutes))


def _host_name() -> str:
    name = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "-" for c in socket.gethostname())
    return name.strip("-_")[:32] or "device"


def _problem(
    lines: dict[tuple[str | int, ...], int], path: tuple[str | int, ...], value: object, cure: str
) -> Problem:
    return Problem(_line(lines, path), _name(path), _shown(value), cure)


def _line(lines: dict[tuple[str | int, ...], int], path: tuple[str | int, ...]) -> int:
    """The line of a path, or of the nearest thing around it."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _name(path: tuple[str | int, ...]) -> str:
    """beds[0].id, as a person would write it; beds are counted from 1."""
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return repr(text[:80]) if isinstance(value, str) else text[:80]


def _description(schema: dict[str, Any], name: str) -> str:
    found = schema.get("properties", {}).get(name, {}).get("description")
    return str(found or "it is needed")
