"""Hypnograms as tab-separated files of the Brain Imaging Data Structure (BIDS)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, RecordingError
from ..files.outputs import check_outputs, write_file
from ..files.seal import SEAL, file_digests
from ..signal.units import EPOCH_S
from ..sources.edf_annotations import Annotation
from ..stages import STAGES, Stage, edf_text
from .model import DRAFT_TEXT, Hypnogram, from_annotations
from .table import STAGE_WORDS, Table

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

__all__ = ["read_bids_events", "read_bids_hypnogram", "write_bids_events", "write_bids_hypnogram"]

_STAGE_COLUMNS = ("stage", "sleep_stage", "trial_type", "value")


def write_bids_events(hypnogram: Hypnogram, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write `*_events.tsv` and, beside it, the `*_events.json` that explains it.

    One row per epoch: onset and duration in s, trial_type in the wording of EDF+ ("Sleep stage N2", "Sleep
    stage ?" where unscored); before them, where the draft of a model staged the night, a row that names it.
    Columns: BIDS 1.10, "Task events". Clock times are no part of BIDS events.
    Raises OutputError for files of another that are there (unless `overwrite`), RecordingError where they
    cannot be written.
    """
    rows = [("0", "0", f"{DRAFT_TEXT}{hypnogram.draft}")] if hypnogram.draft else []
    rows += [
        (f"{EPOCH_S * i:g}", f"{EPOCH_S:g}", edf_text(stage)) for i, stage in enumerate(hypnogram.stages)
    ]
    sidecar: dict[str, object] = {
        "onset": {"Description": "Start of the epoch from the start of the recording", "Units": "s"},
        "duration": {"Description": "Length of the epoch", "Units": "s"},
        "trial_type": {
            "Description": "Sleep stage given by a model, not by a person",
            "Levels": {edf_text(stage): name for stage, name in _LEVELS},
        },
    }
    return _write(Path(path), _lines(("onset", "duration", "trial_type"), rows), sidecar, overwrite=overwrite)


def write_bids_hypnogram(
    hypnogram: Hypnogram, path: str | os.PathLike[str], *, overwrite: bool = False
) -> Path:
    """Write a `*_hypnogram.tsv` with its JSON sidecar. Provisional: BIDS has no hypnogram file yet, and what
    is proposed may change; the sidecar says so. Columns: onset, duration, stage (W N1 N2 N3 R or n/a), p_W
    to p_R (n/a where unknown), and draft, the name of the model, where a draft staged it.
    Raises what `write_bids_events` raises.
    """
    mark = [hypnogram.draft] if hypnogram.draft else []
    columns = ("onset", "duration", "stage", *(f"p_{stage.name}" for stage in STAGES))
    rows = []
    for i, stage in enumerate(hypnogram.stages):
        row = None if hypnogram.probabilities is None else hypnogram.probabilities[i]
        shown = ["n/a"] * len(STAGES) if row is None else [f"{p:.6f}" for p in row]
        rows.append(
            (f"{EPOCH_S * i:g}", f"{EPOCH_S:g}", "n/a" if stage is None else stage.name, *shown, *mark)
        )
    sidecar: dict[str, object] = {
        "Status": "provisional: no hypnogram file is part of BIDS yet",
        "ScoredBy": "eegvlm-rt, a model and no person",
        "EpochDuration": EPOCH_S,
        "stage": {
            "Description": "AASM stage",
            "Levels": {s.name: name for s, name in _LEVELS if s is not None},
        },
        **{f"p_{s.name}": {"Description": f"Probability of {s.name}, 0 to 1"} for s in STAGES},
    }
    if mark:
        columns = (*columns, "draft")
        sidecar["draft"] = {"Description": "The model, a draft that fell short: not for use"}
    return _write(Path(path), _lines(columns, rows), sidecar, overwrite=overwrite)


