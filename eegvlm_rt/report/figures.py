"""The statistics of a report as rows of text: figure, interval, definition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..hypnogram.definitions import DEFINITIONS
from ..stages import STAGES, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..hypnogram.intervals import Interval
    from ..hypnogram.statistics import SleepStatistics

__all__ = ["Row", "cycle_rows", "figure_groups", "stage_rows", "transition_rows"]

GROUPS = (
    (
        "Time",
        (
            ("recording_min", "Recording time (TRT)", "min"),
            ("unscored_min", "Unscored", "min"),
            ("sleep_min", "Sleep time (TST)", "min"),
            ("sleep_period_min", "Sleep period (SPT)", "min"),
            ("efficiency_pct", "Sleep efficiency", "%"),
            ("maintenance_pct", "Sleep maintenance", "%"),
        ),
    ),
    (
        "Falling asleep and REM",
        (
            ("onset_latency_3_epochs_min", "Sleep onset latency, 3 epochs", "min"),
            ("onset_latency_min", "... to the first epoch", "min"),
            ("persistent_sleep_latency_min", "Persistent sleep", "min"),
            ("rem_latency_period_min", "REM latency, a period of R", "min"),
            ("rem_latency_3_epochs_min", "... to three epochs", "min"),
            ("rem_latency_min", "... to the first epoch", "min"),
        ),
    ),
    (
        "Wake and fragmentation",
        (
            ("waso_min", "Wake after sleep onset", "min"),
            ("waso_in_sleep_period_min", "... within SPT", "min"),
            ("final_wake_min", "Wake after the last sleep", "min"),
            ("awakenings", "Awakenings", ""),
            ("stage_shifts", "Stage shifts", ""),
            ("wake_transitions_per_h", "Changes to W", "per h"),
            ("fragmentation_per_h", "Changes to W or N1", "per h"),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: its name, value with unit, estimate and interval (empty where there are none) and
    definition.
    """

    name: str
    value: str
    interval: str
    definition: str


def figure_groups(
    statistics: SleepStatistics, intervals: Mapping[str, Interval]
) -> list[tuple[str, list[Row]]]:
    """The figures in groups; what is not there is a dash, never 0."""
    return [
        (
            title,
            [
                Row(
                    label,
                    _with_unit(getattr(statistics, name), unit),
                    _interval(intervals.get(name)),
                    DEFINITIONS[name],
                )
                for name, label, unit in rows
            ],
        )
        for title, rows in GROUPS
    ]


def stage_rows(statistics: SleepStatistics, intervals: Mapping[str, Interval]) -> list[dict[str, object]]:
    """Minutes, interval, share of TST, latency and minutes by third of each stage."""
    rows = []
    for stage in STAGES:
        share = None if statistics.stage_pct is None or stage is Stage.W else statistics.stage_pct[stage]
        thirds = [_number(third[stage]) for third in statistics.third_min] or ["-"] * 3
        rows.append(
            {
                "stage": stage,
                "minutes": f"{statistics.stage_min[stage]:g}",
                "interval": _interval(intervals.get(f"{stage.name}_min")),
                "share": "-" if share is None else f"{share:.1f}",
                "latency": _number(statistics.stage_latency_min.get(stage)),
                "thirds": thirds,
            }
        )
    return rows


def transition_rows(statistics: SleepStatistics) -> list[dict[str, object]]:
    """Counts and shares of the transitions, by row the stage before."""
    shares = statistics.transition_shares
    return [
        {
            "stage": stage,
            "cells": [
                {
                    "count": statistics.transitions[stage][after],
                    "percent": _share(shares[stage, after]),
                    "same": after is stage,
                }
                for after in STAGES
            ],
        }
        for stage in STAGES
    ]


def cycle_rows(statistics: SleepStatistics, clock: Callable[[int], str]) -> list[dict[str, object]]:
    """The cycles of the night: number, start, end, minutes."""
    return [
        {
            "number": number,
            "start": _hour(clock(cycle.start)),
            "end": _hour(clock(cycle.end)),
            "minutes": f"{cycle.duration_min:g}",
            "nrem": f"{cycle.nrem_min:g}",
            "rem": f"{cycle.rem_min:g}" if cycle.complete else "none yet",
        }
        for number, cycle in enumerate(statistics.cycles, start=1)
    ]


def _hour(clock: str) -> str:
    """A time without its seconds."""
    return clock.rpartition(":")[0]


def _with_unit(value: float | None, unit: str) -> str:
    return f"{_number(value)} {unit}".strip() if value is not None else "-"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}".removesuffix(".0")


def _share(value: float) -> str:
    return f"{100 * value:.0f}" if value == value else ""


def _interval(interval: Interval | None) -> str:
    if interval is None:
        return ""
    low, high = interval.low, interval.high
    if low is None:
        return f"none in {100 * interval.absent_share:.0f} %"
    middle, upper = ("none" if end is None else _number(end) for end in (interval.estimate, high))
    return middle if upper == _number(low) else f"{middle}, {_number(low)} to {upper}"
