"""eegvlm-rt serve: several beds, night after night."""

from __future__ import annotations

import json
import logging
import logging.handlers
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from ..errors import EegVlmError, InputError
from ..extras import install_command
from .console import out, plain, report_error

if TYPE_CHECKING:
    import argparse

    from ..service.config import Configuration
    from ..service.service import Service

__all__ = ["run"]

WRONG, NOT_YET = 2, 75
"""75 is EX_TEMPFAIL of sysexits(3): to start it again later may succeed."""
_LOG_BYTES: Final = 4_000_000
_LOG_FILES: Final = 4


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT. Status: 0 ended in order, 2 the configuration is wrong, 75 not yet (the
    folder of the nights is in use or not there).
    """
    try:
        from ..service.config import ConfigurationError, configuration_schema, load_configuration
        from ..service.sdnotify import Notifier
        from ..service.service import NotYetError, Service
    except ModuleNotFoundError as error:
        raise InputError("service", str(error), install_command("service")) from error
    if args.schema:
        sys.stdout.write(json.dumps(configuration_schema(), indent=2) + "\n")
        return 0
    if args.config is None:
        raise InputError("--config", "none", "name a file: --config beds.toml")
    try:
        configuration = load_configuration(args.config)
    except ConfigurationError as error:
        for line in str(error).splitlines():
            report_error(line)
        return WRONG
    if args.check:
        beds = ", ".join(bed.id for bed in configuration.beds)
        out().print(plain(f"{args.config}: right; beds: {beds}"), soft_wrap=True)
        return 0
    _log_to(configuration)
    service = Service(configuration, notifier=Notifier())
    # Signals are taken before anything starts: a reload that comes early would end the process.
    reloads = _take_signals(service)
    try:
        service.start()
    except NotYetError as error:
        report_error(str(error))
        return NOT_YET
    return _serve(service, args.config, reloads)


def _take_signals(service: Service) -> list[int]:
    """SIGTERM and SIGINT end the service in order; SIGHUP adds to the list that is returned."""
    reloads: list[int] = []

    def end(_number: int, _frame: object) -> None:
        service.stopping.set()

    def reload(_number: int, _frame: object) -> None:
        reloads.append(1)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    signal.signal(signal.SIGHUP, reload)
    return reloads


def _serve(service: Service, path: str, reloads: list[int]) -> int:
    from ..service.config import load_configuration

    try:
        while not service.stopping.wait(1.0):
            if reloads:
                reloads.clear()
                try:
                    service.reload(load_configuration(path))
                except EegVlmError as error:
                    service.refuse_configuration(str(error))
            service.tick()
    finally:
        service.stop()
    return 0


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        fields: dict[str, Any] = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + "Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def _log_to(configuration: Configuration) -> None:
    """To stderr, which systemd keeps within its bounds, or to a file that is kept within ours."""
    handler: logging.Handler = logging.StreamHandler()
    if configuration.log_file is not None:
        try:
            handler = logging.handlers.RotatingFileHandler(
                configuration.log_file, maxBytes=_LOG_BYTES, backupCount=_LOG_FILES, encoding="utf-8"
            )
        except OSError as error:
            why = f"cannot be written: {error.strerror}"
            raise InputError("log.file", configuration.log_file, why) from error
    text = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(JsonLines() if configuration.log_format == "json" else text)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("eegvlm_rt").setLevel(logging.INFO)
    # What a client library logs of its requests may hold addresses with secrets in them.
    for name in ("httpx", "httpcore", "paho"):
        logging.getLogger(name).setLevel(logging.ERROR)
