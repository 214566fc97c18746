"""The bedside service: beds, nights by date, a model that may fail, a page, alarms. Not a medical device.

    configuration = load_configuration("beds.toml")
    service = Service(configuration)
    service.start()
    service.run()

Needs the extra `service`. How it is built: docs/service.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
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

# Names are loaded on first use: the processes of the page and of the model are smaller and start sooner
# where they do not load what the recorder needs.
_HOME = {
    "BundleSlots": "slots",
    "Configuration": "config",
    "ConfigurationError": "config",
    "Frame": "signal_log",
    "NotYetError": "service",
    "Problem": "config",
    "Schedule": "schedule",
    "Service": "service",
    "SignalLog": "signal_log",
    "Window": "schedule",
    "configuration_schema": "config",
    "load_configuration": "config",
    "observations": "fhir",
    "parse_configuration": "config",
    "read_frames": "signal_log",
}


__getattr__, __dir__ = lazy_names(__name__, _HOME)
