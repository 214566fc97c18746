"""A night with faults held against the same night without: what is accounted for, and what has changed."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from eegvlm_rt.journal.frames import decode_body, encode_body
from eegvlm_rt.signal.units import EPOCH_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from eegvlm_rt.prediction import StagePrediction

__all__ = [
    "Comparison",
    "accounted",
    "compare",
    "digests",
    "epochs_of",
    "expected_epochs",
    "rows_of",
]

PASSING: Final = ("timing", "lag_s", "wall_s", "samples", "last_timestamp_s", "memory")
"""What differs from one run to the next, tells of the device's clock, or is in the journal alone."""
OF_THE_NIGHT: Final = (
    *("stage", "probabilities", "night", "agrees", "smoothed"),
    *("rationale", "rationale_text", "finish", "checks"),
)
"""What the night memory has a part in: it remembers every epoch so far, those that faults touch too."""
MEASURED: Final = ("findings", "checks", "ood_score")
MILLIONTH: Final = 1e-6
OF_THE_CLOCK: Final = {"gap", "overlap", "duplicate", "clock", "drift"}
"""Flags of what befell the clock or the wire, not the samples."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Counts of epochs.

    Attributes:
        compared: outside the faults; those whose flags alone may differ are among them.
        changed: numbers of those that differ from the night without faults.
        last_digits: of those compared and not changed, how many have a measured number that differs by less
            than a millionth: recursive filters never forget the last bits of their rounding.
        excluded: that a fault may touch.
        excluded_changed: how many of these do differ.
        slipped: of those compared, how many would differ had the grid slipped by one epoch: what shows that
            the comparison tells one epoch from the next.
    """

    compared: int
    changed: tuple[int, ...]
    last_digits: int
    excluded: int
    excluded_changed: int
    slipped: int


def rows_of(predictions: Iterable[StagePrediction]) -> list[dict[str, Any]]:
    """Final predictions as the journal would hold them."""
    final = (prediction for prediction in predictions if not prediction.provisional)
    return [decode_body(encode_body(prediction.to_dict())) for prediction in final]


def digests(samples_uv: NDArray[np.float32], sfreq: float) -> list[str]:
    """SHA-256 of the raw samples of each epoch, NaN where the last one has none any more."""
    width, epochs = round(EPOCH_S * sfreq), expected_epochs(len(samples_uv), sfreq)
    whole = np.full(epochs * width, np.nan, dtype=np.float32)
    whole[: len(samples_uv)] = samples_uv[: len(whole)]
    return [hashlib.sha256(row.tobytes()).hexdigest() for row in whole.reshape(epochs, width)]


def expected_epochs(samples: int, sfreq: float) -> int:
    """Epochs of a night of `samples` places; one stray sample begins none."""
    return max(1, -(-(samples - 1) // round(EPOCH_S * sfreq)))


def epochs_of(intervals: Iterable[tuple[float, float]], sfreq: float) -> set[int]:
    """Numbers of the epochs that intervals of places reach into."""
    per_epoch = EPOCH_S * sfreq
    epochs: set[int] = set()
    for first, last in intervals:
        epochs |= set(range(int(first // per_epoch), int(max(first, last - 1) // per_epoch) + 1))
    return epochs


def accounted(rows: Iterable[Mapping[str, Any]], expected: int) -> int:
    """How many of the epochs 0 to `expected` - 1 have exactly one row, which has an outcome; a row too many
    takes one away.
    """
    counts = Counter(row["index"] for row in rows if row["outcome"])
    beyond = sum(n for index, n in counts.items() if not 0 <= index < expected)
    return sum(counts[index] == 1 for index in range(expected)) - beyond


def compare(
    rows: Sequence[Mapping[str, Any]],
    reference: Sequence[Mapping[str, Any]],
    touched: set[int],
    flagged: set[int],
) -> Comparison:
    """Rows of the night with faults against those without. An epoch that has no row has changed."""
    row_of = {row["index"]: row for row in rows}
    compared = last_digits = slipped = excluded = excluded_changed = 0
    changed: list[int] = []
    for index, clean in enumerate(reference):
        # After an epoch that a fault may touch the memory is another night's; the epoch's own opinion is not.
        own = clean["night"] is not None and any(place < index for place in touched)
        row, before = row_of.get(index), _essence(clean, index in flagged, own)
        after = None if row is None else _essence(row, index in flagged, own)
        other = not _same(before, after, exact=True)
        if index in touched:
            excluded, excluded_changed = excluded + 1, excluded_changed + other
            continue
        compared += 1
        if other and not _same(before, after, exact=False):
            changed.append(index)
        elif other:
            last_digits += 1
        neighbour = reference[index - 1 if index else min(1, len(reference) - 1)]
        slipped += row is not None and _opinion(row) != _opinion(neighbour)
    return Comparison(compared, tuple(changed), last_digits, excluded, excluded_changed, slipped)


def _opinion(row: Mapping[str, Any]) -> Any:
    """The head's probabilities where there are some: those of the epoch alone."""
    return row["probabilities"] if row["head"] is None else row["head"]["probabilities"]


def _essence(row: Mapping[str, Any], flagged: bool, own: bool) -> dict[str, Any]:
    """What has to be the same; with `own` only what the epoch says by itself."""
    dropped = {*PASSING, *(OF_THE_NIGHT if own else ())}
    essence = {name: value for name, value in row.items() if name not in dropped}
    if flagged:
        flags = set(row["quality"]["flags"]) - OF_THE_CLOCK
        essence["quality"] = {**row["quality"], "flags": sorted(flags)}
    return essence


def _same(before: Any, after: Any, *, exact: bool) -> bool:
    """Whether two rows are the same: to the last bit, or but for a millionth of what was measured."""
    if exact or after is None:
        return bool(before == after)
    return before.keys() == after.keys() and all(
        _close(value, after[name]) if name in MEASURED else value == after[name]
        for name, value in before.items()
    )


def _close(before: Any, after: Any) -> bool:
    if isinstance(before, float) and isinstance(after, float):
        return math.isclose(before, after, rel_tol=MILLIONTH, abs_tol=MILLIONTH)
    if isinstance(before, dict) and isinstance(after, dict):
        return before.keys() == after.keys() and all(_close(v, after[k]) for k, v in before.items())
    if isinstance(before, list) and isinstance(after, list):
        return len(before) == len(after) and all(map(_close, before, after))
    return bool(before == after)
