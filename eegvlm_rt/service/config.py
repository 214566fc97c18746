"""The configuration of the service: read as a whole, checked as a whole, before anything starts."""

from __future__ import annotations

import os
import socket
import tomllib
from dataclasses import dataclass, field
from datetime import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from ..errors import InputError
from .config_check import (
    PRIORITIES,
    Problem,
    configuration_schema,
    file_fingerprint,
    is_loopback,
    problems_of,
    read_tokens,
)
from .toml_lines import lines_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "OUTPUTS",
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
    "file_fingerprint",
    "is_loopback",
    "load_configuration",
    "parse_configuration",
    "read_tokens",
]

MAX_BYTES: Final = 1 << 20
OUTPUTS: Final = frozenset({"fhir", "mqtt", "webhooks"})
"""Where a night's totals, its stages and its alarms go, besides the files of the night and the page."""


class ConfigurationError(InputError):
    """A configuration that cannot be used; `problems` are all that are wrong with it, in order of lines."""

    def __init__(self, path: str, problems: list[Problem]) -> None:
        super().__init__("configuration", path, f"{len(problems)} problems")
        self.path = path
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(f"{self.path}:{problem.line}: {problem}" for problem in self.problems)


NO_DECISION_S: Final = 58.0
"""An alarm comes within two epochs of the last decision."""


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
    no_decision_s: float = NO_DECISION_S
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
    outputs: frozenset[str] = OUTPUTS
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
    problems = problems_of(values, lines)
    if problems:
        raise ConfigurationError(path, problems)
    return _configuration(values, path)


def _syntax_problem(error: tomllib.TOMLDecodeError) -> Problem:
    """The parser's message ends with its place: "... (at line 3, column 7)"."""
    message = str(error)
    what, _, place = message.rpartition(" (at ")
    number = place.removeprefix("line ").split(",")[0]
    line = int(number) if number.isdigit() else 0
    return Problem(line, "syntax", what or message, "write valid TOML (https://toml.io)")


def _configuration(values: dict[str, Any], path: str) -> Configuration:
    page = dict(values.get("page", {}))
    log = values.get("log", {})
    mqtt = values.get("mqtt")
    model = ModelSettings(**values.get("model", {}))
    # One epoch, the deadline, and what a busy machine takes on top: less would be an alarm where all is well.
    wait_s = max(NO_DECISION_S, 36.0 + model.deadline_s)
    common = {"no_decision_s": wait_s, **values.get("alarms", {})}
    return Configuration(
        path=path,
        data=Path(values["data"]),
        device=values.get("device") or _host_name(),
        timezone=ZoneInfo(values["timezone"]) if "timezone" in values else None,
        beds=tuple(_bed(bed, common) for bed in values["beds"]),
        model=model,
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
    outputs = frozenset(rest.pop("outputs", OUTPUTS))
    return BedSettings(
        **{"label": values["id"], **rest},
        outputs=outputs,
        lights_off=None if off is None else _clock(off),
        lights_on=None if on is None else _clock(on),
        alarms=_alarm_settings({**common, **values.get("alarms", {})}),
    )


def _alarm_settings(values: dict[str, Any]) -> AlarmSettings:
    priorities = {kind: level for level in PRIORITIES for kind in values.get(level, ())}
    times = {
        name: float(values[name]) for name in ("source_gone_s", "no_decision_s", "lag_s") if name in values
    }
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
