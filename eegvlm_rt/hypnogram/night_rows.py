"""The rows of a night: one stage policy, and one NumPy record per epoch, for `Night`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..prediction import Outcome
from ..signal.quality import QualityFlag
from ..signal.units import EPOCH_S
from ..stages import STAGES, Stage, StageProbabilities

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..prediction import StagePrediction

__all__ = [
    "ROW",
    "STAGED",
    "UNSCORED",
    "RowTable",
    "counted_stage",
    "empty_row",
    "flag_names",
    "night_probabilities",
    "night_stage",
    "row_of",
    "row_of_record",
]

STAGED: Final = (Outcome.SCORED, Outcome.LATE)
"""Outcomes whose stage counts: a late stage is right, it only came late."""

UNSCORED: Final = -1

ROW: Final = np.dtype(
    [
        ("epoch", "i4"),
        ("start_s", "f8"),
        ("stage", "i1"),
        ("proba", "f8", (len(STAGES),)),
        ("raw_stage", "i1"),
        ("raw_proba", "f8", (len(STAGES),)),
        ("outcome", "U10"),
        ("scorable", "?"),
        ("missing_share", "f4"),
        ("amplitude_uv", "f4"),
        ("flags", "u2"),
        ("stage_ms", "f4"),
        ("rationale_ms", "f4"),
    ]
)
"""One epoch. `epoch` counts from 0. `stage` and `proba` are those of the night (see `counted_stage`),
`raw_stage` and `raw_proba` those of the epoch alone; -1 and NaN where there are none. `outcome` is empty for
an epoch without any record. `flags` has bit i for the i-th `QualityFlag`. Times are NaN where nothing was
timed.
"""

_FLAGS: Final = tuple(QualityFlag)
_SUM_TOLERANCE: Final = 1e-3


def counted_stage(
    outcome: str,
    stage: Stage | None,
    probabilities: Mapping[Stage, float] | None,
    smoothed: Mapping[Stage, float] | None,
) -> tuple[Stage | None, Mapping[Stage, float] | None]:
    """The stage policy: which stage of an epoch counts in its night, and the probabilities behind it.

    An epoch counts where its outcome is "scored" or "late" and it has a stage; every other one is unscored.
    Where probabilities given the course of the night are there, their most probable stage counts, else the
    epoch's own. The command line, the live view, the journal's export, the files and Python all ask here.
    """
    if stage is None or outcome not in STAGED:
        return None, None
    if smoothed is None:
        return stage, probabilities
    return max(STAGES, key=smoothed.__getitem__), smoothed


def night_stage(prediction: StagePrediction) -> Stage | None:
    """The stage of an epoch in its night, None where it is unscored; see `counted_stage`."""
    return _counted(prediction)[0]


def night_probabilities(prediction: StagePrediction) -> Mapping[Stage, float]:
    """The probabilities behind `night_stage`; of an unscored epoch those that were given all the same."""
    return prediction.probabilities if prediction.smoothed is None else prediction.smoothed


def _counted(prediction: StagePrediction) -> tuple[Stage | None, Mapping[Stage, float] | None]:
    return counted_stage(prediction.outcome, prediction.stage, prediction.probabilities, prediction.smoothed)


def row_of(prediction: StagePrediction) -> NDArray[Any]:
    """A prediction as one record of `ROW`."""
    row = empty_row(prediction.index)
    stage, probabilities = _counted(prediction)
    row["start_s"], row["outcome"] = prediction.start_s, str(prediction.outcome)
    own = prediction.stage
    _fill(row, stage, probabilities, own, None if own is None else prediction.probabilities)
    quality, timing = prediction.quality, prediction.timing
    row["scorable"], row["missing_share"] = quality.scorable, quality.missing_share
    row["amplitude_uv"] = quality.amplitude_uv
    row["flags"] = _bits(quality.flags)
    row["stage_ms"] = timing.stage_ms or np.nan
    row["rationale_ms"] = timing.total_ms if prediction.rationale_text else np.nan
    return row


def row_of_record(index: int, body: Mapping[str, Any]) -> NDArray[Any]:
    """The JSON form of a prediction as one record of `ROW`; values of the wrong kind count as absent."""
    row = empty_row(index)
    name = body.get("stage")
    own = Stage[name] if isinstance(name, str) and name in Stage.__members__ else None
    own_probabilities = _distribution(body.get("probabilities"))
    outcome = body.get("outcome", str(Outcome.SCORED))
    outcome = outcome if isinstance(outcome, str) else ""
    stage, probabilities = counted_stage(outcome, own, own_probabilities, _distribution(body.get("smoothed")))
    row["outcome"] = outcome
    _fill(row, stage, probabilities, own, own_probabilities)
    quality, timing = body.get("quality"), body.get("timing")
    if isinstance(quality, dict):
        row["scorable"] = quality.get("scorable") is True
        row["missing_share"] = _number(quality.get("missing_share"))
        row["amplitude_uv"] = _number(quality.get("amplitude_uv"))
        flags = quality.get("flags")
        row["flags"] = _bits(flags if isinstance(flags, list) else ())
    if isinstance(timing, dict):
        row["stage_ms"] = _number(timing.get("stage_ms")) or np.nan
        row["rationale_ms"] = _number(timing.get("total_ms")) if body.get("rationale_text") else np.nan
    return row


def empty_row(index: int) -> NDArray[Any]:
    """The record of an epoch that nothing is known of."""
    row = np.zeros((), dtype=ROW)
    row["epoch"], row["start_s"] = index, EPOCH_S * index
    row["stage"] = row["raw_stage"] = UNSCORED
    for name in ("proba", "raw_proba", "missing_share", "amplitude_uv", "stage_ms", "rationale_ms"):
        row[name] = np.nan
    return row


def flag_names(bits: int) -> list[str]:
    """Names of the quality flags in a row's `flags`."""
    return [str(flag) for i, flag in enumerate(_FLAGS) if bits >> i & 1]


