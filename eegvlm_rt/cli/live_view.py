"""The live view of a night as lines of text: a function of what is known, the size of the terminal, the time.

Nothing is wider or higher than the terminal. Where it is small, what matters least is left out.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rich.text import Text

from ..hypnogram.model import Hypnogram
from ..hypnogram.night_rows import night_probabilities, night_stage
from ..hypnogram.palette import TERMINAL_COLORS
from ..prediction import Outcome
from ..signal.units import EPOCH_S
from ..stages import STAGES
from .console import NOTICE, plain
from .epoch_lines import because, clock, has_signal, night_remark, percent, verdict
from .night_lines import hypnogram_lines
from .stream_output import event_text, once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..prediction import StagePrediction
    from ..streaming.status import StreamEvent, StreamStatus
    from .stream_output import NightFacts

__all__ = ["LiveFacts", "lines"]

HOUR = 120
"""Epochs of the hypnogram that is shown."""

QUIET_AFTER_S = 3.0
_BAR = "█"
_ALARM = "bold white on dark_red"


@dataclass(slots=True)
class LiveFacts:
    """What the view is drawn from. `lock` guards what other threads add to."""

    news: NightFacts
    night: Callable[[], StreamStatus]
    position_s: Callable[[], float]
    lag_warning_s: float = 30.0
    last: StagePrediction | None = None
    provisional: StagePrediction | None = None
    writing: tuple[int, str] | None = None
    events: deque[StreamEvent] = field(default_factory=lambda: deque(maxlen=50))
    alarms: dict[str, str] = field(default_factory=dict)
    ending: bool = False
    moved: tuple[float, float] = (-1.0, 0.0)
    lock: threading.Lock = field(default_factory=threading.Lock)


def lines(facts: LiveFacts, width: int, height: int, now: float) -> list[Text]:
    """At most `height` lines of at most `width` columns. `now` is `time.time()`."""
    with facts.lock:
        writing, events = facts.writing, list(facts.events)
        alarms = dict(facts.alarms)
    night, position_s = facts.night(), facts.position_s()
    if position_s != facts.moved[0]:
        facts.moved = (position_s, now)
    quiet_s = now - facts.moved[1]
    if quiet_s > QUIET_AFTER_S and "source" not in alarms and position_s:
        alarms["quiet"] = f"no sample for {quiet_s:.0f} s"
    if night.lag_s > facts.lag_warning_s:
        alarms["lag"] = f"answers stand {night.lag_s:.0f} s behind"
    if facts.ending:
        alarms = {"ending": "ending the night; once more to stop at once", **alarms}

    last = facts.last
    blocks: list[tuple[int, list[Text]]] = [
        (1, [_title(facts, width, now)]),
        (0, [_stage(last, facts, width)]),
        (
            2,
            [_filled(" " + once(name, text), width, _ALARM) for name, text in alarms.items()],
        ),
        (3, [_progress(facts, position_s, width)]),
        (5, _bars(last, width)),
        (4, _packed(_measures(last, night), width)),
        (4, _packed(_counts(night), width)),
    ]
    room = height - _length(blocks, height)
    reason = _reason(last, writing, width)
    hour = _hour(facts, width)
    tail = [event_text(event) for event in events]
    if room >= 2:
        hour = hour if room >= len(hour) + min(3, len(reason)) else []
        reason = reason[: max(0, room - len(hour))]
        rest = room - len(hour) - len(reason)
        tail = [_cut(line, width) for line in (tail[-rest + 1 :] if rest > 1 else [])]
        blocks += [(6, reason), (7, hour), (8, tail)]
        if rest - len(tail) >= 1:
            blocks.append((9, [_cut(Text(NOTICE, style="dim"), width)]))
    return [_cut(line, width) for line in _selection(blocks, height)]


def _length(blocks: Sequence[tuple[int, list[Text]]], height: int) -> int:
    return len(_selection(blocks, height))


def _selection(blocks: Sequence[tuple[int, list[Text]]], height: int) -> list[Text]:
    """Blocks in their order, the less important ones only as far as there is room."""
    room, names = height, set()
    for place, (_, block) in sorted(enumerate(blocks), key=lambda item: item[1][0]):
        if len(block) <= room:
            room -= len(block)
            names.add(place)
    return [line for place, (_, block) in enumerate(blocks) if place in names for line in block]


def _title(facts: LiveFacts, width: int, now: float) -> Text:
    at = f"{datetime.fromtimestamp(now):%H:%M:%S}"
    title = _fit(plain(facts.news.title), width - len(at) - 2)
    return Text(title + " " * (width - len(title) - len(at)) + at, style="bold", no_wrap=True)


def _stage(last: StagePrediction | None, facts: LiveFacts, width: int) -> Text:
    if last is None:
        return _cut(Text("-- waiting for the first epoch", style="dim"), width)
    stage = night_stage(last)
    style = TERMINAL_COLORS[stage]
    at = clock(facts.news.start(), last.start_s)
    if stage is None:
        shown = Text.assemble((" ?? ", f"bold reverse {style}"), (f" {last.outcome}", "bold yellow"))
    else:
        share = percent(night_probabilities(last)[stage])
        shown = Text.assemble(
            (f" {stage.name:<2} ", f"bold reverse {style}"), (f" {share} %", f"bold {style}")
        )
    shown.append(f"  epoch {last.index + 1}, {at}", style="dim")
    if last.head is not None and not last.agrees and has_signal(last):
        shown.append(f"  head says {last.head.stage.name}", style="yellow")
    return _cut(shown, width)


def _progress(facts: LiveFacts, position_s: float, width: int) -> Text:
    index, within = divmod(position_s, EPOCH_S)
    text = f"epoch {int(index) + 1}: {within:2.0f} of 30 s"
    line = Text(text, style="dim")
    opinion = facts.provisional
    if opinion is not None and opinion.stage is not None and has_signal(opinion):
        style = TERMINAL_COLORS[opinion.stage]
        line.append("  now ", style="dim")
        line.append(f"{opinion.stage.name} {percent(opinion.probabilities[opinion.stage])} %", style=style)
    room = min(30, width - line.cell_len - 2)
    if room >= 6:
        done = round(room * within / EPOCH_S)
        line.append("  " + "━" * done, style="bold")
        line.append("╌" * (room - done), style="dim")
    return _cut(line, width)


def _bars(last: StagePrediction | None, width: int) -> list[Text]:
    if last is None or not has_signal(last):
        return []
    probabilities, answer = night_probabilities(last), night_stage(last)
    room = min(50, width - 8)
    rows = []
    for stage in STAGES:
        style = (
            TERMINAL_COLORS[stage] if stage is answer or answer is None else f"dim {TERMINAL_COLORS[stage]}"
        )
        bar = _BAR * round(room * probabilities[stage])
        rows.append(
            _cut(
                Text.assemble((f"{stage.name:>2} {percent(probabilities[stage]):>3} ", style), (bar, style)),
                width,
            )
        )
    return rows


def _measures(last: StagePrediction | None, night: StreamStatus) -> Iterable[tuple[str, str]]:
    yield f"lag {night.lag_s:.1f} s", "dim"
    if night.worst_lag_s >= 1:
        yield f"worst {night.worst_lag_s:.1f} s", "dim"
    if night.drift_ppm is not None:
        yield f"drift {night.drift_ppm:+.0f} ppm", "dim"
    if last is not None:
        flags = ", ".join(sorted(last.quality.flags)) or "good"
        yield f"signal {flags}", "dim" if flags == "good" else "yellow"
        if last.quality.amplitude_uv == last.quality.amplitude_uv:
            yield f"{last.quality.amplitude_uv:.0f} µV", "dim"


def _counts(night: StreamStatus) -> Iterable[tuple[str, str]]:
    for outcome, count in night.epochs.items():
        if count or outcome is Outcome.SCORED:
            yield f"{outcome} {count}", "" if outcome is Outcome.SCORED else "yellow"
    if night.journal_losses:
        yield f"{night.journal_losses} records lost", "bold red"


def _reason(last: StagePrediction | None, writing: tuple[int, str] | None, width: int) -> list[Text]:
    """The reasoning that is being written, else that of the last epoch and what the signal says to it."""
    if writing is not None and (last is None or writing[0] > last.index):
        return [Text(""), *_wrapped(Text(plain(" ".join(writing[1].split())) + "▌"), width)]
    if last is None:
        return []
    text = last.rationale_text.strip()
    shown = [Text(plain(" ".join((text or because(last)).split())), style="" if text else "dim")]
    if text and last.rationale is None:
        shown.append(Text(f"Not whole ({last.finish}): its claims were not checked.", style="yellow"))
    shown += [*verdict(last), *night_remark(last)]
    return [Text(""), *(part for line in shown for part in _wrapped(line, width))]


def _hour(facts: LiveFacts, width: int) -> list[Text]:
    first, stages = facts.news.rows.latest(HOUR)
    if not stages or width < 20:
        return []
    start = facts.news.start()
    clock = None if start is None else start + timedelta(seconds=EPOCH_S * first)
    return [Text(""), *(_cut(line, width) for line in hypnogram_lines(Hypnogram.of(stages, clock), width))]


def _packed(items: Iterable[tuple[str, str]], width: int) -> list[Text]:
    """Items side by side, in as many lines as it takes."""
    rows = [Text(no_wrap=True)]
    for text, style in items:
        shown = _fit(text, width)
        if rows[-1].cell_len and rows[-1].cell_len + 3 + len(shown) > width:
            rows.append(Text(no_wrap=True))
        if rows[-1].cell_len:
            rows[-1].append(" · ", style="dim")
        rows[-1].append(shown, style=style)
    return rows


def _wrapped(line: Text, width: int) -> list[Text]:
    rows = [""]
    for word in line.plain.split(" "):
        while len(word) > width:
            rows, word = [*rows, word[:width]], word[width:]
        if rows[-1] and len(rows[-1]) + 1 + len(word) > width:
            rows.append(word)
        else:
            rows[-1] = f"{rows[-1]} {word}" if rows[-1] else word
    return [Text(row, style=line.style, no_wrap=True) for row in rows if row]


def _filled(text: str, width: int, style: str) -> Text:
    return Text(_fit(plain(text), width).ljust(width), style=style, no_wrap=True)


def _cut(line: Text, width: int) -> Text:
    line = line.copy()
    line.truncate(width, overflow="ellipsis")
    line.no_wrap = True
    return line


def _fit(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"[: max(0, width)]
