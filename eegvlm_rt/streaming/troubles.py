"""Gaps, overlaps and drift that go on: what single flags of epochs do not say of a night."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from ..signal.quality import QualityFlag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..signal.quality import Quality

__all__ = ["Troubles"]

EPOCHS: Final = 10
"""The latest epochs that count, 5 min."""
MANY, FEW = 5, 2
DRIFT_SHARE: Final = 1e-3
"""Share of samples repeated or dropped from which a drift is worth a word: crystals are a tenth of it off."""


class Troubles:
    """Follows the epochs of a night; tells what has begun to go on, and what is over."""

    def __init__(self) -> None:
        self._latest: deque[Quality] = deque(maxlen=EPOCHS)
        self._drifted: deque[int] = deque([0], maxlen=EPOCHS + 1)
        self._going_on: set[str] = set()

    def add(self, quality: Quality, drifted: int, samples: int) -> Iterator[str]:
        """Take an epoch of `samples` samples. `drifted` counts those that were repeated or dropped for the
        device's rate so far, in all epochs.
        """
        self._latest.append(quality)
        self._drifted.append(drifted)
        missing = sum(one.missing_share for one in self._latest) / len(self._latest)
        share = (self._drifted[-1] - self._drifted[0]) / max(1, samples * len(self._latest))
        gaps = self._count(QualityFlag.GAP)
        overlaps = self._count(QualityFlag.OVERLAP, QualityFlag.DUPLICATE)
        of_all = f"of the last {len(self._latest)} epochs"
        yield from self._change(
            "gaps",
            gaps >= MANY,
            gaps <= FEW,
            f"gaps go on: in {gaps} {of_all}; {missing:.0%} of the samples are missing",
        )
        yield from self._change(
            "overlaps",
            overlaps >= MANY,
            overlaps <= FEW,
            f"overlaps go on: in {overlaps} {of_all} samples came twice",
        )
        yield from self._change(
            "drift",
            len(self._latest) >= MANY and share > DRIFT_SHARE,
            share < DRIFT_SHARE / 2,
            f"drift goes on: {share:.2%} of the samples are repeated or dropped, "
            "the device is off its nominal rate",
        )

    def _change(self, name: str, bad: bool, good: bool, text: str) -> Iterator[str]:
        if bad and name not in self._going_on:
            self._going_on.add(name)
            yield text
        elif good and name in self._going_on:
            self._going_on.remove(name)
            yield f"{name}: over"

    def _count(self, *flags: QualityFlag) -> int:
        return sum(not one.flags.isdisjoint(flags) for one in self._latest)
