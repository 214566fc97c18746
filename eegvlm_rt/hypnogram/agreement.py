"""How well two hypnograms agree, epoch by epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..errors import InputError
from ..stages import STAGES, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from .model import Hypnogram

__all__ = ["Agreement", "agreement", "cohen_kappa"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement over `n` epochs both hypnograms score; `unscored` more were left out.

    `confusion[i][j]` counts epochs of reference stage i that were given stage j (order W N1 N2 N3 R).
    `kappa` is None where chance alone gives full agreement; `kappa_remark` says where it means nothing. A
    stage's F1 is None where neither hypnogram has the stage, and `macro_f1` is the plain mean of the F1
    there are. `alignment` is "assumed" where the start of one is unknown, so that both were only taken to
    begin together.
    """

    n: int
    unscored: int
    accuracy: float
    kappa: float | None
    macro_f1: float
    f1: Mapping[Stage, float | None]
    confusion: tuple[tuple[int, ...], ...]
    alignment: Literal["clock", "assumed"] = "clock"

    @property
    def kappa_remark(self) -> str:
        """Why kappa means nothing here; empty where it means something.

        Kappa compares with chance. Where the reference or the scoring has one stage only, chance alone gives
        whatever agreement there is, and kappa is 0 or undefined however right the scoring is.
        """
        counts = np.asarray(self.confusion)
        for name, totals in (("reference", counts.sum(axis=1)), ("scoring", counts.sum(axis=0))):
            if np.count_nonzero(totals) == 1:
                stage = STAGES[int(totals.argmax())].name
                return f"kappa means nothing here: the {name} has one stage only, {stage}"
        return ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able dictionary, stages by name."""
        return {
            "n": self.n,
            "unscored": self.unscored,
            "alignment": self.alignment,
            "accuracy": self.accuracy,
            "kappa": self.kappa,
            "kappa_remark": self.kappa_remark,
            "macro_f1": self.macro_f1,
            "f1": {stage.name: value for stage, value in self.f1.items()},
            "confusion": [list(row) for row in self.confusion],
        }


def cohen_kappa(confusion: ArrayLike) -> float | None:
    """Cohen's kappa of a table of counts, reference by row, answer by column; None where it is not defined.

    kappa = (p_o - p_e) / (1 - p_e) with p_o = sum_i c_ii / n and p_e = sum_i c_i. c_.i / n^2 (Cohen 1960,
    Educ. Psychol. Meas. 20:37). Columns after those of the rows' classes are answers that are no class:
    always wrong.
    """
    counts = np.asarray(confusion, dtype=np.int64)
    n = int(counts.sum())
    if n == 0:
        return None
    rows, columns = counts.sum(axis=1), counts.sum(axis=0)[: len(counts)]
    observed, expected = float(np.trace(counts)) / n, float(rows @ columns) / n**2
    return None if expected == 1.0 else (observed - expected) / (1.0 - expected)


def agreement(reference: Hypnogram, scored: Hypnogram) -> Agreement:
    """Compare two hypnograms of the same length, epoch i with epoch i (see `Hypnogram.aligned_to`).

    accuracy = sum_i c_ii / n; kappa: see `cohen_kappa`; F1_i = 2 c_ii / (c_i. + c_.i) (van Rijsbergen 1979,
    ch. 7); macro F1 is its mean over the stages that occur in either hypnogram. Raises InputError for
    lengths that differ or no epoch scored in both.
    """
    if len(reference) != len(scored):
        raise InputError(
            "scored",
            f"{len(scored)} epochs",
            f"the reference has {len(reference)}; align them (Hypnogram.aligned_to)",
        )
    counts = np.zeros((len(STAGES), len(STAGES)), dtype=np.int64)
    for a, b in zip(reference.stages, scored.stages, strict=True):
        if a is not None and b is not None:
            counts[a, b] += 1
    n = int(counts.sum())
    if n == 0:
        raise InputError(
            "scored", "0 epochs", "no epoch is scored in both hypnograms; check their start times"
        )
    hits, rows, columns = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    f1 = {s: 2.0 * int(hits[s]) / int(rows[s] + columns[s]) if rows[s] + columns[s] else None for s in STAGES}
    present = [value for value in f1.values() if value is not None]
    return Agreement(
        n=n,
        unscored=len(reference) - n,
        accuracy=float(hits.sum()) / n,
        kappa=cohen_kappa(counts),
        macro_f1=sum(present) / len(present),
        f1=f1,
        confusion=tuple(tuple(int(value) for value in row) for row in counts),
        alignment="clock" if reference.shares_clock(scored) else "assumed",
    )
