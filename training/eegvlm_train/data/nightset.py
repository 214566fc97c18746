"""Nights in memory: signal, teacher's soft labels, findings; split by night."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .findings import FindingsTable, is_measured, read_findings
from .night_files import labels_path

__all__ = [
    "Labels",
    "NightSet",
    "Split",
    "intended_rows",
    "list_nights",
    "load_nights",
    "split_nights",
    "teacher_rows",
]

Labels = Literal["teacher", "intended"]
Opinions = tuple[NDArray[np.float32], NDArray[np.float32]]
"""(n_epochs, 5) probabilities twice: of each epoch alone, and in its night."""

Split = Literal["train", "validation", "test", "all"]
CONSENSUS = "teacher"
"""The weighted mean of all teachers."""

AWAKE = "awake"
"""What the file of a simulated day awake has, and that of a night has not."""

_AWAKE_ROW = np.array([0.98, 0.005, 0.005, 0.005, 0.005], dtype=np.float32)
_NIGHT = re.compile(r"night-\d+\.npz")
_VALIDATION_SHARE = 0.1

EPOCH_OPINION = "gssc_epoch"
"""The teacher's label that comes from the epoch alone; the consensus stands in where a night has none."""

NIGHT_OPINION = "gssc_context"
"""The label of the teacher who knows the night: of those tried, the one that also stages half an hour of a
night, or a day awake, as well as a whole night."""


@dataclass(frozen=True, slots=True)
class NightSet:
    """n epochs: `x` int16 (n, 3000) in steps of `uv_per_lsb` µV at 100 Hz; `night` int32 (n,) index into
    `names`; `findings` or None.

    Two opinions on each epoch, float32 (n, 5), rows sum to 1: `teacher` of who saw the epoch alone, which the
    networks that see it alone learn from, and `context` of who knows its night, for the memory.
    """

    x: NDArray[np.int16]
    uv_per_lsb: float
    teacher: NDArray[np.float32]
    context: NDArray[np.float32]
    night: NDArray[np.int32]
    names: tuple[str, ...]
    findings: FindingsTable | None

    def __len__(self) -> int:
        return len(self.x)

    def microvolts(self, index: NDArray[np.integer]) -> NDArray[np.float32]:
        """(len(index), 3000) float32 µV."""
        return np.asarray(self.x[index] * np.float32(self.uv_per_lsb), dtype=np.float32)

    def every(self, limit: int) -> NDArray[np.int64]:
        """At most `limit` epochs, evenly spread over the nights."""
        return np.unique(np.linspace(0, len(self) - 1, min(limit, len(self))).astype(np.int64))

    def sampling_weights(self, balance: float) -> NDArray[np.float64]:
        """Chance of each epoch, sum 1. `balance` 0 takes epochs as they are, 1 gives every stage the same
        mass."""
        prior = np.maximum(self.teacher.mean(axis=0, dtype=np.float64), 1e-6)
        weights = self.teacher.astype(np.float64) @ (prior**-balance)
        return np.asarray(weights / weights.sum())


def list_nights(folder: Path) -> list[Path]:
    """Night files of a folder in order; raises FileNotFoundError when there is none."""
    nights = sorted(path for path in folder.glob("night-*.npz") if _NIGHT.fullmatch(path.name))
    if not nights:
        raise FileNotFoundError(f"{folder}: no night-*.npz; make some with `eegvlm_train simulate`")
    return nights


def split_nights(nights: list[Path], split: Split) -> list[Path]:
    """Nights of one side; no subject is on two sides.

    A folder's `split.json` names the nights of "validation" and "test", as `eegvlm_train prepare` writes it.
    Without one, the last 10 % of the nights (at least one of two) are validation, and there is no test.
    """
    listed = nights[0].parent / "split.json" if nights else None
    if listed is not None and listed.exists():
        names = json.loads(listed.read_text(encoding="utf-8"))
        names_of = {side: set(names.get(side, ())) for side in ("validation", "test")}
        sides = {side: [night for night in nights if night.name in names_of[side]] for side in names_of}
        train = [night for night in nights if night.name not in names_of["validation"] | names_of["test"]]
        return {"train": train, "all": nights, **sides}[split]
    held_out = max(1, round(_VALIDATION_SHARE * len(nights))) if len(nights) > 1 else 0
    cut = len(nights) - held_out
    return {"train": nights[:cut], "validation": nights[cut:], "test": [], "all": nights}[split]