def read_bids_events(path: str | os.PathLike[str]) -> Hypnogram:
    """Read the stages among the events of a `*_events.tsv`, whose start is not known.

    Columns: onset, duration (a number of s, or n/a), and the first there is of stage, sleep_stage, trial_type
    and value. Words: those of `Stage.parse` ("Sleep stage 2", "N2", "Wake", "REM"); a bare number is none, as
    4 is N3 in one coding and R in another. Rows of other events are passed over; in a column of stages every
    row must be one, or n/a. A row may last several epochs.

    Raises RecordingError, naming row and column, for a file that is not such a table or holds no stages.
    """
    table = Table.read(path)
    table.need("onset", "duration")
    column = next((name for name in _STAGE_COLUMNS if name in table.columns), None)
    if column is None:
        table.lacks(" or ".join(_STAGE_COLUMNS))
    strict = column in _STAGE_COLUMNS[:2]
    marks: list[Annotation] = []
    for row in table.rows:
        word = row.text(column)
        if word.startswith(DRAFT_TEXT):
            marks.append(Annotation(0.0, None, word))
            continue
        if not strict and not _names_a_stage(word):
            continue
        stage = None if word.lower() == "n/a" else row.stage(column)
        duration_s = None if row.text("duration").lower() in ("n/a", "") else row.number("duration")
        if duration_s is not None and duration_s < 0:
            raise row.error("duration", "give 0 s or more")
        marks.append(Annotation(row.number("onset"), duration_s, edf_text(stage)))
    if not marks:
        cure = f"its column {column} names no sleep stage; write {STAGE_WORDS}"
        raise RecordingError("file", table.path.name, cure, path=str(table.path))
    return from_annotations(tuple(marks), path=str(table.path))


def read_bids_hypnogram(path: str | os.PathLike[str]) -> Hypnogram:
    """Read what `write_bids_hypnogram` wrote: stages and probabilities of epochs of 30 s from 0 s on.

    Raises RecordingError, naming row and column, for a file that is not such a table, or whose epochs are not
    one after the other.
    """
    table = Table.read(path)
    shares = [f"p_{stage.name}" for stage in STAGES]
    table.need("onset", "duration", "stage", *shares)
    stages: list[Stage | None] = []
    rows: list[dict[Stage, float] | None] = []
    for i, row in enumerate(table.rows):
        if (row.number("onset"), row.number("duration")) != (EPOCH_S * i, EPOCH_S):
            raise row.error("onset", f"give the epoch of 30 s from {EPOCH_S * i:g} s on")
        stages.append(None if row.text("stage") == "n/a" else row.stage("stage"))
        has_shares = row.text(shares[0]) != "n/a"
        rows.append(
            {s: row.number(name) for s, name in zip(STAGES, shares, strict=True)} if has_shares else None
        )
    try:
        hypnogram = Hypnogram.of(stages, None, None if all(row is None for row in rows) else rows)
        marked = "draft" in table.columns and table.rows
        return replace(hypnogram, draft=table.rows[0].text("draft")) if marked else hypnogram
    except InputError as error:
        raise RecordingError(error.field, error.value, error.cure, path=str(table.path)) from error


def _names_a_stage(word: str) -> bool:
    """Whether a word among events is meant as a stage. "Sleep stage X" is, even where there is no stage X."""
    if word.lower().startswith(("sleep stage", "stage ")):
        return True
    try:
        Stage.parse(word)
    except InputError:
        return False
    return bool(word.strip()) and not word.strip().isdigit()


_LEVELS = (*((stage, f"AASM stage {stage.name}") for stage in STAGES), (None, "not scored"))


def _lines(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> bytes:
    return "".join("\t".join(row) + "\n" for row in (columns, *rows)).encode()


def _write(path: Path, table: bytes, sidecar: dict[str, object], *, overwrite: bool) -> Path:
    """Write a table and the sidecar that explains it and lists its digest."""
    explained = path.with_suffix(".json")
    check_outputs((path, explained), overwrite=overwrite)
    write_file(path, table, overwrite=overwrite)
    seal = {"by": SEAL, "files": file_digests([path])}
    content = json.dumps(sidecar | {"written": seal}, indent=2) + "\n"
    write_file(explained, content.encode(), overwrite=overwrite)
    return path
