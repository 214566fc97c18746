"""A night of one bed: its folder by date, its signal, its journal, its result files."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .. import __version__
from ..errors import EegVlmError, JournalError
from ..files.outputs import write_file
from ..files.seal import SEAL, file_digests
from ..hypnogram.edf import write_edf
from ..hypnogram.statistics import sleep_statistics
from ..hypnogram.text import to_csv
from ..journal.frames import RecordKind
from ..journal.reader import read
from ..journal.resume import NightFold, night_state
from ..journal.storage import holds_a_night
from ..journal.writer import Journal
from ..night.journal_rows import JournalRows, hypnogram_of
from ..notice import NOTICE
from ..prediction import Outcome
from .fhir import observations
from .page_rows import PageRows
from .signal_log import SignalLog, read_frames

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..hypnogram.model import Hypnogram
    from ..journal.resume import NightState
    from .config import BedSettings
    from .schedule import Window

__all__ = ["BedNight", "unfinished_nights"]

JOURNAL: Final = "night.journal"
RESULTS: Final = ("hypnogram.edf", "hypnogram.csv", "night.json")
_LOOK_BACK: Final = 8


class BedNight:
    """One night, open for recording. Methods may be called from several threads.

    Made by `open`. Who records calls `append` of `signal`; what the model decides comes in by `record`; when
    the last sample is there, `end_signal`; when the last decision is, `finish`.

    Attributes:
        key: "BED/FOLDER", unique among all nights of a service.
        folder: where everything of the night lies.
        window: the night of the schedule that it belongs to.
        signal: the raw signal.
        journal: the journal.
        sfreq, channel: of the source.
        resumed: whether the night was begun by an earlier process.
        ended: the last sample is there.
        finished: the night is ended and nothing is written any more.
        outcomes: decisions by outcome.
        rows: the decisions, as the page shows them.
        resume_frame: the frame of `signal` that the first epoch without a decision begins in.
        begun: whether the grid of epochs is known.
        results_error: why the result files could not be written last, None while all is well.
        summary: the counts and clocks of the stream, as it told them at its end.
    """

    def __init__(self, bed: BedSettings, folder: Path, window: Window, facts: Mapping[str, Any]) -> None:
        self.bed, self.folder, self.window = bed, folder, window
        self.key = f"{bed.id}/{folder.name}"
        self.sfreq, self.channel = float(facts["sfreq"]), str(facts["channel"])
        self.ended = self.finished = False
        self.ended_at = 0.0
        self._lock = threading.RLock()
        self._writing = threading.Lock()
        # What the records tell is kept, and not they: a night has thousands, of some kilobytes each.
        self._answers = JournalRows()
        self._decided = NightFold()
        self.resume_frame = 0
        self.begun = False
        self.outcomes: Counter[str] = Counter()
        self.results_error: str | None = None
        self.summary: dict[str, Any] = {}
        self.rows = PageRows()
        self._changed = True
        path = folder / JOURNAL
        self.resumed = holds_a_night(path)
        if self.resumed:
            for record in read(path).records:
                self._take(record.kind, record.body)
            self.journal, _ = Journal.resume(path)
            self.journal.append(RecordKind.CONFIG, facts)
        else:
            self.journal = Journal.create(path, facts)
            self._take(RecordKind.START, facts)
        self.journal.sync()
        self.signal = SignalLog(folder)

    @classmethod
    def open(cls, data: Path, bed: BedSettings, window: Window, facts: Mapping[str, Any]) -> BedNight:
        """The night of a window: the one that is in progress, or a new one.

        A part of the night that was ended, cannot be resumed, or has another rate or channel is left as it
        is; the night then has another part, `DATE.2` and so on. Raises OSError where the folder cannot be
        made.
        """
        base = data / bed.id
        base.mkdir(mode=0o750, parents=True, exist_ok=True)
        number = 1
        while True:
            folder = base / (f"{window.date}" if number == 1 else f"{window.date}.{number}")
            number += 1
            goes_on = (folder / JOURNAL).exists() or any(folder.glob("signal-*"))
            if goes_on and not _goes_on(folder, facts):
                continue
            folder.mkdir(mode=0o750, exist_ok=True)
            try:
                return cls(bed, folder, window, facts)
            except JournalError:
                if number > 1000:
                    raise

    @classmethod
    def reopen(cls, bed: BedSettings, folder: Path, window: Window) -> BedNight:
        """A night of an earlier process that was not ended, to be ended. Raises JournalError."""
        header = night_state(read(folder / JOURNAL).records).header
        return cls(bed, folder, window, {**header, "sfreq": header.get("sfreq", 0.0)})

    def record(self, kind: str, body: Mapping[str, Any]) -> None:
        """Write a record down; that of a decision is on the disk when this returns, as far as that can be."""
        with self._lock:
            if self.finished:
                return
            self.journal.append(kind, body)
            self._take(kind, body)
            if kind != RecordKind.CLOCK:
                self.journal.sync()

    def state(self) -> NightState:
        """What a stream needs that resumes the night. An epoch of which only the head's early stage is known
        is decided again: its signal is still there.
        """
        with self._lock:
            return self._decided.state()

    def hypnogram(self) -> Hypnogram:
        """The night so far. Raises InputError for more than a week."""
        with self._lock:
            rows, info = np.array(self._answers.table().view()), self._answers.info()
        return hypnogram_of(rows, info)

    def observations(self, device: str) -> dict[str, Any] | None:
        """The night's totals as FHIR Observations; `device` is the name of this one among all devices."""
        with self._lock:
            header = self._answers.header
        offset = header.get("utc_offset_s")
        return observations(
            self.hypnogram(),
            subject=self.bed.subject,
            device=self.bed.id,
            utc_offset_s=float(offset) if isinstance(offset, int | float) else None,
            night=f"{device}/{self.key}",
        )

    def write_results(self, *, status: str) -> bool:
        """Bring the result files up to date, each whole; False where nothing changed. Never raises.

        `status` says how far the night is: "in progress", "complete", or why it is not.
        """
        with self._writing:
            with self._lock:
                if not self._changed and status == "in progress":
                    return False
                self._changed = False
                header = dict(self._answers.header)
            try:
                hypnogram = self.hypnogram()
                statistics = sleep_statistics(hypnogram).to_dict() if len(hypnogram) else None
                files = []
                if len(hypnogram):
                    files.append(write_edf(hypnogram, self.folder / RESULTS[0]))
                    files.append(to_csv(hypnogram, self.folder / RESULTS[1]))
                fields = {
                    "format": "eegvlm-rt night",
                    "version": 1,
                    "software": f"eegvlm-rt {__version__}",
                    "configuration": header,
                    "ended": status,
                    "updated_s": time.time(),
                    "night": {"epochs": {str(o): self.outcomes[str(o)] for o in Outcome}},
                    "statistics": statistics,
                    "journal": {
                        "file": JOURNAL,
                        "records": self.journal.records,
                        "lost": self.journal.losses,
                        "error": self.journal.error,
                        "head": self.journal.head,
                    },
                    "signal": {"lost_frames": self.signal.lost_frames},
                    "notice": NOTICE,
                    "written": {"by": SEAL, "files": file_digests(files)},
                }
                text = json.dumps(fields, allow_nan=False, ensure_ascii=False, indent=1, default=str) + "\n"
                write_file(self.folder / RESULTS[2], text.encode("utf-8", errors="replace"))
            except (EegVlmError, OSError, ValueError) as error:
                self.results_error = str(error)
                self._changed = True
            else:
                self.results_error = None
        return True

    def end_signal(self) -> None:
        """The last sample is there."""
        self.signal.close()
        if not self.ended:
            self.ended, self.ended_at = True, time.monotonic()

    def finish(self, why: str, undecided: str = "") -> None:
        """End the night in order. Epochs that have a signal and no decision are recorded as failed, with
        `undecided` for the reason.
        """
        with self._lock:
            if self.finished:
                return
            if undecided:
                self._record_undecided(undecided)
            # Nothing follows this record: by it a journal shows that its night was ended.
            night = {**self.summary, "epochs": dict(self.outcomes), "ended": why}
            self.journal.append(RecordKind.SHUTDOWN, {"night": night})
            self.journal.sync()
            self.finished = True
        self.write_results(status=why)
        self.journal.close()
        self.signal.forget()

    def leave(self) -> None:
        """Let go of the night without ending it: the next process resumes it."""
        self.signal.close()
        self.write_results(status="in progress")
        with self._lock:
            self.finished = True
            self.journal.close()

    def _record_undecided(self, why: str) -> None:
        seconds = sum(len(frame.samples) for frame in read_frames(self.folder)) / max(self.sfreq, 1.0)
        epochs = int(seconds // 30)
        for index in range(self._answers.next_epoch_index, min(epochs, 2880)):
            body = {
                "index": index,
                "start_s": 30.0 * index,
                "stage": None,
                "outcome": str(Outcome.FAILED),
                "error": why,
                "channel": self.channel,
            }
            self.journal.append(RecordKind.PREDICTION, body)
            self._take(RecordKind.PREDICTION, body)
        self.journal.sync()

    def _take(self, kind: str, body: Mapping[str, Any]) -> None:
        """Keep what a resumed night, the results and the page need, and no more."""
        self._answers.add(kind, body)
        if kind != RecordKind.STAGE:
            self._decided.add(kind, body)
        if kind == RecordKind.CLOCK:
            self.begun = True
        elif kind == RecordKind.PREDICTION:
            self.outcomes[str(body.get("outcome", "scored"))] += 1
            self.rows.add(body)
            frame = body.get("resume_frame")
            self.resume_frame = frame if isinstance(frame, int) and frame >= 0 else 0
            self._changed = True


def unfinished_nights(data: Path, bed: str) -> list[Path]:
    """Folders of nights that no process ended, the newest last. Of many nights the latest few are looked at:
    every start ends what is left over.
    """
    folders: list[Path] = []
    with suppress(OSError):
        for folder in sorted((data / bed).iterdir())[-_LOOK_BACK:]:
            journal = folder / JOURNAL
            if folder.is_dir() and not folder.is_symlink() and holds_a_night(journal):
                with suppress(JournalError):
                    if not night_state(read(journal).records).finished:
                        folders.append(folder)
    return folders


def window_date(folder: Path) -> str:
    """The date in a folder's name."""
    return folder.name.split(".")[0]


def _goes_on(folder: Path, facts: Mapping[str, Any]) -> bool:
    """Whether the part of a night in `folder` is one to go on with."""
    try:
        report = read(folder / JOURNAL)
    except JournalError:
        return False
    state = night_state(report.records)
    same = all(state.header.get(name) in (None, facts.get(name)) for name in ("sfreq", "channel"))
    return bool(report.records) and not report.findings and not state.finished and same


def facts_of(bed: BedSettings, source: Any, mode: str, deadline_s: float) -> dict[str, Any]:
    """The start record of a night."""
    start = getattr(source, "start", None)
    now = time.localtime()
    return {
        **{
            name: value
            for name, value in asdict(bed).items()
            if name in ("source", "unit", "label", "subject")
        },
        "bed": bed.id,
        "channel": source.channel,
        "sfreq": source.sfreq,
        "mode": mode,
        "deadline_s": deadline_s,
        "recording_start": start.isoformat() if isinstance(start, datetime) else None,
        "utc_offset_s": now.tm_gmtoff,
    }
