"""What the streaming tests share: predictions without the time they took, and signals in pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from eegvlm_rt.prediction import StagePrediction
    from eegvlm_rt.streaming import StreamingStager


def said(predictions: Iterable[StagePrediction]) -> list[dict[str, Any]]:
    """All fields of predictions but the time they took, to the last bit."""
    rows = [prediction.to_dict() for prediction in predictions]
    for row in rows:
        del row["timing"], row["lag_s"]
    return rows


def night_of(
    stream: StreamingStager, x: np.ndarray, stamps: np.ndarray | None, sizes: Iterable[int]
) -> list[StagePrediction]:
    """Push a signal in pieces of the given sizes, over and over, to its end."""
    found: list[StagePrediction] = []
    pieces = list(sizes)
    start = turn = 0
    while start < len(x):
        end = start + pieces[turn % len(pieces)]
        found += stream.push(x[start:end], None if stamps is None else stamps[start:end])
        start, turn = end, turn + 1
    return found + stream.flush()
