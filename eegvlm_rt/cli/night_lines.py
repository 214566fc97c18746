"""What a whole night looks like in a terminal: hypnogram, times, agreement."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.text import Text

from ..hypnogram.palette import TERMINAL_COLORS
from ..hypnogram.time_axis import time_ticks
from ..night.files import night_summary
from ..signal.units import EPOCH_S
from ..stages import STAGES, Stage

if TYPE_CHECKING:
    from ..hypnogram.agreement import Agreement
    from ..hypnogram.model import Hypnogram
    from ..hypnogram.statistics import SleepStatistics
    from ..night.night import Night

__all__ = ["agreement_lines", "duration", "hypnogram_lines", "statistics_lines", "summary_lines"]

_ROWS = (Stage.W, Stage.R, Stage.N1, Stage.N2, Stage.N3)
_LEFT, _NAMES = 4, 11
_WIDEST_EPOCH = 6


def duration(seconds: float) -> str:
    """A length of time: "7 h 30 min", "5 min", "30 s", "0 min"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (rest if not hours else 0, "s")]
    return " ".join(f"{value} {unit}" for value, unit in parts if value) or "0 min"


def hypnogram_lines(hypnogram: Hypnogram, width: int) -> list[Text]:
    """Stages over time, a row per stage; in long nights a column is the commonest stage of several
    epochs.
    """
    columns = _columns(hypnogram, width - _LEFT)
    lines = []
    for stage in _ROWS:
        marks = "".join("█" if column is stage else " " for column in columns).rstrip()
        lines.append(
            Text.assemble((f"{stage.name:>3} ", "bold"), (marks, TERMINAL_COLORS[stage]), no_wrap=True)
        )
    lines.append(Text(" " * _LEFT + _time_axis(hypnogram, len(columns)), style="dim", no_wrap=True))
    return lines


def summary_lines(night: Night) -> list[Text]:
    """Time in each stage, second opinion, claims and speed."""
    lines = _stage_table(night)
    summary = night_summary(night)
    if night.info.mode != "head" and summary["head_epochs"]:
        agreeing = _of(summary["head_agrees"], summary["head_epochs"], "epochs")
        lines.append(_line("Opinions", f"the stage head agrees in {agreeing}"))
    if summary["claims"]:
        claims = _of(summary["claims_supported"], summary["claims"], "claims")
        lines.append(_line("Claims", f"{claims} hold against the signal"))
    if summary["epochs"] and night.elapsed_s > 0 and summary["total_ms_median"] is not None:
        speed = EPOCH_S * summary["epochs"] / night.elapsed_s
        text = f"{duration(EPOCH_S * summary['epochs'])} of EEG in {night.elapsed_s:.1f} s, "
        text += f"{speed:,.0f} x real time"
        lines.append(_line("Speed", f"{text}; {summary['total_ms_median']:.0f} ms per epoch (median)"))
    return lines


def statistics_lines(statistics: SleepStatistics, width: int) -> list[Text]:
    """The numbers of the night, what they count from, and what unscored epochs mean for them."""
    parts = [
        f"total sleep {statistics.sleep_min:g} of {statistics.recording_min:g} min",
        f"efficiency {statistics.efficiency_pct:.1f} %",
        f"onset latency {_minutes(statistics.onset_latency_3_epochs_min)} to 3 epochs",
        f"{_minutes(statistics.onset_latency_min)} to the first one",
        f"persistent sleep {_minutes(statistics.persistent_sleep_latency_min)}",
        f"REM latency {_minutes(statistics.rem_latency_period_min)} to a period of R",
        f"{_minutes(statistics.rem_latency_3_epochs_min)} to 3 epochs",
        f"{_minutes(statistics.rem_latency_min)} to the first one",
        f"wake after onset {_minutes(statistics.waso_min)}",
        f"{statistics.awakenings} awakenings",
        f"{sum(cycle.complete for cycle in statistics.cycles)} cycles",
        _lights(statistics),
    ]
    if statistics.unscored_min:
        parts.append(f"unscored {statistics.unscored_min:g} min, counted as neither wake nor sleep")
    if not statistics.latencies_certain:
        parts.append("an unscored epoch lies before: latencies may be shorter")
    lines = [""]
    for part in parts:
        joined = f"{lines[-1]}, {part}" if lines[-1] else part
        if lines[-1] and _NAMES + len(joined) + 1 > width:
            lines[-1] += ","
            lines.append(part)
        else:
            lines[-1] = joined
    return [_line("Sleep" if i == 0 else "", text) for i, text in enumerate(lines)]


