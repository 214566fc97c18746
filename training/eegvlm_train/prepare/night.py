"""A real recording on its way into a training folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eegvlm_rt.errors import InputError
from eegvlm_rt.hypnogram.alignment import Alignment
from eegvlm_rt.signal.conditioning import condition_recording
from eegvlm_rt.sources.remark import Remark
from eegvlm_rt.stages import Stage

from ..data.night_files import UV_PER_LSB, labels_path, night_path, save_npz
from ..evaluation.recordings import EPOCH_S, EPOCH_SAMPLES, stage_rows
from .simulate import to_int16

__all__ = ["SourceNight", "codes_of", "trimmed", "write_night"]


@dataclass(frozen=True, slots=True, eq=False)
class SourceNight:
    """One channel of a person's night.

    Attributes:
        samples_uv: float32 (n,).
        stages: int64 (n_epochs,) from the first sample on, -1 where unscored.
        alignment: how it is known that the stages begin there.
        remarks: what was left out of the recording, or taken for granted.
    """

    name: str
    subject: str
    channel: str
    samples_uv: NDArray[np.float32]
    sfreq: float
    stages: NDArray[np.int64]
    alignment: Alignment
    remarks: tuple[Remark, ...] = ()


def codes_of(stages: list[Stage | None] | tuple[Stage | None, ...]) -> NDArray[np.int64]:
    """0..4, -1 where unscored."""
    return np.array([-1 if stage is None else int(stage) for stage in stages], dtype=np.int64)


def trimmed(stages: NDArray[np.int64], wake_minutes: float) -> tuple[int, int]:
    """First epoch and one past the last.

    Wake is kept up to `wake_minutes` before and after sleep, as is usual for Sleep-EDF (Supratak et
    al. 2017), and unscored ends are cut. Without any sleep all scored epochs stay.
    """
    scored, asleep = np.flatnonzero(stages >= 0), np.flatnonzero(stages > 0)
    if not len(scored):
        return 0, 0
    around = round(wake_minutes * 60 / EPOCH_S)
    if not len(asleep):
        return int(scored[0]), int(scored[-1]) + 1
    return max(int(scored[0]), int(asleep[0]) - around), min(int(scored[-1]), int(asleep[-1]) + around) + 1


def write_night(night: SourceNight, folder: Path, number: int, wake_minutes: float) -> Path:
    """Condition the whole recording, cut it, and write night and labels; raises InputError where nothing is
    scored."""
    n = min(len(night.stages), round(len(night.samples_uv) / night.sfreq) // EPOCH_S)
    first, stop = trimmed(night.stages[:n], wake_minutes)
    stages = night.stages[first:stop]
    places = np.flatnonzero(stages >= 0)
    if not len(places):
        raise InputError("stages", night.name, "not one epoch of this recording is scored")
    whole = condition_recording(night.samples_uv, night.sfreq)
    epochs = whole[first * EPOCH_SAMPLES : stop * EPOCH_SAMPLES].reshape(-1, EPOCH_SAMPLES)
    per_epoch = EPOCH_S * night.sfreq
    raw = night.samples_uv[round(first * per_epoch) : round(stop * per_epoch)]
    path = night_path(folder, number)
    save_npz(
        path,
        x=to_int16(np.nan_to_num(epochs[places])),
        raw=to_int16(np.nan_to_num(raw)),
        sfreq=night.sfreq,
        intended=stages[places].astype(np.int8),
        places=places,
        uv_per_lsb=UV_PER_LSB,
        seed=number,
        channel=night.channel,
        subject=night.subject,
        source=night.name,
    )
    save_npz(labels_path(path), teacher=stage_rows(stages[places]).astype(np.float16))
    return path
