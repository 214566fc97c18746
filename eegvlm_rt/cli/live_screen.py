"""The live view on a terminal."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

from ..streaming.status import StreamEventKind
from .live_view import LiveFacts, lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import ConsoleOptions, RenderResult

    from ..prediction import StagePrediction
    from ..streaming.status import StreamEvent, StreamStatus
    from .stream_output import NightFacts

__all__ = ["Screen"]

PER_S = 4
_SOURCE_LOST = ("disconnected", "stalled")


class Screen:
    """Takes the whole terminal while the night lasts, and gives it back as it was. What libraries write to
    stderr meanwhile comes after.

    It is drawn from a thread of its own, four times a second. A terminal that is gone ends the drawing and
    nothing else.
    """

    broken = False

    def __init__(
        self, night: Callable[[], StreamStatus], position_s: Callable[[], float], lag_warning_s: float
    ) -> None:
        self._night, self._position_s, self._lag_warning_s = night, position_s, lag_warning_s
        self._facts: LiveFacts | None = None
        self._early: list[StreamEvent] = []
        self._live: Live | None = None
        self._console = Console(highlight=False, markup=False, emoji=False)

    @property
    def usable(self) -> bool:
        """Whether the terminal can be drawn on."""
        return self._console.is_terminal and not self._console.is_dumb_terminal

    def begin(self, news: NightFacts) -> None:
        """See `Outlet`."""
        self._facts = LiveFacts(news, self._night, self._position_s, self._lag_warning_s)
        for event in self._early:
            self._take(self._facts, event)
        self._live = Live(
            _Drawn(self._facts),
            console=self._console,
            screen=True,
            refresh_per_second=PER_S,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._errors = _Aside()
        self._live.start()

    def prediction(self, prediction: StagePrediction) -> None:
        """See `Outlet`."""
        if self._facts is None:
            return
        with self._facts.lock:
            if prediction.provisional:
                self._facts.provisional = prediction
                return
            self._facts.last, self._facts.provisional = prediction, None

    def text(self, index: int, text: str) -> None:
        """See `Outlet`."""
        if self._facts is None:
            return
        with self._facts.lock:
            before = self._facts.writing
            self._facts.writing = (index, (before[1] if before and before[0] == index else "") + text)

    def event(self, event: StreamEvent) -> None:
        """See `Outlet`."""
        if self._facts is None:
            self._early.append(event)
        else:
            self._take(self._facts, event)

    def ending(self) -> None:
        """Say that the night is being ended."""
        if self._facts is not None:
            self._facts.ending = True

    def close(self) -> None:
        """See `Outlet`."""
        live, self._live = self._live, None
        if live is not None:
            with suppress(OSError, ValueError):
                live.stop()
            self._errors.back()

    @staticmethod
    def _take(facts: LiveFacts, event: StreamEvent) -> None:
        with facts.lock:
            facts.events.append(event)
            if event.kind is StreamEventKind.JOURNAL:
                facts.alarms.pop("journal", None)
                if event.detail.startswith("cannot"):
                    facts.alarms["journal"] = event.detail
            if event.kind is StreamEventKind.UNIT:
                facts.alarms["unit"] = event.detail
            if event.kind is StreamEventKind.STALLED:
                facts.alarms["source"] = event.detail
            if event.kind is StreamEventKind.SOURCE:
                facts.alarms.pop("source", None)
                if event.detail.startswith(_SOURCE_LOST):
                    facts.alarms["source"] = event.detail


class _Aside:
    """The process's stderr in a file, to be written where it was meant to go when the terminal is free."""

    def __init__(self) -> None:
        self._aside: tuple[int, IO[bytes]] | None = None
        try:
            if not os.isatty(2):
                return
            file = tempfile.TemporaryFile()  # noqa: SIM115
            self._aside = (os.dup(2), file)
            os.dup2(file.fileno(), 2)
        except OSError:
            return

    def back(self) -> None:
        """Let stderr be stderr again."""
        if self._aside is None:
            return
        (descriptor, file), self._aside = self._aside, None
        with suppress(OSError), file:
            sys.stderr.flush()
            os.dup2(descriptor, 2)
            os.close(descriptor)
            file.seek(0)
            os.write(2, file.read(1 << 16))


class _Drawn:
    def __init__(self, facts: LiveFacts) -> None:
        self._facts = facts

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = console.size
        for i, line in enumerate(lines(self._facts, max(1, width), max(1, height), time.time())):
            if i:
                yield Text("\n", end="")
            yield Text.assemble(line, end="")