def agreement_lines(agreement: Agreement, name: str) -> list[Text]:
    """Accuracy, kappa, macro F1, then the confusion table with F1 per stage."""
    kappa = "not defined" if agreement.kappa is None else f"{agreement.kappa:.3f}"
    text = f"accuracy {agreement.accuracy:.3f}   kappa {kappa}   macro F1 {agreement.macro_f1:.3f}"
    text += f"   ({agreement.n} epochs"
    lines = [_line("Agreement", f"{text}{f', {agreement.unscored} unscored' if agreement.unscored else ''})")]
    if agreement.kappa_remark:
        lines.append(_line("", agreement.kappa_remark))
    lines.append(
        Text(f"{name:>18}   " + "".join(f"{stage.name:>6}" for stage in STAGES) + "      F1", style="bold")
    )
    for stage in STAGES:
        line = Text(no_wrap=True)
        line.append(f"{stage.name:>18}   ", style=f"bold {TERMINAL_COLORS[stage]}")
        for reference_stage in STAGES:
            count = agreement.confusion[stage][reference_stage]
            look = f"bold {TERMINAL_COLORS[stage]}" if reference_stage is stage else ("" if count else "dim")
            line.append(f"{count:>6}", style=look)
        value = agreement.f1[stage]
        line.append(f"{'-' if value is None else f'{value:.3f}':>8}")
        lines.append(line)
    return lines


def _stage_table(night: Night) -> list[Text]:
    stages = night.table()["stage"]
    counts: dict[Stage | None, int] = {stage: int((stages == stage).sum()) for stage in STAGES}
    scored = sum(counts.values())
    counts[None] = len(stages) - scored
    names = Text(f"{'Stages':<{_NAMES}}", style="bold", no_wrap=True)
    times, shares = Text(" " * _NAMES, no_wrap=True), Text(" " * _NAMES, no_wrap=True)
    for stage in (*STAGES, None) if counts[None] else STAGES:
        names.append(
            f"{'unscored' if stage is None else stage.name:>10}", style=f"bold {TERMINAL_COLORS[stage]}"
        )
        minutes = EPOCH_S / 60 * counts[stage]
        times.append(f"{minutes:>6g} min")
        if stage is not None:
            shares.append(f"{100 * counts[stage] / scored if scored else 0:>8.0f} %", style="dim")
    return [names, times, shares]


def _columns(hypnogram: Hypnogram, width: int) -> list[Stage | None]:
    per_column = max(1, -(-len(hypnogram) // width))
    wide = min(_WIDEST_EPOCH, max(1, width // len(hypnogram)))
    stages = [stage for stage in hypnogram.stages for _ in range(wide)]
    return [
        Counter(stages[first : first + per_column]).most_common(1)[0][0]
        for first in range(0, len(stages), per_column)
    ]


def _time_axis(hypnogram: Hypnogram, columns: int) -> str:
    """Times under the columns, as many as fit without touching."""
    axis = [" "] * columns
    column_s = hypnogram.duration_s / max(1, columns)
    free = 0
    for place_s, label in time_ticks(hypnogram.start, hypnogram.duration_s, most=max(2, columns // 10)):
        text, column = label.replace("\n", " "), round(place_s / column_s)
        if free <= column <= columns - len(text):
            axis[column : column + len(text)] = text
            free = column + len(text) + 1
    return "".join(axis)


def _lights(statistics: SleepStatistics) -> str:
    if statistics.lights_off_known == statistics.lights_on_known:
        return f"lights off and on {statistics.lights_off_known}"
    return f"lights off {statistics.lights_off_known}, lights on {statistics.lights_on_known}"


def _minutes(value: float | None) -> str:
    return "-" if value is None else f"{value:g} min"


def _of(part: int, whole: int, what: str) -> str:
    return f"{part:,} of {whole:,} {what} ({100 * part / whole:.0f} %)"


def _line(name: str, text: str) -> Text:
    return Text.assemble((f"{name:<{_NAMES}}", "bold"), text)
