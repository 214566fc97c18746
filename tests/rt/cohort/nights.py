"""Small cohorts for tests: real EDF files of a few epochs, receipts with figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from eegvlm_rt.cohort import Receipt, ScoreOptions, Status
from eegvlm_rt.cohort.group import Gathered, group_html
from eegvlm_rt.cohort.row import COLUMNS
from eegvlm_rt.hypnogram import Hypnogram, write_edf
from eegvlm_rt.stages import Stage
from tests.rt.cli.cli_runs import save_recording

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def save_nights(folder: Path, names: str, *, epochs: float = 3) -> list[Path]:
    """A recording of each name ("a b sub/c")."""
    paths = []
    for name in names.split():
        path = folder / f"{name}.edf"
        path.parent.mkdir(parents=True, exist_ok=True)
        paths.append(save_recording(path, epochs))
    return paths


def save_scoring(path: Path) -> Path:
    """A hypnogram as EDF+: annotations, no signals."""
    return write_edf(Hypnogram((Stage.W,) * 3), path)


def options_of(bundle: Path, **more: Any) -> ScoreOptions:
    return ScoreOptions(bundle=str(bundle), threads=1, **more)


def page_of(receipts: Iterable[Receipt]) -> str:
    """The report of a cohort of these receipts."""
    gathered = Gathered()
    for receipt in receipts:
        gathered.add(receipt)
    return group_html(gathered)


def receipt_of(i: int, *, status: Status = Status.SCORED, **row: Any) -> Receipt:
    """The receipt of a night with a number in every figure."""
    rng = np.random.default_rng(i)
    figures: dict[str, Any] = {}
    for name, (kind, _) in COLUMNS.items():
        if kind is float:
            figures[name] = round(float(rng.normal(100, 5)), 3)
        elif kind is int:
            figures[name] = int(rng.integers(0, 9))
    figures |= {"model": "nano", "mode": "head", "recording_min": 480.0, "scored_min": 470.0} | row
    scored = status is Status.SCORED
    return Receipt(
        night=f"night-{i:03d}",
        status=status,
        path=f"/data/night-{i:03d}.edf",
        bundle="ab" * 32,
        row=figures if scored else {},
        error="" if scored else "file: bad.edf; cannot be read",
        error_kind="" if scored else "RecordingError",
    )