def load_nights(
    folder: Path,
    split: Split,
    *,
    with_findings: bool = True,
    max_nights: int | None = None,
    labels: Labels = "teacher",
) -> NightSet:
    """Load nights with their labels: the teachers' soft ones, or the stages that the simulation intended. The
    split is made over every night that has such labels, then cut to `max_nights`.

    Raises FileNotFoundError when no night is labelled (`eegvlm_train label`), or when findings are asked for
    and a night has none (`eegvlm_train findings`), ValueError for intended stages that a night has not.
    """
    rows_of = teacher_rows if labels == "teacher" else intended_rows
    nights = [path for path in list_nights(folder) if labels != "teacher" or labels_path(path).exists()]
    chosen = split_nights(nights, split)[:max_nights]
    if not chosen:
        cure = "run `eegvlm_train label`, or use --set labels=intended" if not nights else "add nights"
        raise FileNotFoundError(f"{folder}: no labelled night for {split!r}; {cure}")
    missing = [path.name for path in chosen if with_findings and not is_measured(path)]
    if missing:
        raise FileNotFoundError(
            f"{folder}: {len(missing)} nights unmeasured; run `eegvlm_train findings {folder}`"
        )
    teacher, context = zip(*(rows_of(path) for path in chosen), strict=True)
    counts = [len(rows) for rows in teacher]
    x = np.empty((sum(counts), 3000), dtype=np.int16)
    tables, scale = [], set()
    for path, end in zip(chosen, np.cumsum(counts), strict=True):
        with np.load(path) as file:
            signal = file["x"]
            scale.add(float(file["uv_per_lsb"]))
        x[end - len(signal) : end] = signal
        if with_findings:
            tables.append(read_findings(path))
    if len(scale) != 1:
        raise ValueError(f"{folder}: nights have different steps {sorted(scale)} µV")
    return NightSet(
        x=x,
        uv_per_lsb=scale.pop(),
        teacher=np.concatenate(teacher),
        context=np.concatenate(context),
        night=np.repeat(np.arange(len(chosen), dtype=np.int32), counts),
        names=tuple(path.name for path in chosen),
        findings=FindingsTable.concatenate(tables) if with_findings else None,
    )


def teacher_rows(night: Path, night_opinion: str = NIGHT_OPINION) -> Opinions:
    """The teachers' opinion of each epoch alone, and in its night (`night_opinion` of the label file); where
    one is missing, their consensus.

    What a simulated day awake is called in its context is known: teachers who never saw such a day take a
    seventh of it for sleep.
    """
    with np.load(night) as file:
        awake = AWAKE in file.files
    with np.load(labels_path(night)) as file:
        consensus = normalized(file["teacher"])
        alone, night_long = (
            normalized(file[name]) if name in file.files else consensus
            for name in (EPOCH_OPINION, night_opinion)
        )
        return alone, np.tile(_AWAKE_ROW, (len(alone), 1)) if awake else night_long


def intended_rows(night: Path) -> Opinions:
    """Twice the same, (n_epochs, 5): 1 for the stage that the simulation intended, or that the scorer of a
    prepared night gave.

    Raises ValueError for a night without such stages."""
    with np.load(night) as file:
        stages = file["intended"] if "intended" in file else np.full(1, -1)
    if (stages < 0).any() or (stages > 4).any():
        raise ValueError(f"{night.name}: no intended stages; use labels=teacher")
    rows = np.eye(5, dtype=np.float32)[stages]
    return rows, rows


def normalized(votes: NDArray[np.floating]) -> NDArray[np.float32]:
    """(n, 5) votes as float32 probabilities."""
    wide = np.asarray(votes, dtype=np.float32)
    return np.asarray(wide / wide.sum(axis=1, keepdims=True))
