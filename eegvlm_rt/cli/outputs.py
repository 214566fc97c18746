"""The files a staged night leaves behind."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__, plot
from ..atomic import write_file
from ..errors import RecordingError
from ..hypnogram import sleep_statistics, to_csv, write_edf, write_format
from .console import NOTICE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..hypnogram import Agreement, Hypnogram
    from .staging import Night

__all__ = ["make_folder", "night_dict", "predictions_json", "write_night"]

_ALWAYS = ("edf", "csv")


def make_folder(path: str) -> Path:
    """The folder, made where it is missing. Raises RecordingError where it cannot be made or written to."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordingError(
            "folder", path, f"cannot be made: {error.strerror}; choose another with --out", path=path
        ) from error
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RecordingError(
            "folder", path, f"cannot be written to: {error.strerror}; choose another with --out", path=path
        ) from error
    return folder


def night_dict(night: Night, agreement: Agreement | None) -> dict[str, Any]:
    """Everything about a night but its epochs, JSON-able."""
    recording = night.recording
    return {
        "format": "eegvlm-rt predictions",
        "version": 1,
        "notice": NOTICE,
        "software": f"eegvlm-rt {__version__}",
        "recording": {
            "file": None if recording.path is None else _unicode(recording.path.name),
            "channel": recording.channel,
            "sfreq": recording.sfreq,
            "duration_s": recording.duration_s,
            "start": None if recording.start is None else recording.start.isoformat(),
        },
        "model": {"id": night.model_id, "digest": night.model_digest},
        "mode": night.mode,
        "complete": night.complete,
        "summary": night.summary(),
        "statistics": sleep_statistics(night.hypnogram()).to_dict() if night.predictions else None,
        "agreement": None if agreement is None else agreement.to_dict(),
    }


def predictions_json(night: Night, agreement: Agreement | None) -> bytes:
    """Everything about a night as JSON, `epochs` its last key: one entry per staged epoch, in order.

    Epochs are encoded one at a time: a night of them at once takes many times the memory of their text.
    """
    head = json.dumps(night_dict(night, agreement), allow_nan=False, ensure_ascii=False, indent=1)
    text = bytearray(head.removesuffix("\n}").encode() + b',\n "epochs": [')
    for i, prediction in enumerate(night.predictions):
        epoch = json.dumps(prediction.to_dict(), allow_nan=False, ensure_ascii=False, indent=1)
        text += b",\n  " if i else b"\n  "
        text += epoch.replace("\n", "\n  ").encode()
    text += b"\n ]\n}\n"
    return bytes(text)


def _unicode(name: str) -> str:
    """A file name with a replacement character for each byte that is no UTF-8."""
    return os.fsencode(name).decode("utf-8", errors="replace")


def write_night(
    folder: Path,
    night: Night,
    *,
    reference: Hypnogram | None,
    agreement: Agreement | None,
    title: str,
    reference_name: str = "truth",
    formats: Sequence[str] = (),
) -> tuple[list[Path], str]:
    """Write hypnogram.edf, hypnogram.csv, predictions.json, hypnogram.png and the further `formats`.

    Returns the files and a remark (empty, or why there is no picture). Raises RecordingError.
    """
    hypnogram = night.hypnogram()
    files = [
        write_edf(hypnogram, folder / "hypnogram.edf"),
        to_csv(hypnogram, folder / "hypnogram.csv"),
        write_file(folder / "predictions.json", predictions_json(night, agreement)),
        *(write_format(hypnogram, folder, name) for name in dict.fromkeys(formats) if name not in _ALWAYS),
    ]
    if not plot.available():
        return files, "no picture: it needs matplotlib, pip install 'eegvlm-rt[viz]'"
    picture = folder / "hypnogram.png"
    files.append(
        plot.write_png(hypnogram, picture, reference=reference, title=title, reference_name=reference_name)
    )
    return files, ""
