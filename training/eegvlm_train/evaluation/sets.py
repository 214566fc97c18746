"""Epochs with reference stages: held-out simulated nights, and real recordings that are never trained on."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eegvlm_rt.preprocess import condition_epochs, condition_recording

from ..data.nightset import load_nights

__all__ = ["EvaluationSet", "load_set", "real_recordings", "simulated_nights"]

_EPOCH_SAMPLES = 3000
_EPOCH_S = 30


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """n conditioned epochs: `x_uv` float32 (n, 3000), `stages` int64 (n,) reference 0..4, `recordings` (n,)
    names, `purity` float32 (n,): the share of the epoch that the scorer gave this stage (1 where not
    known)."""

    x_uv: NDArray[np.float32]
    stages: NDArray[np.int64]
    recordings: NDArray[np.str_]
    purity: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.stages)

    def subset(self, index: NDArray[np.integer] | NDArray[np.bool_]) -> EvaluationSet:
        return EvaluationSet(*(getattr(self, field.name)[index] for field in fields(self)))

    def spread(self, limit: int | None) -> EvaluationSet:
        """At most `limit` epochs, evenly spread."""
        if limit is None or limit >= len(self):
            return self
        return self.subset(np.linspace(0, len(self) - 1, limit).astype(np.int64))

    @classmethod
    def join(cls, parts: list[EvaluationSet]) -> EvaluationSet:
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


def _dreams_excerpt(path: Path) -> EvaluationSet:
    with np.load(path) as file:
        signal, sfreq = file["signal_uv"].astype(np.float32), float(file["sfreq"])
        stages, purity = file["stage_30s"].astype(np.int64), file["purity_30s"].astype(np.float32)
    conditioned = condition_recording(signal, sfreq)
    n = min(len(stages), len(conditioned) // _EPOCH_SAMPLES)
    epochs = conditioned[: n * _EPOCH_SAMPLES].reshape(n, _EPOCH_SAMPLES)
    whole = EvaluationSet(epochs, stages[:n], np.full(n, f"dreams/{path.stem}"), purity[:n])
    return whole.subset(whole.stages >= 0)


def _sleep_edf_epochs(path: Path) -> EvaluationSet:
    with np.load(path) as file:
        stages = file["y"].astype(np.int64)
        epochs = condition_epochs(file["x"][: len(stages)].astype(np.float32), float(file["fs"]))
    n = len(stages)
    return EvaluationSet(epochs, stages, np.full(n, "sleep-edf/SC4001"), np.ones(n, dtype=np.float32))


def real_recordings(folder: Path) -> EvaluationSet:
    """DREAMS excerpts (R&K, 30 s majority, each conditioned as a whole) and labelled Sleep-EDF epochs.

    Raises FileNotFoundError when the folder holds neither.
    """
    parts = [_dreams_excerpt(path) for path in sorted((folder / "dreams").glob("excerpt*.npz"))]
    labelled = folder / "sleep-edf" / "sc4001_fpzcz_epochs.npz"
    if labelled.exists():
        parts.append(_sleep_edf_epochs(labelled))
    if not parts:
        raise FileNotFoundError(f"{folder}: no dreams/excerpt*.npz and no sleep-edf epochs")
    return EvaluationSet.join(parts)


def simulated_nights(folder: Path) -> EvaluationSet:
    """The validation nights of a training folder; the reference is the teacher's most probable stage."""
    nights = load_nights(folder, "validation", with_findings=False)
    names = np.array([Path(name).stem for name in nights.names])
    return EvaluationSet(
        x_uv=nights.microvolts(np.arange(len(nights))),
        stages=nights.teacher.argmax(axis=1).astype(np.int64),
        recordings=names[nights.night],
        purity=np.ones(len(nights), dtype=np.float32),
    )


def load_set(source: str) -> EvaluationSet:
    """`real:FOLDER` or `sim:FOLDER`; raises ValueError for another kind."""
    kind, colon, folder = source.partition(":")
    loaders = {"real": real_recordings, "sim": simulated_nights}
    if not colon or kind not in loaders:
        raise ValueError(f"--data: {source!r}; write real:FOLDER or sim:FOLDER")
    return loaders[kind](Path(folder))
