"""The bedside service: beds, nights by date, a model that may fail, a page, alarms. Not a medical device.

    configuration = load_configuration("beds.toml")
    service = Service(configuration)
    service.start()
    service.run()

Needs the extra `service`. How it is built: docs/service.md.
"""

from __future__ import annotations

from .config import (
    Configuration,
    ConfigurationError,
    Problem,
    configuration_schema,
    load_configuration,
    parse_configuration,
)
from .fhir import observations
from .schedule import Schedule, Window
from .service import NotYetError, Service
from .signal_log import Frame, SignalLog, read_frames
from .slots import BundleSlots

__all__ = [
    "BundleSlots",
    "Configuration",
    "ConfigurationError",
    "Frame",
    "NotYetError",
    "Problem",
    "Schedule",
    "Service",
    "SignalLog",
    "Window",
    "configuration_schema",
    "load_configuration",
    "observations",
    "parse_configuration",
    "read_frames",
]
