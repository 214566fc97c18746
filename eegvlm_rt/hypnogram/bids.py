"""Hypnograms as tab-separated files of the Brain Imaging Data Structure (BIDS)."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import RecordingError
from ..files import write_file
from ..signal.units import EPOCH_S
from ..sources.edf_annotations import Annotation
from ..sources.edf_header import open_regular
from ..stages import STAGES, Stage, edf_text
from .edf import from_annotations
from .model import Hypnogram

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

__all__ = ["read_bids_events", "read_bids_hypnogram", "write_bids_events", "write_bids_hypnogram"]

_MAX_BYTES = 1 << 24


def write_bids_events(hypnogram: Hypnogram, path: str | os.PathLike[str]) -> Path:
    """Write `*_events.tsv` and, beside it, the `*_events.json` that explains it.

    One row per epoch: onset and duration in s, trial_type in the wording of EDF+ ("Sleep stage N2", "Sleep
    stage ?" where unscored). Columns: BIDS 1.10, "Task events". Clock times are no part of BIDS events.
    """
    rows = [(f"{EPOCH_S * i:g}", f"{EPOCH_S:g}", edf_text(stage)) for i, stage in enumerate(hypnogram.stages)]
    _sidecar(
        Path(path),
        {
            "onset": {"Description": "Start of the epoch from the start of the recording", "Units": "s"},
            "duration": {"Description": "Length of the epoch", "Units": "s"},
            "trial_type": {
                "Description": "Sleep stage given by a model, not by a person",
                "Levels": {edf_text(stage): name for stage, name in _LEVELS},
            },
        },
    )
    return write_file(path, _table(("onset", "duration", "trial_type"), rows))


def write_bids_hypnogram(hypnogram: Hypnogram, path: str | os.PathLike[str]) -> Path:
    """Write a `*_hypnogram.tsv` with its JSON sidecar. Provisional: BIDS has no hypnogram file yet, and what
    is proposed may change; the sidecar says so. Columns: onset, duration, stage (W N1 N2 N3 R or n/a), p_W
    to p_R (n/a where unknown).
    """
    columns = ("onset", "duration", "stage", *(f"p_{stage.name}" for stage in STAGES))
    rows = []
    for i, stage in enumerate(hypnogram.stages):
        known = None if hypnogram.probabilities is None else hypnogram.probabilities[i]
        shown = ["n/a"] * len(STAGES) if known is None else [f"{p:.6f}" for p in known]
        rows.append((f"{EPOCH_S * i:g}", f"{EPOCH_S:g}", "n/a" if stage is None else stage.name, *shown))
    _sidecar(
        Path(path),
        {
            "Status": "provisional: no hypnogram file is part of BIDS yet",
            "ScoredBy": "eegvlm-rt, a model and no person",
            "EpochDuration": EPOCH_S,
            "stage": {
                "Description": "AASM stage",
                "Levels": {s.name: name for s, name in _LEVELS if s is not None},
            },
            **{f"p_{s.name}": {"Description": f"Probability of {s.name}, 0 to 1"} for s in STAGES},
        },
    )
    return write_file(path, _table(columns, rows))


def read_bids_events(path: str | os.PathLike[str]) -> Hypnogram:
    """Read the stages among the events of a `*_events.tsv`, whose start is not known.

    trial_type (or value) may have any wording of `read_edf`. Raises RecordingError for a file that is not
    such a table or holds no stages.
    """
    target, raw = _raw(path)
    try:
        names, table = _rows(raw)
        onset, duration = names.index("onset"), names.index("duration")
        text = names.index("trial_type") if "trial_type" in names else names.index("value")
        marks = [Annotation(_number(r[onset]), _length(r[duration]), r[text]) for r in table]
    except (ValueError, IndexError, csv.Error) as error:
        raise RecordingError("file", target.name, f"no BIDS events: {error}", path=str(target)) from error
    return from_annotations(tuple(marks), path=str(target))


def read_bids_hypnogram(path: str | os.PathLike[str]) -> Hypnogram:
    """Read what `write_bids_hypnogram` wrote: stages and probabilities of epochs of 30 s from 0 s on.

    Raises RecordingError for a file that is not such a table, or whose epochs are not one after the other.
    """
    target, raw = _raw(path)
    try:
        names, table = _rows(raw)
        onset, duration, stage = (names.index(name) for name in ("onset", "duration", "stage"))
        shares = [names.index(f"p_{s.name}") for s in STAGES]
        for i, row in enumerate(table):
            if (_number(row[onset]), _number(row[duration])) != (EPOCH_S * i, EPOCH_S):
                raise ValueError(f"row {i + 1} is not the epoch of 30 s from {EPOCH_S * i:g} s on")
        stages = [None if row[stage] == "n/a" else Stage[row[stage]] for row in table]
        known = [
            None
            if row[shares[0]] == "n/a"
            else {s: _number(row[place]) for s, place in zip(STAGES, shares, strict=True)}
            for row in table
        ]
        return Hypnogram.of(stages, None, None if all(row is None for row in known) else known)
    except (ValueError, IndexError, KeyError, csv.Error) as error:
        raise RecordingError("file", target.name, f"no BIDS hypnogram: {error}", path=str(target)) from error


def _raw(path: str | os.PathLike[str]) -> tuple[Path, bytes]:
    target, handle, _ = open_regular(path)
    with handle:
        return target, handle.read(_MAX_BYTES + 1)


def _rows(raw: bytes) -> tuple[list[str], list[list[str]]]:
    """Names of the columns, and the rows that are not empty; raises ValueError or csv.Error."""
    if len(raw) > _MAX_BYTES:
        raise ValueError(f"at most {_MAX_BYTES} bytes are read")
    table = list(csv.reader(io.StringIO(raw.decode("utf-8")), delimiter="\t", quoting=csv.QUOTE_NONE))
    return (table[0] if table else []), [row for row in table[1:] if row]


_LEVELS = (*((stage, f"AASM stage {stage.name}") for stage in STAGES), (None, "not scored"))


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> bytes:
    return "".join("\t".join(row) + "\n" for row in (columns, *rows)).encode()


def _sidecar(path: Path, content: dict[str, object]) -> None:
    write_file(path.with_suffix(".json"), (json.dumps(content, indent=2) + "\n").encode())


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is no time")
    return value


def _length(text: str) -> float | None:
    return None if text == "n/a" else _number(text)
