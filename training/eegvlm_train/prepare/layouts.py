"""How each dataset lays out its recordings and their scoring."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eegvlm_rt.errors import InputError, RecordingError
from eegvlm_rt.hypnogram import read_bids_events
from eegvlm_rt.hypnogram.alignment import Alignment, Basis, align
from eegvlm_rt.hypnogram.edf import read_scoring
from eegvlm_rt.sources.edf import read_channel
from eegvlm_rt.stages import Stage

from ..evaluation.recordings import EPOCH_S
from .night import SourceNight, codes_of

__all__ = ["DEFAULT_CHANNELS", "LAYOUTS"]

Layout = Callable[[Path, str | None], Iterator[SourceNight]]
DEFAULT_CHANNELS = {"sleep-edf": "EEG Fpz-Cz", "dreams": None, "isruc": "C3-A2", "bids": None}
_DREAMS_STEP_S = 5
_SLEEP_EDF_NIGHT = re.compile(r"((?:SC|ST)\d\d\d)\d", re.IGNORECASE)


def _edf_night(
    name: str, subject: str, path: Path, channel: str | None, stages: NDArray[np.int64]
) -> SourceNight:
    """A night whose scoring begins with the recording, as its dataset defines it."""
    recording = read_channel(path, channel)
    return SourceNight(
        name,
        subject,
        recording.channel,
        recording.samples_uv,
        recording.sfreq,
        stages,
        Alignment(0.0, Basis.GIVEN),
        recording.remarks,
    )


def _found(paths: list[Path], folder: Path, what: str) -> list[Path]:
    if not paths:
        raise FileNotFoundError(f"{folder}: no {what}")
    return sorted(paths)


def sleep_edf(folder: Path, channel: str | None) -> Iterator[SourceNight]:
    """Sleep-EDF Expanded: `SC4001E0-PSG.edf` beside `SC4001EC-Hypnogram.edf`; subject `SC400` for
    both nights."""
    for path in _found([*folder.rglob("*PSG.edf")], folder, "*PSG.edf"):
        match = _SLEEP_EDF_NIGHT.match(path.name)
        if match is None:
            raise InputError("file", path.name, "a Sleep-EDF night is called like SC4001E0-PSG.edf")
        scored = sorted(path.parent.glob(f"{match.group(0)}*Hypnogram.edf"))
        if len(scored) != 1:
            raise InputError("hypnogram", [one.name for one in scored], f"one is needed beside {path.name}")
        recording = read_channel(path, channel)
        hypnogram, left_out = read_scoring(scored[0])
        alignment = align(hypnogram.start, recording.start)
        covered = hypnogram.window(alignment.epochs, max(0, len(hypnogram) - alignment.epochs))
        yield SourceNight(
            match.group(0),
            match.group(1),
            recording.channel,
            recording.samples_uv,
            recording.sfreq,
            codes_of(covered.stages),
            alignment,
            (*recording.remarks, *left_out),
        )


def _majority(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Stages (n,) of every 30 s from DREAMS codes of every 5 s; mixed halves and unknown codes are -1."""
    per_epoch = EPOCH_S // _DREAMS_STEP_S
    stages = codes_of([Stage.from_dreams(int(code)) for code in codes])
    rows = stages[: len(stages) // per_epoch * per_epoch].reshape(-1, per_epoch)
    counts = np.stack([(rows == stage).sum(axis=1) for stage in range(5)], axis=1)
    return np.where(counts.max(axis=1) * 2 > per_epoch, counts.argmax(axis=1), -1)


def dreams(folder: Path, channel: str | None) -> Iterator[SourceNight]:
    """DREAMS: `subject1.edf` beside `HypnogramAASM_subject1.txt` (or `HypnogramR&K_...`), or `excerpt1.edf`
    beside `Hypnogram_excerpt1.txt`; one code every 5 s below a heading. Each file is a subject of its own."""
    for path in _found([*folder.rglob("*.edf")], folder, "*.edf"):
        scored = [
            file
            for prefix in ("HypnogramAASM_", "HypnogramR&K_", "Hypnogram_")
            if (file := path.parent / f"{prefix}{path.stem}.txt").exists()
        ]
        if not scored:
            raise InputError("hypnogram", path.name, f"HypnogramAASM_{path.stem}.txt is needed beside it")
        lines = scored[0].read_text(encoding="utf-8", errors="replace").split()
        codes = np.array([int(line) for line in lines if re.fullmatch(r"-?\d+", line)], dtype=np.int64)
        if not len(codes):
            raise RecordingError("hypnogram", scored[0].name, "holds no stage codes", path=str(scored[0]))
        yield _edf_night(path.stem, path.stem, path, channel, _majority(codes))


def isruc(folder: Path, channel: str | None) -> Iterator[SourceNight]:
    """ISRUC-Sleep: folder `N` holds `N.rec` (EDF) and `N_1.txt`, the first scorer's R&K code of every 30 s.
    Subject: the folder's path."""
    for path in _found([*folder.rglob("*.rec")], folder, "*.rec"):
        scored = path.with_name(f"{path.stem}_1.txt")
        if not scored.exists():
            raise InputError("scoring", path.name, f"{scored.name} is needed beside it")
        codes = [int(line) for line in scored.read_text(encoding="utf-8").split()]
        name = str(path.parent.relative_to(folder)) if path.parent != folder else path.stem
        yield _edf_night(name, name, path, channel, codes_of([Stage.from_rk(code) for code in codes]))


def bids(folder: Path, channel: str | None) -> Iterator[SourceNight]:
    """BIDS: `sub-01/[ses-1/]eeg/..._eeg.edf` beside `..._events.tsv`, read by `read_bids_events`. Subject:
    `sub-01`."""
    for path in _found([*folder.glob("sub-*/**/*_eeg.edf")], folder, "sub-*/**/*_eeg.edf"):
        events = path.with_name(path.name.replace("_eeg.edf", "_events.tsv"))
        if not events.exists():
            raise InputError("events", path.name, f"{events.name} is needed beside it")
        subject = path.relative_to(folder).parts[0]
        stages = codes_of(read_bids_events(events).stages)
        yield _edf_night(path.name.removesuffix("_eeg.edf"), subject, path, channel, stages)


LAYOUTS: dict[str, Layout] = {"sleep-edf": sleep_edf, "dreams": dreams, "isruc": isruc, "bids": bids}
