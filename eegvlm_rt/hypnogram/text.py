"""Hypnograms as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..errors import RecordingError
from ..files import write_file
from ..signal.units import EPOCH_S
from ..sources.edf_header import open_regular
from ..stages import STAGES, Stage
from .model import Hypnogram

if TYPE_CHECKING:
    import os
    from pathlib import Path

__all__ = ["from_csv", "from_json", "to_csv", "to_json"]

_FORMAT = "eegvlm-rt hypnogram"
_UNSCORED = "?"
_COLUMNS = ("epoch", "start_s", "clock", "stage", *(f"p_{stage.name}" for stage in STAGES))
_MAX_BYTES = 1 << 24


def to_csv(hypnogram: Hypnogram, path: str | os.PathLike[str]) -> Path:
    """Write one row per epoch: epoch (from 1), start_s, clock (ISO 8601), stage, p_W, p_N1, p_N2, p_N3, p_R.

    An unscored epoch has stage "?"; what is unknown is empty. Probabilities have six decimals.
    """
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for i, stage in enumerate(hypnogram.stages):
        clock = hypnogram.clock(i)
        row = None if hypnogram.probabilities is None else hypnogram.probabilities[i]
        shown = [""] * len(STAGES) if row is None else [f"{p:.6f}" for p in row]
        when = "" if clock is None else clock.isoformat()
        writer.writerow([i + 1, f"{EPOCH_S * i:g}", when, _UNSCORED if stage is None else stage.name, *shown])
    return write_file(path, stream.getvalue().encode())


def from_csv(path: str | os.PathLike[str]) -> Hypnogram:
    """Read what `to_csv` wrote. Raises RecordingError, naming the row, for anything else."""
    target, text = _read(path)
    rows = csv.reader(io.StringIO(text, newline=""))
    try:
        table = list(rows)
    except csv.Error as error:
        raise RecordingError("row", rows.line_num, f"not CSV: {error}", path=str(target)) from error
    if not table or tuple(table[0]) != _COLUMNS:
        raise RecordingError("columns", table[:1], f"must be {','.join(_COLUMNS)}", path=str(target))
    stages: list[Stage | None] = []
    probabilities: list[tuple[float, ...] | None] = []
    start: datetime | None = None
    for number, row in enumerate(table[1:], start=1):
        try:
            if len(row) != len(_COLUMNS) or int(row[0]) != number:
                raise ValueError(f"needs {len(_COLUMNS)} columns and epoch {number}")
            if number == 1 and row[2]:
                start = datetime.fromisoformat(row[2])
            stages.append(_stage(row[3]))
            probabilities.append(tuple(float(p) for p in row[4:]) if any(row[4:]) else None)
        except ValueError as error:
            raise RecordingError("row", number, f"not a hypnogram row: {error}", path=str(target)) from error
    return _build(target, stages, start, probabilities if any(p is not None for p in probabilities) else None)


def to_json(hypnogram: Hypnogram, path: str | os.PathLike[str]) -> Path:
    """Write {format, version, epoch_s, start, stages, stage_order, probabilities} as JSON, numbers exact."""
    data: dict[str, Any] = {
        "format": _FORMAT,
        "version": 1,
        "epoch_s": EPOCH_S,
        "start": None if hypnogram.start is None else hypnogram.start.isoformat(),
        "stages": [_UNSCORED if stage is None else stage.name for stage in hypnogram.stages],
        "stage_order": [stage.name for stage in STAGES],
        "probabilities": hypnogram.probabilities,
    }
    return write_file(path, (json.dumps(data, allow_nan=False) + "\n").encode())


def from_json(path: str | os.PathLike[str]) -> Hypnogram:
    """Read what `to_json` wrote. Raises RecordingError for anything else."""
    target, text = _read(path)
    try:
        data = json.loads(text)
        if data["format"] != _FORMAT or data["version"] != 1 or data["epoch_s"] != EPOCH_S:
            raise ValueError("format, version or epoch_s differs")
        if data["stage_order"] != [stage.name for stage in STAGES]:
            raise ValueError("stage_order differs")
        stages = [_stage(name) for name in data["stages"]]
        start = None if data["start"] is None else datetime.fromisoformat(data["start"])
        rows = data["probabilities"]
        probabilities = (
            None if rows is None else [None if row is None else tuple(map(float, row)) for row in rows]
        )
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise RecordingError(
            "file", target.name, f"not a hypnogram of ours: {error}", path=str(target)
        ) from error
    return _build(target, stages, start, probabilities)


def _stage(name: str) -> Stage | None:
    if name == _UNSCORED:
        return None
    try:
        return Stage[name]
    except KeyError:
        raise ValueError(f"stage {name!r} is none of W, N1, N2, N3, R, ?") from None


def _build(
    path: Path,
    stages: list[Stage | None],
    start: datetime | None,
    probabilities: list[tuple[float, ...] | None] | None,
) -> Hypnogram:
    try:
        return Hypnogram(tuple(stages), start, None if probabilities is None else tuple(probabilities))
    except ValueError as error:
        raise RecordingError("file", path.name, str(error), path=str(path)) from error


def _read(path: str | os.PathLike[str]) -> tuple[Path, str]:
    target, handle, size = open_regular(path)
    with handle:
        if size > _MAX_BYTES:
            raise RecordingError("file", f"{size} bytes", f"at most {_MAX_BYTES} are read", path=str(target))
        try:
            return target, handle.read().decode("utf-8")
        except UnicodeDecodeError as error:
            raise RecordingError("file", target.name, "not UTF-8 text", path=str(target)) from error
