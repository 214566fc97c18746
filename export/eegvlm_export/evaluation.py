"""Agreement of a bundle with human scorers, through the runtime."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from eegvlm_train.metrics import INVALID, score
from numpy.typing import NDArray

from eegvlm_rt.errors import InputError
from eegvlm_rt.stager import Stager
from eegvlm_rt.stages import STAGES

__all__ = ["ScoredRecording", "evaluate", "scored_recordings"]

_LAYOUTS: Final = (("x", "y", "fs"), ("signal_uv", "stage_30s", "sfreq"))
"""Names of signal, stages and rate: separate epochs (n, samples), or one recording (samples,)."""


@dataclass(frozen=True, slots=True)
class ScoredRecording:
    """`signal_uv` (samples,) or (n, samples) in µV; `stages` (n,) per 30 s, 0..4, other values unscored."""

    name: str
    signal_uv: NDArray[np.floating]
    sfreq: float
    stages: NDArray[np.integer]


def scored_recordings(folder: Path) -> Iterator[ScoredRecording]:
    """Every scored `.npz` below `folder`, in order of name; files of another layout are passed over.

    Raises FileNotFoundError where there is none.
    """
    found = False
    for path in sorted(folder.rglob("*.npz")):
        with np.load(path, allow_pickle=False) as content:
            names = next((names for names in _LAYOUTS if set(names) <= set(content.files)), None)
            if names is None:
                continue
            signal, stages, sfreq = (content[name] for name in names)
        found = True
        yield ScoredRecording(path.stem, signal, float(sfreq), stages)
    if not found:
        raise FileNotFoundError(f"evaluation: {folder} holds no scored .npz recording")


def evaluate(bundle: Path, folder: Path, *, modes: tuple[str, ...], threads: int) -> dict[str, Any]:
    """Per mode: n, accuracy, Cohen's kappa, macro F1, F1 per stage, confusion and calibration error.

    Recordings are pooled. An epoch for which the runtime gives no stage counts as wrong.
    """
    stager = Stager.load(bundle, mode="head" if set(modes) == {"head"} else "cot", threads=threads)
    reference: list[int] = []
    answers: dict[str, tuple[list[int], list[list[float]]]] = {mode: ([], []) for mode in modes}
    for recording in scored_recordings(folder):
        scored = [i for i, stage in enumerate(recording.stages) if 0 <= stage < len(STAGES)]
        reference += [int(recording.stages[i]) for i in scored]
        for mode, (stages, probabilities) in answers.items():
            rows = list(stager.predict_recording(recording.signal_uv, sfreq=recording.sfreq, mode=mode))
            if len(rows) < len(recording.stages):
                raise InputError(
                    recording.name, f"{len(rows)} epochs", f"the scorer has {len(recording.stages)}"
                )
            for i in scored:
                stage = rows[i].stage
                stages.append(INVALID if stage is None else int(stage))
                probabilities.append([rows[i].probabilities[other] for other in STAGES])
    return {
        mode: score(np.array(reference), np.array(stages), np.array(probabilities)).to_dict()
        for mode, (stages, probabilities) in answers.items()
    }
