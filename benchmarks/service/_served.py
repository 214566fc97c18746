"""The service with a clock that can be set: `python -m benchmarks.service._served CONFIG OFFSET`.

Nobody may set the clock of this machine for a measurement: the number in the file OFFSET is added to the
clock that the schedule reads. Everything else is `eegvlm-rt serve`.
"""

from __future__ import annotations

import logging
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from eegvlm_rt.service import ConfigurationError, Service, load_configuration
from eegvlm_rt.service.clock import Clock


class SetClock(Clock):
    """The wall clock, set by the number in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset_s = 0.0

    def wall(self) -> float:
        """Seconds since 1970, as this clock has them."""
        with suppress(OSError, ValueError):
            self._offset_s = float(self._path.read_text())
        return time.time() + self._offset_s


def main() -> int:
    """Serve until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    path, offset = sys.argv[1:]
    service = Service(load_configuration(path), clock=SetClock(Path(offset)))
    reloads: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: service.stopping.set())
    signal.signal(signal.SIGHUP, lambda *_: reloads.append(1))
    service.start()
    while not service.stopping.wait(1.0):
        if reloads:
            reloads.clear()
            try:
                service.reload(load_configuration(path))
            except ConfigurationError as error:
                service.refuse_configuration(str(error))
        service.tick()
    service.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
