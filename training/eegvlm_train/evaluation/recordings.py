"""Scored recordings to evaluate on, as they came from the amplifier."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegvlm_rt.signal.conditioning import Preprocessing, condition_epochs, condition_recording
from eegvlm_rt.stages import STAGES

from ..data.night_files import labels_path
from ..data.nightset import Split, list_nights, split_nights

__all__ = ["ScoredRecording", "load_recordings", "stage_rows"]

EPOCH_SAMPLES = 3000
EPOCH_S = 30


@dataclass(frozen=True, slots=True, eq=False)
class ScoredRecording:
    """One channel of one person's recording with a stage every 30 s.

    `samples_uv` float32 (n,) at `sfreq` Hz, or (n_epochs, n) where the epochs do not follow one another.
    `stages` int64 (n_epochs,), -1 unscored; `soft` float64 (n_epochs, 5), the reference's own probabilities
    (of one scorer: 0 and 1); `purity` float32 (n_epochs,), the share of the epoch that the scorer gave this
    stage; `conditioned` float32 (n_epochs, 3000) where it is kept, as a training folder does; `spindles`:
    (onset, duration) in s of each expert's marks, where there are any.
    """

    name: str
    subject: str
    samples_uv: NDArray[np.float32]
    sfreq: float
    stages: NDArray[np.int64]
    soft: NDArray[np.float64]
    purity: NDArray[np.float32]
    conditioned: NDArray[np.float32] | None = None
    spindles: tuple[NDArray[np.float64], ...] = ()

    @property
    def separate(self) -> bool:
        """Whether the epochs do not follow one another."""
        return self.samples_uv.ndim == 2

    def epochs(self) -> NDArray[np.float32]:
        """(n_epochs, 3000) µV at 100 Hz: a recording is conditioned as a whole, separate epochs alone."""
        if self.conditioned is not None:
            return self.conditioned
        return condition(self.samples_uv, self.sfreq, len(self.stages), Preprocessing())


def condition(
    samples_uv: NDArray[np.float32], sfreq: float, n_epochs: int, spec: Preprocessing
) -> NDArray[np.float32]:
    """(n_epochs, 3000) of a recording (n,) or of separate epochs (n_epochs, n)."""
    if samples_uv.ndim == 2:
        return np.asarray(condition_epochs(samples_uv, sfreq, spec))
    whole = condition_recording(samples_uv, sfreq, spec)[: n_epochs * EPOCH_SAMPLES]
    return np.asarray(whole.reshape(n_epochs, EPOCH_SAMPLES))


def stage_rows(stages: NDArray[np.integer]) -> NDArray[np.float64]:
    """(n, 5) certain probabilities of (n,) stages; equal ones where unscored."""
    rows = np.full((len(stages), len(STAGES)), 1.0 / len(STAGES))
    scored = np.flatnonzero(np.asarray(stages) >= 0)
    rows[scored] = np.eye(len(STAGES))[np.asarray(stages)[scored]]
    return rows


def _dreams(path: Path) -> ScoredRecording:
    with np.load(path) as file:
        signal, sfreq = file["signal_uv"].astype(np.float32), float(file["sfreq"])
        stages, purity = file["stage_30s"].astype(np.int64), file["purity_30s"].astype(np.float32)
        marks = tuple(
            file[name].astype(np.float64).reshape(-1, 2)
            for name in ("spindles_expert1", "spindles_expert2")
            if name in file.files
        )
    n = min(len(stages), round(len(signal) / sfreq) // EPOCH_S)
    name = f"dreams/{path.stem}"
    return ScoredRecording(
        name, name, signal, sfreq, stages[:n], stage_rows(stages[:n]), purity[:n], None, marks
    )


def _sleep_edf(path: Path) -> ScoredRecording:
    with np.load(path) as file:
        stages = file["y"].astype(np.int64)
        samples, sfreq = file["x"][: len(stages)].astype(np.float32), float(file["fs"])
    name = "sleep-edf/SC4001"
    ones = np.ones(len(stages), dtype=np.float32)
    return ScoredRecording(name, name, samples, sfreq, stages, stage_rows(stages), ones)


def real_recordings(folder: Path) -> list[ScoredRecording]:
    """DREAMS excerpts (R&K, 30 s majority) and the labelled Sleep-EDF epochs.

    Raises FileNotFoundError when the folder holds neither.
    """
    recordings = [_dreams(path) for path in sorted((folder / "dreams").glob("excerpt*.npz"))]
    labelled = folder / "sleep-edf" / "sc4001_fpzcz_epochs.npz"
    if labelled.exists():
        recordings.append(_sleep_edf(labelled))
    if not recordings:
        raise FileNotFoundError(f"{folder}: no dreams/excerpt*.npz and no sleep-edf epochs")
    return recordings


def wake_recordings(folder: Path) -> list[ScoredRecording]:
    """Daytime wake of Sleep-EDF, Pz-Oz, nine recordings of five people: every epoch is W."""
    path = folder / "sleep-edf" / "wake_pzoz_int16.npz"
    if not path.exists():
        raise FileNotFoundError(f"{path}: not there")
    with np.load(path) as file:
        counts, sfreq = file["x"], float(file["fs"])
        scale = np.broadcast_to(np.ravel(file["uv_per_lsb"]), len(counts))
        people = [str(name)[:5] for name in file["rec"]] if "rec" in file.files else None
    recordings = []
    for number, rows in enumerate(counts):
        stages = np.zeros(len(rows), dtype=np.int64)
        recordings.append(
            ScoredRecording(
                f"wake/{number}",
                f"wake/{people[number] if people else number}",
                rows.reshape(-1).astype(np.float32) * np.float32(scale[number]),
                sfreq,
                stages,
                stage_rows(stages),
                np.ones(len(rows), dtype=np.float32),
            )
        )
    return recordings


def training_recordings(folder: Path, split: Split) -> list[ScoredRecording]:
    """Nights of a training folder, simulated or prepared; the reference is their most probable label."""
    labelled = [path for path in list_nights(folder) if labels_path(path).exists()]
    chosen = split_nights(labelled, split)
    if not chosen:
        raise FileNotFoundError(f"{folder}: no labelled night for {split!r}; run `eegvlm_train label`")
    return [_night(path) for path in chosen]


def _night(path: Path) -> ScoredRecording:
    with np.load(path) as file:
        step = np.float32(file["uv_per_lsb"])
        epochs = file["x"].astype(np.float32) * step
        raw = file["raw"].astype(np.float32) * step if "raw" in file.files else epochs.reshape(-1)
        sfreq = float(file["sfreq"]) if "sfreq" in file.files else 100.0
        places = file["places"].astype(np.int64) if "places" in file.files else None
        subject = str(file["subject"]) if "subject" in file.files else path.stem
    with np.load(labels_path(path)) as file:
        soft = file["teacher"].astype(np.float64)
    soft /= soft.sum(axis=1, keepdims=True)
    stages = soft.argmax(axis=1)
    if places is not None:
        n = int(places[-1]) + 1
        stages, soft = _spread(stages, places, n, -1), _spread(soft, places, n, 1.0 / len(STAGES))
        epochs = _spread(epochs, places, n, np.nan)
    ones = np.ones(len(stages), dtype=np.float32)
    return ScoredRecording(path.stem, subject, raw, sfreq, stages, soft, ones, epochs)


def _spread(rows: NDArray[Any], places: NDArray[np.int64], n: int, fill: float) -> NDArray[Any]:
    spread = np.full((n, *rows.shape[1:]), fill, dtype=rows.dtype)
    spread[places] = rows
    return spread


def default_split(folder: Path) -> Split:
    """`test` where a prepared folder has one, else `validation`."""
    listed = folder / "split.json"
    has_test = listed.exists() and json.loads(listed.read_text(encoding="utf-8")).get("test")
    return "test" if has_test else "validation"


def load_recordings(source: str, split: Split | None = None) -> list[ScoredRecording]:
    """`real:FOLDER`, `wake:FOLDER`, `sim:FOLDER` or `prepared:FOLDER`; raises ValueError for another kind."""
    kind, colon, name = source.partition(":")
    folder = Path(name)
    if colon and kind == "real":
        return real_recordings(folder)
    if colon and kind == "wake":
        return wake_recordings(folder)
    if colon and kind in ("sim", "prepared"):
        return training_recordings(folder, split or default_split(folder))
    raise ValueError(f"--data: {source!r}; write real:FOLDER or sim:FOLDER, prepared:FOLDER or wake:FOLDER")
