"""Where a streamed night is told as it comes: lines for people, JSON lines for machines."""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from rich.text import Text

from ..streaming.status import StreamEventKind
from .console import note, out, plain, report_error
from .epoch_lines import header, row

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..night.night import Night
    from ..prediction import StagePrediction
    from ..streaming.status import StreamEvent

__all__ = ["JsonLines", "Lines", "NightFacts", "Outlet", "event_text", "event_words", "is_warning", "once"]

CALM = (StreamEventKind.SOURCE, StreamEventKind.CAUGHT_UP, StreamEventKind.STAMPS)
WARNINGS = (StreamEventKind.UNIT, StreamEventKind.RATE, StreamEventKind.SIGNAL)


@dataclass(frozen=True, slots=True)
class NightFacts:
    """What a night is told with.

    Attributes:
        title: source, channel, rate, model and mode in a line.
        facts: the same as the journal has them.
        start: clock time of epoch 0, None as long as it is not known.
        rows: the epochs so far.
    """

    title: str
    facts: dict[str, Any]
    start: Callable[[], datetime | None]
    rows: Night


class Outlet(Protocol):
    """Takes what happens, in order. `broken` says that nobody reads it any more: it is then silent."""

    broken: bool

    def begin(self, news: NightFacts) -> None:
        """The night begins."""

    def prediction(self, prediction: StagePrediction) -> None:
        """A prediction, provisional or final."""

    def text(self, index: int, text: str) -> None:
        """A piece of reasoning; may come from another thread."""

    def event(self, event: StreamEvent) -> None:
        """Something beside the predictions; may come before `begin`."""

    def ending(self) -> None:
        """The night is being ended."""

    def close(self) -> None:
        """The night is over; what follows is printed by others."""


class _Writer:
    """Writes until nobody reads; the night goes on without."""

    def __init__(self) -> None:
        self.broken = False
        self._lock = threading.RLock()

    def _write(self, write: Callable[[], object]) -> None:
        with self._lock:
            if self.broken:
                return
            try:
                write()
                sys.stdout.flush()
            except (OSError, ValueError) as error:
                self.broken = True
                silence_stdout()
                why = getattr(error, "strerror", None) or error
                report_error(f"stdout: {why}; nothing more is printed")


class JsonLines(_Writer):
    """One JSON object a line: begin, epoch, text, event; the summary is the caller's."""

    def begin(self, news: NightFacts) -> None:
        """See `Outlet`."""
        self.line({"type": "begin", **news.facts})

    def prediction(self, prediction: StagePrediction) -> None:
        """See `Outlet`."""
        self.line({"type": "epoch", **prediction.to_dict()})

    def text(self, index: int, text: str) -> None:
        """See `Outlet`."""
        self.line({"type": "text", "index": index, "text": text})

    def event(self, event: StreamEvent) -> None:
        """See `Outlet`."""
        fields = {
            "kind": str(event.kind),
            "wall_s": event.wall_s,
            "index": event.index,
            "detail": event.detail,
        }
        self.line({"type": "event", **fields})

    def ending(self) -> None:
        """See `Outlet`."""

    def close(self) -> None:
        """See `Outlet`."""

    def line(self, fields: dict[str, Any]) -> None:
        """Write one object."""
        text = json.dumps(fields, allow_nan=False, ensure_ascii=False)
        self._write(lambda: sys.stdout.write(text + "\n"))


class Lines(_Writer):
    """A row for each final prediction, a line for each event."""

    def __init__(self) -> None:
        super().__init__()
        self._console = out()
        self._news: NightFacts | None = None

    def begin(self, news: NightFacts) -> None:
        """See `Outlet`."""
        self._news = news
        self._print(Text(news.title, style="bold"))
        self._write(lambda: note(self._console))
        self._print(header(self._console.width))

    def prediction(self, prediction: StagePrediction) -> None:
        """See `Outlet`."""
        if self._news is not None and not prediction.provisional:
            self._print(row(prediction, self._news.start(), self._console.width))

    def text(self, index: int, text: str) -> None:
        """Reasons are not printed: their conclusion is in the row, all of them in the journal."""

    def event(self, event: StreamEvent) -> None:
        """See `Outlet`."""
        self._print(event_text(event), soft_wrap=True)

    def ending(self) -> None:
        """See `Outlet`."""

    def close(self) -> None:
        """See `Outlet`."""

    def _print(self, line: Text, *, soft_wrap: bool = False) -> None:
        self._write(lambda: self._console.print(line, soft_wrap=soft_wrap))


def event_words(event: StreamEvent) -> str:
    """An event in words: its kind, and what happened."""
    return once(str(event.kind), event.detail)


def once(name: str, text: str) -> str:
    """ "NAME: TEXT", also where the text begins with its name already, as errors do."""
    return f"{name}: {plain(text.removeprefix(f'{name}: '))}"


def is_warning(event: StreamEvent) -> bool:
    """Whether the end of the night has to name it once more; that a trouble is over is none."""
    return event.kind in WARNINGS and not event.detail.endswith(("again", "over"))


def event_text(event: StreamEvent) -> Text:
    """An event in a line, by the host's local time."""
    at = datetime.fromtimestamp(event.wall_s)
    style = "dim" if event.kind in CALM else "bold yellow"
    return Text.assemble(f"{at:%H:%M:%S}  ", (event_words(event), style))


def silence_stdout() -> None:
    """Let stdout lead nowhere, so that what is still in its buffer raises nothing at exit."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return
