"""What is left of a streamed night: files, and the last words."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.text import Text

from .. import __version__
from ..errors import EegVlmError, OutputError, RecordingError
from ..files.outputs import check_outputs, free_name, write_file
from ..files.seal import SEAL, file_digests
from ..night.files import night_paths, night_writers
from .console import NOTICE, note, out, plain, report_error
from .night_lines import duration, hypnogram_lines, statistics_lines
from .stream_output import JsonLines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ..journal.writer import Journal
    from ..streaming.status import StreamStatus
    from .stream_output import NightFacts, Outlet

__all__ = ["Ending"]

_RECORD = "night.json"


class Ending:
    """A night that is over. `ended` is why: "source" where it came to its end, a signal's name, or an error.
    `warnings` are what must not be overlooked, `position_s` how far the signal came.

    Attributes:
        files: what was written.
        failed: why other files could not be.
    """

    def __init__(
        self,
        news: NightFacts,
        night: StreamStatus,
        journal: Journal | None,
        ended: str,
        warnings: Sequence[str] = (),
        *,
        position_s: float,
    ) -> None:
        self.news, self.night, self.ended = news, night, ended
        self._position_s = position_s
        self.warnings = tuple(warnings)
        self._journal = journal
        lights_off_s = 0.0 if news.facts.get("lights_off") is not None else None
        news.rows.info = replace(news.rows.info, start=news.start(), lights_off_s=lights_off_s)
        self._hypnogram = news.rows.hypnogram
        self.files: list[Path] = []
        self.failed: list[str] = []

    def leave_files(self, folder: Path, formats: Sequence[str], *, overwrite: bool = False) -> None:
        """Write hypnogram.edf, hypnogram.csv, the further forms, the picture and night.json; what cannot be
        written keeps nothing else from being. Where a file is in the way that is not ours, they all go into a
        new folder beside it.
        """
        if not len(self._hypnogram):
            return
        try:
            check_outputs(night_paths(folder, formats, record=_RECORD), overwrite=overwrite)
        except (OutputError, RecordingError) as error:
            self.warnings = (*self.warnings, str(error))
            folder = free_name(folder / "night")
            with suppress(OSError):
                folder.mkdir()
        writers = night_writers(
            self.news.rows, folder, formats=formats, title=self.news.title, overwrite=overwrite
        )
        target = folder / _RECORD
        writers.append(lambda: write_file(target, self._night_json(), overwrite=overwrite))
        for write in writers:
            try:
                self.files.append(write())
            except EegVlmError as error:
                self.failed.append(str(error))

    def summary(self) -> dict[str, Any]:
        """JSON-able: why and how the night ended, its counts, statistics and latencies."""
        journal = self._journal
        return {
            "ended": self.ended,
            "night": self.night.to_dict(),
            "statistics": self.news.rows.statistics().to_dict() if len(self._hypnogram) else None,
            "latency": self.news.rows.latencies(),
            "journal": None
            if journal is None
            else {
                "file": str(journal.path),
                "records": journal.records,
                "lost": self.night.journal_losses,
                "error": journal.error or journal.loss or None,
                "head": journal.head,
            },
            "files": [str(file) for file in self.files],
            "not_written": self.failed,
            "warnings": list(self.warnings),
            "notice": NOTICE,
        }

    def tell(self, outlet: Outlet, status: int, *, as_json: bool) -> None:
        """The last words, on stdout where it is still read; what was lost also on stderr."""
        if as_json and isinstance(outlet, JsonLines):
            outlet.line({"type": "summary", "status": status, **self.summary()})
        elif not outlet.broken:
            self._print()
        for problem in self._problems():
            report_error(problem)

    def _problems(self) -> Iterator[str]:
        if self.ended not in ("source", "nobody reads") and not self.ended.startswith("SIG"):
            yield self.ended
        if self.night.journal_losses:
            why = f": {self._journal.loss}" if self._journal is not None and self._journal.loss else ""
            yield f"journal: {self.night.journal_losses} records could not be written{why}"
        yield from self.failed

    def _print(self) -> None:
        console = out()
        console.print()
        if len(self._hypnogram):
            for line in (
                *hypnogram_lines(self._hypnogram, console.width),
                Text(""),
                *statistics_lines(self.news.rows.statistics(), console.width),
            ):
                console.print(line)
        for name, text in self._facts():
            console.print(Text.assemble((f"{name:<11}", "bold"), plain(text)), soft_wrap=True)
        note(console)

    def _facts(self) -> Iterator[tuple[str, str]]:
        night = self.night
        counted = ", ".join(f"{outcome} {count}" for outcome, count in night.epochs.items() if count)
        yield "Epochs", f"{night.total}: {counted or 'none'}"
        if night.unrecorded:
            yield "", f"{night.unrecorded} before the night went on have lost their record"
        if self.news.rows.beyond:
            yield "", f"{self.news.rows.beyond} after the first week are in no hypnogram"
        latencies = self.news.rows.latencies()
        if latencies["stage_ms_median"] is not None:
            text = f"stage {latencies['stage_ms_median']:.0f} ms (median), "
            text += f"{latencies['stage_ms_p99']:.0f} ms (p99)"
            if latencies["rationale_ms_median"] is not None:
                text += f"; reasons {latencies['rationale_ms_median']:.0f} "
                text += f"and {latencies['rationale_ms_p99']:.0f} ms"
            yield "Latency", text
        clocks = [f"answers at worst {night.worst_lag_s:.1f} s behind"]
        if night.drift_ppm is not None:
            clocks.append(f"device's clock {night.drift_ppm:+.0f} ppm")
        if night.clock_jumps:
            clocks.append(f"read anew {night.clock_jumps} times")
        if night.dropped_samples:
            clocks.append(f"{night.dropped_samples:,} samples dropped")
        yield "Clock", ", ".join(clocks)
        for warning in self.warnings:
            yield "Warning", warning
        if self._journal is not None:
            lost = f", {night.journal_losses} lost" if night.journal_losses else ""
            yield "Journal", f"{self._journal.path}: {self._journal.records:,} records{lost}"
        for i, file in enumerate(self.files):
            yield "" if i else "Files", str(file)
        if self.ended.startswith("SIG"):
            yield "Ended", f"by {self.ended}, in order, after {duration(self._position_s)}"

    def _night_json(self) -> bytes:
        fields = {
            "format": "eegvlm-rt night",
            "version": 1,
            "software": f"eegvlm-rt {__version__}",
            "configuration": self.news.facts,
            **self.summary(),
        }
        for name in ("files", "not_written"):
            fields.pop(name)
        fields["written"] = {"by": SEAL, "files": file_digests(self.files)}
        return (json.dumps(fields, allow_nan=False, ensure_ascii=False, indent=1) + "\n").encode(
            "utf-8", errors="replace"
        )
