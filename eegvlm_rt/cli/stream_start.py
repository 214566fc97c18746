"""What a streamed night begins with: the night before it, lights-off, and what both must agree on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, JournalError
from ..journal.frames import RecordKind
from ..journal.reader import read
from ..journal.resume import night_state
from ..journal.storage import holds_a_night
from ..journal.writer import Journal
from ..sources.live import LiveSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..journal.frames import Record
    from ..journal.resume import NightState
    from ..sources.replay import ReplaySource
    from ..streaming.status import StreamStatus

__all__ = ["Earlier", "begin_journal", "earlier_night", "lights_off_s", "night_start"]

_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")
_SAME = {
    "bundle_digest": "--bundle",
    "channel": "--channel",
    "sfreq": "--source",
}
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Earlier:
    """A night that is gone on with: what its journal holds."""

    records: Sequence[Record]
    state: NightState


def earlier_night(path: str | None, *, resume: bool) -> Earlier | None:
    """The night in a journal that is gone on with; None where a new one begins.

    Raises JournalError for a journal that cannot be read or is damaged, InputError for `resume` without one.
    """
    if path is None:
        if resume:
            raise InputError(
                "--resume", "no journal", "add --journal FILE, the record of the night to go on with"
            )
        return None
    if not resume or not holds_a_night(Path(path)):
        return None
    report = read(path)
    if report.findings:
        cure = "keep this file and begin a new journal under another name"
        raise JournalError("journal", report.findings[0].detail, cure, path)
    return Earlier(report.records, night_state(report.records))


def check_same(earlier: Earlier, facts: Mapping[str, Any], path: str) -> None:
    """Raises JournalError where a night would go on with another model, channel or rate than before."""
    header = earlier.state.header
    for name, option in _SAME.items():
        before, now = header.get(name), facts.get(name)
        if before is not None and before != now:
            cure = (
                f"the night there was begun with {before}: choose that by {option}, or begin another journal"
            )
            raise JournalError(name, now, cure, path)


def begin_journal(
    path: str | None, facts: Mapping[str, Any], earlier: Earlier | None
) -> tuple[Journal | None, NightState | None]:
    """The journal to write, and the night so far; raises JournalError."""
    if path is None:
        return None, None
    if earlier is None:
        return Journal.create(path, facts), None
    check_same(earlier, facts, path)
    journal, state = Journal.resume(path)
    journal.append(RecordKind.CONFIG, facts)
    journal.sync()
    return journal, state


def lights_off_s(text: str | None, source: ReplaySource | LiveSource, now: datetime) -> float | None:
    """Device time of lights-off: "22:30" or "22:30:00" of the recording's clock, or "+90", seconds from now
    (of a file: from its first sample). None is the first sample.

    A clock time means the nearest one, within 12 h. Raises InputError.
    """
    if text is None:
        return None
    device_s = source.clock_s() if isinstance(source, LiveSource) else 0.0
    if text.startswith("+") and text[1:].replace(".", "", 1).isdigit() and len(text) <= 12:
        return device_s + float(text[1:])
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise InputError("--lights-off", text, "give a clock time, 22:30, or seconds from now, +90")
    start = now if isinstance(source, LiveSource) else source.start
    if start is None:
        raise InputError("--lights-off", text, "the recording hides its start; give seconds from there, +90")
    time_of_day = timedelta(hours=int(match[1]), minutes=int(match[2]), seconds=int(match[3] or 0))
    passed = timedelta(
        hours=start.hour, minutes=start.minute, seconds=start.second, microseconds=start.microsecond
    )
    ahead_s = ((time_of_day - passed).total_seconds() + _DAY_S / 2) % _DAY_S - _DAY_S / 2
    if not isinstance(source, LiveSource) and ahead_s < 0:
        raise InputError("--lights-off", text, f"the recording starts at {start:%H:%M:%S}, after that")
    return device_s + ahead_s


def night_start(source: ReplaySource | LiveSource, night: StreamStatus) -> datetime | None:
    """Clock time of epoch 0: the recording's own, else the host's local time. None before it is known."""
    if not isinstance(source, LiveSource):
        start, anchor_s = source.start, night.grid_start_device_s
        return start if start is None or anchor_s is None else start + timedelta(seconds=anchor_s)
    wall = night.grid_start_wall_s
    return None if wall is None else datetime.fromtimestamp(wall)
