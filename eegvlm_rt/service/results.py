"""Result files of all nights, brought up to date while the nights go on."""

from __future__ import annotations

import json
import logging
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import EegVlmError
from ..files.outputs import write_file
from ..heap import return_freed_memory
from .signal_log import segments

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .config import StorageSettings
    from .night import BedNight

__all__ = ["ResultWriter"]

_log = logging.getLogger("eegvlm_rt.service")


class ResultWriter:
    """A thread that writes results every `storage.results_every_s`, so that nothing else waits for a disk."""

    def __init__(self, nights: Callable[[], list[BedNight]], storage: StorageSettings, device: str) -> None:
        self.storage = storage
        self._nights, self._device = nights, device
        self._stop = threading.Event()
        self._finished: list[BedNight] = []
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="results", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is due, and end."""
        self._stop.set()
        self._wake.set()
        self._thread.join(10.0)

    def finished(self, night: BedNight) -> None:
        """A night is over: write what belongs to a whole night, and make room where that is asked for."""
        self._finished.append(night)
        self._wake.set()

    def _run(self) -> None:
        due = time.monotonic() + self.storage.results_every_s
        while not self._stop.is_set():
            self._wake.wait(max(0.1, min(5.0, due - time.monotonic())))
            self._wake.clear()
            is_over = self._close_finished()
            is_due = time.monotonic() >= due or any(night.results_error for night in self._nights())
            if is_due:
                due = time.monotonic() + self.storage.results_every_s
                self._write()
            if is_due or is_over:
                # A night's results are made anew each time: what that took would stay a hole in the heap.
                return_freed_memory()
        self._close_finished()

    def _write(self) -> None:
        for night in self._nights():
            night.write_results(status="in progress")

    def _close_finished(self) -> bool:
        """Whether there was any night to close."""
        is_over = bool(self._finished)
        while self._finished:
            night = self._finished.pop(0)
            try:
                bundle = None if "fhir" not in night.bed.outputs else night.observations(self._device)
                if bundle is not None:
                    text = json.dumps(bundle, indent=1, allow_nan=False) + "\n"
                    write_file(night.folder / "fhir.json", text.encode())
            except (EegVlmError, OSError) as error:
                _log.warning("%s: fhir.json: %s", night.key, error)
            if self.storage.keep_signal_nights is not None:
                drop_signal(night.folder.parent, self.storage.keep_signal_nights)
        return is_over


def drop_signal(bed: Path, keep: int) -> list[Path]:
    """Remove the raw signal of all but the `keep` latest nights of a bed; returns what was removed. Journals
    and results stay.
    """
    removed: list[Path] = []
    folders = sorted(folder for folder in bed.iterdir() if folder.is_dir() and segments(folder))
    for folder in folders[:-keep]:
        for path in segments(folder):
            with suppress(OSError):
                path.unlink()
                removed.append(path)
    return removed