class RowTable:
    """Rows by epoch; an epoch that was passed over gets an empty row. Appending costs the same however
    long.
    """

    def __init__(self) -> None:
        self._rows = np.empty(128, dtype=ROW)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, row: NDArray[Any]) -> None:
        """Place a row at its epoch, over what was there."""
        index = int(row["epoch"])
        if index >= len(self._rows):
            room = np.empty(2 * (index + 1), dtype=ROW)
            room[: self._count] = self._rows[: self._count]
            self._rows = room
        while self._count <= index:
            self._rows[self._count] = empty_row(self._count)
            self._count += 1
        self._rows[index] = row

    def has(self, index: int) -> bool:
        """Whether a row was placed at an epoch."""
        return index < self._count and self._rows["outcome"][index] != ""

    def view(self) -> NDArray[Any]:
        """The rows, read-only."""
        rows = self._rows[: self._count]
        rows.flags.writeable = False
        return rows


def _fill(
    row: NDArray[Any],
    stage: Stage | None,
    probabilities: Mapping[Stage, float] | None,
    own: Stage | None,
    own_probabilities: Mapping[Stage, float] | None,
) -> None:
    for name, value in (("stage", stage), ("raw_stage", own)):
        row[name] = UNSCORED if value is None else value
    for name, shares in (("proba", probabilities), ("raw_proba", own_probabilities)):
        if shares is not None:
            row[name] = [shares[s] for s in STAGES]


def _bits(flags: Any) -> int:
    return sum(1 << i for i, flag in enumerate(_FLAGS) if flag in flags)


def _number(value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15
    return float(value) if is_number else float("nan")  # type: ignore[arg-type]


def _distribution(value: object) -> StageProbabilities | None:
    """Five probabilities by the stages' names that sum to 1; None for anything else."""
    if not isinstance(value, dict):
        return None
    numbers = [_number(value.get(stage.name)) for stage in STAGES]
    if not all(0.0 <= p <= 1.0 for p in numbers) or abs(sum(numbers) - 1.0) > _SUM_TOLERANCE:
        return None
    return StageProbabilities(zip(STAGES, numbers, strict=True))
