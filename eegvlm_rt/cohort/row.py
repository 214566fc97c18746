"""A night as one row of numbers and words, and what each column means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..hypnogram.definitions import DEFINITIONS
from ..hypnogram.intervals import FIELDS
from ..hypnogram.night_rows import flag_names
from ..signal.quality import QualityFlag
from ..stages import STAGES, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..night.night import Night
    from .receipt import Receipt

__all__ = ["COLUMNS", "row_of_night", "row_of_receipt"]

_FIGURES: Final = (
    "recording_min",
    "scored_min",
    "unscored_min",
    "sleep_min",
    "sleep_period_min",
    "efficiency_pct",
    "efficiency_scored_pct",
    "maintenance_pct",
    "onset_latency_min",
    "onset_latency_3_epochs_min",
    "onset_latency_5min_min",
    "persistent_sleep_latency_min",
    "rem_latency_min",
    "rem_latency_3_epochs_min",
    "rem_latency_period_min",
    "rem_latency_from_lights_off_min",
    "waso_min",
    "waso_in_sleep_period_min",
    "final_wake_min",
    "awakenings",
    "stage_shifts",
    "wake_transitions_per_h",
    "fragmentation_per_h",
)
_SLEEP: Final = (Stage.N1, Stage.N2, Stage.N3, Stage.R)
_LARGEST: Final = 1e15
_INTERVALS: Final = (*FIELDS, *(f"{stage.name}_min" for stage in STAGES))


def _columns() -> dict[str, tuple[type, str]]:
    """Column -> (kind, meaning) in the order of the table."""
    columns: dict[str, tuple[type, str]] = {
        "night": (str, "name of the night in the results"),
        "status": (str, "scored, failed, or skipped: a file in a folder that holds no signals"),
        "error": (str, "why a night failed or was passed over"),
        "path": (str, "the recording"),
        "channel": (str, "channel that was scored"),
        "sfreq": (float, "its sampling rate in Hz"),
        "start": (str, "clock time of the first epoch, ISO 8601, without a time zone"),
        "epochs": (int, "epochs of 30 s"),
        "model": (str, "name of the model"),
        "bundle": (str, "SHA-256 of its manifest"),
        "mode": (str, "head, direct or cot"),
        "lights_off_epoch": (int, "first epoch that counts, from 0"),
        "lights_on_epoch": (int, "first epoch after those that count"),
        "lights_off_known": (str, "given, taken (from the recording) or unknown"),
        "lights_on_known": (str, "as lights_off_known"),
        "latencies_certain": (bool, "no unscored epoch before sleep onset and the first R"),
    }
    columns |= {
        name: (int if name in ("awakenings", "stage_shifts") else float, DEFINITIONS[name])
        for name in _FIGURES
    }
    for stage in STAGES:
        columns[f"{stage.name}_min"] = (float, f"minutes of {stage.name} between lights off and on")
    for stage in _SLEEP:
        columns[f"{stage.name}_pct"] = (float, f"share of {stage.name} in the total sleep time")
        columns[f"{stage.name}_latency_min"] = (
            float,
            f"first epoch of any sleep to the first of {stage.name}",
        )
    columns["cycles"] = (int, DEFINITIONS["cycles"])
    for name in _INTERVALS:
        columns[f"{name}_estimate"] = (
            float,
            f"middle of {name} over hypnograms drawn from the probabilities",
        )
        for end in ("low", "high"):
            meaning = f"{end} end of the middle 90 % of {name} over hypnograms drawn from the probabilities"
            columns[f"{name}_{end}"] = (float, meaning)
    columns |= {
        "certainty_mean": (float, "mean probability of the stage that was given, over scored epochs"),
        "doubtful_pct": (float, "scored epochs whose stage has a probability below 0.5, in percent"),
        "unscorable_pct": (float, "epochs whose signal cannot be scored, in percent"),
        "missing_pct": (float, "missing samples, in percent"),
        "amplitude_uv": (float, "median over the epochs of their peak-to-peak amplitude, in µV"),
        "claims": (int, "claims of the reasons that were held against the signal (mode cot)"),
        "claims_supported_pct": (float, "of these, those that the signal supports, in percent"),
        "remarks": (str, "what was left out of the recording or taken for granted"),
    }
    columns |= {
        f"flag_{flag.replace(' ', '_')}_epochs": (int, f"epochs with the quality flag {flag}")
        for flag in map(str, QualityFlag)
    }
    columns["elapsed_s"] = (float, "time that the night took, in s")
    return columns


COLUMNS: Final[Mapping[str, tuple[type, str]]] = _columns()
"""Column of the table -> (kind, meaning). A figure that a night does not have is empty, never 0."""


def row_of_night(night: Night) -> dict[str, Any]:
    """The columns that depend on the night itself; `row_of_receipt` adds the others."""
    statistics, info = night.statistics(), night.info
    row: dict[str, Any] = {
        "channel": info.channel,
        "sfreq": info.sfreq,
        "start": None if info.start is None else info.start.isoformat(),
        "epochs": len(night),
        "model": info.model_id,
        "mode": info.mode,
        "lights_off_epoch": statistics.lights_off,
        "lights_on_epoch": statistics.lights_on,
        "lights_off_known": str(statistics.lights_off_known),
        "lights_on_known": str(statistics.lights_on_known),
        "latencies_certain": statistics.latencies_certain,
        "cycles": len(statistics.cycles),
        **{name: _rounded(getattr(statistics, name)) for name in _FIGURES},
    }
    for stage in STAGES:
        row[f"{stage.name}_min"] = statistics.stage_min[stage]
    for stage in _SLEEP:
        row[f"{stage.name}_pct"] = (
            None if statistics.stage_pct is None else _rounded(statistics.stage_pct[stage])
        )
        row[f"{stage.name}_latency_min"] = statistics.stage_latency_min[stage]
    for name, interval in night.intervals().items():
        row[f"{name}_estimate"] = _rounded(interval.estimate)
        row[f"{name}_low"], row[f"{name}_high"] = _rounded(interval.low), _rounded(interval.high)
    return row | _quality(night)


def row_of_receipt(receipt: Receipt) -> dict[str, Any]:
    """A row with every column of `COLUMNS` in their order; None where there is nothing to say."""
    own = {
        **receipt.row,
        "night": receipt.night,
        "status": str(receipt.status),
        "error": receipt.error or None,
        "path": receipt.path,
        "bundle": receipt.bundle or None,
        "remarks": "; ".join(receipt.remarks) or None,
        "elapsed_s": receipt.elapsed_s,
    }
    return {name: _cell(own.get(name), kind) for name, (kind, _) in COLUMNS.items()}


def _quality(night: Night) -> dict[str, Any]:
    rows = night.table()
    scored = rows["stage"] >= 0
    # The probability of the stage that counts, which smoothing may make another than the largest.
    sure = rows["proba"][scored, rows["stage"][scored]]
    sure = sure[np.isfinite(sure)]
    amplitude = rows["amplitude_uv"][np.isfinite(rows["amplitude_uv"])]
    missing = rows["missing_share"][np.isfinite(rows["missing_share"])]
    checks = [check for p in night.predictions for check in p.checks]
    flags = {str(flag): 0 for flag in QualityFlag}
    for bits in rows["flags"]:
        for name in flag_names(int(bits)):
            flags[name] += 1
    return {
        "certainty_mean": _rounded(float(sure.mean())) if sure.size else None,
        "doubtful_pct": _rounded(100.0 * float((sure < 0.5).mean())) if sure.size else None,
        "unscorable_pct": _rounded(100.0 * float((~rows["scorable"]).mean())),
        "missing_pct": _rounded(100.0 * float(missing.mean())) if missing.size else None,
        "amplitude_uv": _rounded(float(np.median(amplitude))) if amplitude.size else None,
        "claims": len(checks),
        "claims_supported_pct": _rounded(
            100.0 * sum(check.verdict == "supported" for check in checks) / len(checks)
        )
        if checks
        else None,
        **{f"flag_{name.replace(' ', '_')}_epochs": count for name, count in flags.items()},
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _cell(value: object, kind: type) -> object:
    """A value where it is of its column's kind; a receipt of another hand may hold anything."""
    if kind is bool or isinstance(value, bool):
        return value if kind is bool and isinstance(value, bool) else None
    if kind in (int, float) and not (isinstance(value, int | float) and abs(value) < _LARGEST):
        return None
    if kind is float:
        return float(value)  # type: ignore[arg-type]
    return value if isinstance(value, kind) else None
