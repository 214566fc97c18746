"""Hypnograms as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..errors import InputError, RecordingError
from ..files.outputs import write_file
from ..files.seal import SEAL
from ..signal.units import EPOCH_S
from ..stages import STAGES, Stage
from .model import Hypnogram
from .table import Row, read_text

if TYPE_CHECKING:
    import os
    from pathlib import Path

__all__ = ["from_csv", "from_json", "to_csv", "to_json"]

_FORMAT = "eegvlm-rt hypnogram"
_UNSCORED = "?"
_COLUMNS = ("epoch", "start_s", "clock", "stage", *(f"p_{stage.name}" for stage in STAGES))
_MARKED = (*_COLUMNS, "draft")
"""Columns of a hypnogram that the draft of a model staged."""


def to_csv(hypnogram: Hypnogram, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write one row per epoch: epoch (from 1), start_s, clock (ISO 8601), stage, p_W, p_N1, p_N2, p_N3, p_R.

    The draft of a model is named in a further column, draft. An unscored epoch has stage "?"; what is unknown
    is empty. Probabilities have six decimals. Raises
    OutputError for a file of another that is there (unless `overwrite`), RecordingError where it cannot be
    written.
    """
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    mark = [hypnogram.draft] if hypnogram.draft else []
    writer.writerow(_MARKED if mark else _COLUMNS)
    for i, stage in enumerate(hypnogram.stages):
        clock = hypnogram.clock(i)
        row = None if hypnogram.probabilities is None else hypnogram.probabilities[i]
        shown = [""] * len(STAGES) if row is None else [f"{p:.6f}" for p in row]
        when = "" if clock is None else clock.isoformat()
        name = _UNSCORED if stage is None else stage.name
        writer.writerow([i + 1, f"{EPOCH_S * i:g}", when, name, *shown, *mark])
    return write_file(path, stream.getvalue().encode(), overwrite=overwrite)


def from_csv(path: str | os.PathLike[str]) -> Hypnogram:
    """Read what `to_csv` wrote. Raises RecordingError, naming the row, for anything else."""
    target, text = read_text(path)
    lines = [line.rstrip("\r").split(",") for line in text.split("\n")]
    columns = _MARKED if tuple(lines[0]) == _MARKED else _COLUMNS
    if tuple(lines[0]) != columns:
        raise RecordingError("columns", ",".join(lines[0]), f"must be {','.join(_COLUMNS)}", path=str(target))
    rows = [Row(target, i, columns, tuple(cells)) for i, cells in enumerate(lines[1:], 2) if any(cells)]
    stages: list[Stage | None] = []
    probabilities: list[tuple[float, ...] | None] = []
    for i, row in enumerate(rows, 1):
        if len(row.cells) != len(columns) or row.text("epoch") != str(i):
            raise row.error("epoch", f"give epoch {i}, in {len(columns)} cells")
        stages.append(_stage_of(row))
        has_shares = any(row.cells[4 : len(_COLUMNS)])
        probabilities.append(tuple(row.number(name) for name in _COLUMNS[4:]) if has_shares else None)
    start = None
    if rows and (clock := rows[0].text("clock")):
        try:
            start = datetime.fromisoformat(clock)
        except ValueError as error:
            raise rows[0].error("clock", "give an ISO 8601 time, such as 2020-05-01T22:00:00") from error
    draft = rows[0].text("draft") if rows and columns is _MARKED else ""
    table = probabilities if any(p is not None for p in probabilities) else None
    return _build(target, stages, start, table, draft)


def to_json(hypnogram: Hypnogram, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write {format, version, epoch_s, start, stages, stage_order, probabilities} as JSON, numbers exact;
    and {draft}, the name of the model, where a draft staged it.

    Raises what `to_csv` raises.
    """
    data: dict[str, Any] = {
        "format": _FORMAT,
        "version": 1,
        "epoch_s": EPOCH_S,
        "start": None if hypnogram.start is None else hypnogram.start.isoformat(),
        "stages": [_UNSCORED if stage is None else stage.name for stage in hypnogram.stages],
        "stage_order": [stage.name for stage in STAGES],
        "probabilities": hypnogram.probabilities,
        **({"draft": hypnogram.draft} if hypnogram.draft else {}),
        "written": {"by": SEAL},
    }
    return write_file(path, (json.dumps(data, allow_nan=False) + "\n").encode(), overwrite=overwrite)


def from_json(path: str | os.PathLike[str]) -> Hypnogram:
    """Read what `to_json` wrote. Raises RecordingError for anything else."""
    target, text = read_text(path)

    def wrong(field: str, value: object, cure: str) -> RecordingError:
        return RecordingError(field, value, cure, path=str(target))

    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        place = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "its depth"
        raise wrong(
            "file", target.name, f"no JSON, see {place}; give a hypnogram that to_json wrote"
        ) from error
    fixed = {
        "format": _FORMAT,
        "version": 1,
        "epoch_s": EPOCH_S,
        "stage_order": [stage.name for stage in STAGES],
    }
    data = data if isinstance(data, dict) else {}
    for name, value in fixed.items():
        if data.get(name) != value:
            raise wrong(name, data.get(name), f"no hypnogram of ours, which has {value}")
    start, names, rows = data.get("start"), data.get("stages"), data.get("probabilities")
    draft = data.get("draft", "")
    if not isinstance(draft, str):
        raise wrong("draft", draft, "give the name of a model")
    if not isinstance(names, list):
        raise wrong("stages", names, "give a list")
    stage_of = {stage.name: stage for stage in STAGES} | {_UNSCORED: None}
    for i, name in enumerate(names):
        if not isinstance(name, str) or name not in stage_of:
            raise wrong(f"stages[{i}]", name, f"give one of {', '.join(stage_of)}")
    try:
        began = None if start is None else datetime.fromisoformat(start)
    except (TypeError, ValueError) as error:
        raise wrong("start", start, "give an ISO 8601 time or null") from error
    try:
        table = None if rows is None else [None if r is None else tuple(map(float, r)) for r in rows]
    except (TypeError, ValueError, OverflowError) as error:
        raise wrong("probabilities", rows, "give five numbers, or null, for each epoch") from error
    return _build(target, [stage_of[name] for name in names], began, table, draft)


def _stage_of(row: Row) -> Stage | None:
    word = row.text("stage")
    if word != _UNSCORED and word not in Stage.__members__:
        raise row.error("stage", f"give W, N1, N2, N3, R or {_UNSCORED}")
    return None if word == _UNSCORED else Stage[word]


def _build(
    path: Path,
    stages: list[Stage | None],
    start: datetime | None,
    probabilities: list[tuple[float, ...] | None] | None,
    draft: str,
) -> Hypnogram:
    try:
        table = None if probabilities is None else tuple(probabilities)
        return Hypnogram(tuple(stages), start, table, draft)
    except InputError as error:
        raise RecordingError(error.field, error.value, error.cure, path=str(path)) from error
