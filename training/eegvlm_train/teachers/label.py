"""Label simulated nights: every teacher's probabilities and their weighted mean, kept side by side.

Teachers are offline tools, installed apart (`pip install gssc==0.0.9 yasa==0.8.1`); their answers are data.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..data.night_files import labels_path, save_npz

__all__ = ["WEIGHTS", "consensus", "label_night", "main"]

Labels = dict[str, NDArray[np.floating]]


WEIGHTS = {"gssc_context": 2.0, "yasa": 2.0, "gssc_epoch": 1.0}
"""How much a teacher's vote counts, 1 where none is named.

Scorers judge an epoch in its context, so the two opinions that know the night count twice the one that does
not: an argument, not a fit.
"""


def consensus(labels: Labels) -> NDArray[np.float16]:
    """Weighted mean of the teachers' probabilities, (n_epochs, 5)."""
    votes = np.stack([np.asarray(vote, dtype=np.float64) for vote in labels.values()])
    mean = np.average(votes, axis=0, weights=[WEIGHTS.get(name, 1.0) for name in labels])
    return np.asarray(mean / mean.sum(axis=1, keepdims=True), dtype=np.float16)


def _read_labels(path: Path) -> Labels:
    if not path.exists():
        return {}
    with np.load(path) as file:
        return {name: file[name] for name in file.files if name != "teacher"}


def label_night(path: Path, teachers: Sequence[str], device: str | None, loaded: dict[str, object]) -> bool:
    """Add the missing teachers' labels of one night; says whether anything was missing."""
    from .band_power import OFFLINE, BandPowerStager
    from .gssc import GsscTeacher
    from .yasa import yasa_probabilities

    target = labels_path(path)
    labels = _read_labels(target)
    missing = [name for name in teachers if not any(key.startswith(name) for key in labels)]
    if not missing:
        return False
    with np.load(path) as file:
        samples = file["raw"].astype(np.float32) * float(file["uv_per_lsb"])
        sfreq, n = float(file["sfreq"]), len(file["x"])
    if "gssc" in missing:
        teacher = loaded.setdefault("gssc", GsscTeacher.load(device))
        assert isinstance(teacher, GsscTeacher)
        single, context = teacher(samples, sfreq)
        labels["gssc_epoch"], labels["gssc_context"] = single[:n], context[:n]
    if "yasa" in missing:
        labels["yasa"] = yasa_probabilities(samples, sfreq)[:n]
    if "band_power" in missing:
        stager = loaded["band_power"]
        assert isinstance(stager, BandPowerStager)
        labels["band_power"] = stager(samples, sfreq, OFFLINE)[:n]
    stored = {name: np.asarray(vote, dtype=np.float16) for name, vote in labels.items()}
    save_npz(target, **stored, teacher=consensus(labels))
    return True


def _merge(source: Path, folder: Path) -> int:
    """Merge label files written elsewhere for the same seeds into this folder."""
    merged = 0
    for path in sorted(source.glob("night-*.labels.npz")):
        target = folder / path.name
        labels = {**_read_labels(target), **_read_labels(path)}
        save_npz(target, **labels, teacher=consensus(labels))
        merged += 1
    return merged


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="eegvlm_train label", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--teachers", nargs="+", choices=("gssc", "yasa"), default=["gssc", "yasa"])
    parser.add_argument(
        "--band-power", type=Path, help="let the stager of band powers in this folder vote too"
    )
    parser.add_argument("--device", default=None, help="torch device for GSSC")
    parser.add_argument("--shard", type=int, default=0, help="this process's share of --shards")
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument(
        "--merge", type=Path, default=None, help="take label files of the same seeds from here"
    )
    parser.add_argument("--labels-to", type=Path, default=None, help="copy the label files here afterwards")
    args = parser.parse_args(argv)
    if args.merge is not None:
        print(f"merged {_merge(args.merge, args.folder)} label files")
    loaded: dict[str, object] = {}
    teachers = list(args.teachers)
    if args.band_power is not None:
        from .band_power import BandPowerStager

        loaded["band_power"] = BandPowerStager.load(args.band_power)
        teachers.append("band_power")
    nights = sorted(path for path in args.folder.glob("night-*.npz") if path.name.count(".") == 1)
    for number, path in enumerate(nights[args.shard :: args.shards], start=1):
        if label_night(path, teachers, args.device, loaded):
            print(f"{number} {path.name}", flush=True)
    if args.labels_to is not None:
        args.labels_to.mkdir(parents=True, exist_ok=True)
        for path in args.folder.glob("night-*.labels.npz"):
            shutil.copy2(path, args.labels_to / path.name)
    return 0
