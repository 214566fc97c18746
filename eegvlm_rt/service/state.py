"""The state of the service as one JSON-able object: for the page, the metrics, brokers and systemd."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from .alarms import Priority
from .bed import BedState
from .board import board, memory_bytes
from .model import ModelState
from .wording import without_paths

if TYPE_CHECKING:
    from .service import BedView, Service

__all__ = ["readiness", "state_of"]

DECISION_S = 60.0


def state_of(service: Service) -> dict[str, Any]:
    """All of it; ages in s, times in s since 1970."""
    why = readiness(service)
    beds = [_bed(service, view) for view in list(service.views.values())]
    alarms = [alarm.to_dict() for alarm in service.alarms.current()]
    return {
        "at_s": time.time(),
        "version": __version__,
        "device": service.configuration.device,
        "ready": not why,
        "not_ready": why,
        "status": _words(service, beds, len(alarms)),
        "beds": beds,
        "alarms": alarms,
        "alarms_raised": service.alarms.raised,
        "paused_s": service.alarms.paused_s(""),
        "model": {
            "state": str(service.model.state),
            "problem": without_paths(service.model.problem),
            "restarts": service.model.restarts,
            **service.model.facts,
        },
        "page": {"restarts": service.page.restarts},
        "outlets": service.outlets.facts(),
        "disk_free_bytes": service.watch.free,
        "memory": {
            "recorder": memory_bytes(),
            "model": _memory(service.model.process),
            "page": _memory(service.page.process),
        },
        "threads": threading.active_count(),
        "files": _files(),
        "uptime_s": time.monotonic() - service.started_at,
        **board(),
    }


def readiness(service: Service) -> list[str]:
    """Why the service is not ready: its model, its sources, its decisions, its disk."""
    why: list[str] = []
    if service.model.state is not ModelState.RUNNING:
        why.append(f"the model is {service.model.state}")
    for view in list(service.views.values()):
        bed = view.bed
        if bed.state is BedState.WAITING or (bed.problem and bed.state is not BedState.ENDED):
            why.append(f"{bed.settings.id}: the source is not there")
        elif bed.state is BedState.RECORDING and view.wait.seconds > DECISION_S:
            why.append(f"{bed.settings.id}: no decision within two epochs")
    free, floor = service.watch.free, service.configuration.storage.floor_mb * 1_000_000
    if free is not None and free < floor:
        why.append("the disk is below its floor")
    return why


def _bed(service: Service, view: BedView) -> dict[str, Any]:
    bed, now = view.bed, time.monotonic()
    night = view.shown
    window = None if bed.night is None else bed.night.window
    return {
        "id": bed.settings.id,
        "label": bed.settings.label,
        "state": str(bed.state),
        "problem": without_paths(bed.problem),
        "source": bed.settings.source.partition(":")[0],
        "channel": bed.channel,
        "sfreq": bed.sfreq,
        "sample_age_s": None if bed.last_sample_at is None else now - bed.last_sample_at,
        "decision_age_s": None if view.decided_at is None else now - view.decided_at,
        "lag_s": view.lag_s,
        "last": view.last,
        "night": None if night is None else night.folder.name,
        "key": None if night is None else night.key,
        "recording": bed.night is not None,
        "epochs": {} if night is None else dict(night.outcomes),
        "epochs_total": dict(view.outcomes),
        "night_begin_s": None if window is None else window.begin_s,
        "night_end_s": None if window is None else window.end_s,
        "next_begin_s": None if bed.night is not None else bed.next_begin_s,
        "paused_s": service.alarms.paused_s(bed.settings.id),
        "samples": bed.samples,
        "missing": bed.missing,
        "lost_samples": bed.lost_samples,
        "lost_frames": 0 if night is None else night.signal.lost_frames,
        "reconnects": bed.reconnects,
        "clock_steps": bed.clock_steps,
        "journal_bytes": _size(night.journal.path) if night is not None else 0,
        "journal_losses": 0 if night is None else night.journal.losses,
        "signal_bytes": 0 if night is None else night.signal.bytes_on_disk,
        "stage_ms": view.stage_ms.to_dict(),
        "total_ms": view.total_ms.to_dict(),
    }


def _words(service: Service, beds: list[dict[str, Any]], alarms: int) -> str:
    recording = sum(bed["recording"] for bed in beds)
    text = f"{recording} of {len(beds)} beds recording, model {service.model.state}"
    urgent = sum(alarm.priority is Priority.HIGH for alarm in service.alarms.current())
    if alarms:
        text += f", {alarms} alarms" + (f" ({urgent} of high priority)" if urgent else "")
    return text


def _memory(process: Any) -> int | None:
    return None if process is None else memory_bytes(process.pid)


def _files() -> int | None:
    try:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError:
        return None


def _size(path: Any) -> int:
    try:
        return int(path.stat().st_size)
    except OSError:
        return 0
