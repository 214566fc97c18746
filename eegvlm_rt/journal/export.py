"""A journal in other forms: JSON lines, and the hypnogram of its night as CSV or EDF+."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..atomic import write_file
from ..errors import InputError
from ..hypnogram import Hypnogram, to_csv, write_edf
from ..hypnogram.model import MAX_EPOCHS
from ..stages import STAGES, Stage
from .frames import RecordKind
from .state import night_state

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .frames import Record
    from .state import NightState

__all__ = ["SUFFIXES", "export", "hypnogram_of", "json_lines"]

SUFFIXES: Final = (".jsonl", ".csv", ".edf")
_STAGED: Final = ("scored", "late")


def json_lines(records: Iterable[Record]) -> Iterator[str]:
    """One line per record: {"sequence", "kind", "sha256", "body"}."""
    for record in records:
        yield json.dumps(record.to_dict(), allow_nan=False, ensure_ascii=False) + "\n"


def hypnogram_of(records: Sequence[Record]) -> Hypnogram:
    """The night's hypnogram: epoch 0 is that of the grid. It starts, as far as the journal's header tells
    them, at the clock of the recording that was replayed, else in the local time of the host, else in UTC.

    An epoch has a stage where its outcome is "scored" or "late" and one was given; every other epoch, also
    one whose record was lost, is unscored. Where the final answer is missing, the head's stage counts.
    Raises InputError for more than a week.
    """
    state = night_state(records)
    if state.next_epoch_index > MAX_EPOCHS:
        raise InputError("epochs", state.next_epoch_index, f"a hypnogram holds at most {MAX_EPOCHS} (a week)")
    stages: list[Stage | None] = [None] * state.next_epoch_index
    rows: list[Mapping[Stage, float] | None] = [None] * state.next_epoch_index
    answers = [[r for r in records if r.kind == kind] for kind in (RecordKind.PREDICTION, RecordKind.STAGE)]
    for record in reversed([*answers[0], *answers[1]]):
        index = record.body.get("index")
        if isinstance(index, int) and 0 <= index < len(stages):
            stages[index] = _stage(record.body)
            rows[index] = None if stages[index] is None else _probabilities(record.body)
    return Hypnogram.of(stages, _start(state), rows)


def export(records: Sequence[Record], path: str | os.PathLike[str]) -> Path:
    """Write the form that the suffix of `path` names: .jsonl, .csv or .edf.

    Raises:
        InputError: another suffix, or a night that the form cannot hold. RecordingError: the file cannot be
        written.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".jsonl":
        return write_file(path, "".join(json_lines(records)).encode("utf-8", errors="replace"))
    if suffix == ".csv":
        return to_csv(hypnogram_of(records), path)
    if suffix == ".edf":
        return write_edf(hypnogram_of(records), path)
    raise InputError("out", str(path), "end the name with " + ", ".join(SUFFIXES))


def _stage(body: Mapping[str, Any]) -> Stage | None:
    name = body.get("stage")
    known = isinstance(name, str) and name in Stage.__members__
    return Stage[str(name)] if known and body.get("outcome", "scored") in _STAGED else None


def _probabilities(body: Mapping[str, Any]) -> dict[Stage, float] | None:
    found = body.get("probabilities")
    if not isinstance(found, dict) or not all(
        isinstance(found.get(stage.name), int | float) and 0 <= found[stage.name] <= 1 for stage in STAGES
    ):
        return None
    values = {stage: float(found[stage.name]) for stage in STAGES}
    return values if abs(sum(values.values()) - 1.0) < 1e-3 else None


def _start(state: NightState) -> datetime | None:
    began, offset_s = state.header.get("recording_start"), state.header.get("utc_offset_s")
    try:
        if isinstance(began, str) and state.grid_start_device_s is not None:
            start = datetime.fromisoformat(began).replace(tzinfo=None)
            return start + timedelta(seconds=state.grid_start_device_s)
        if state.grid_start_wall_s is None:
            return None
        start = datetime.fromtimestamp(state.grid_start_wall_s, UTC).replace(tzinfo=None)
        known = isinstance(offset_s, int | float) and abs(offset_s) <= 86_400
        return start + timedelta(seconds=offset_s) if known and offset_s is not None else start
    except (OverflowError, OSError, ValueError):
        return None
