"""The files of a night: hypnogram in several forms, predictions as JSON, the picture."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..bundle.draft import is_draft_name
from ..errors import RecordingError
from ..files.outputs import write_file
from ..files.seal import SEAL, file_digests
from ..hypnogram import plot
from ..hypnogram.formats import format_files, write_format
from ..notice import NOTICE
from ..stages import STAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..hypnogram.agreement import Agreement
    from ..hypnogram.model import Hypnogram
    from .night import Night

__all__ = [
    "PREDICTIONS",
    "make_folder",
    "night_dict",
    "night_paths",
    "night_summary",
    "night_writers",
    "predictions_json",
]

PREDICTIONS = "predictions.json"
_PICTURE = "hypnogram.png"

ALWAYS = ("edf", "csv")
"""Forms of the hypnogram that every night gets."""


def make_folder(path: str | os.PathLike[str]) -> Path:
    """The folder, made where it is missing. Raises RecordingError where it cannot be made or written to."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordingError(
            "folder", str(path), f"cannot be made: {error.strerror}; choose another", path=str(path)
        ) from error
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RecordingError(
            "folder", str(path), f"cannot be written to: {error.strerror}; choose another", path=str(path)
        ) from error
    return folder


def night_writers(
    night: Night,
    folder: str | os.PathLike[str],
    *,
    formats: Sequence[str] = (),
    title: str | None = None,
    reference: Hypnogram | None = None,
    reference_name: str = "reference",
    agreement: Agreement | None = None,
    truth: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> list[Callable[[], Path]]:
    """One function per file of a night, each of which writes it into `folder` and returns its path.

    hypnogram.edf, hypnogram.csv, the further `formats` (names of `hypnogram.FORMATS`), hypnogram.png where
    matplotlib is installed, and predictions.json, which lists the digests of the others, where the night
    keeps its predictions. Nothing is written before they are called. `reference` is drawn into the picture,
    `agreement` goes into predictions.json, and `truth`, what it was compared with. What may be replaced:
    `files`.
    """
    place, hypnogram = Path(folder), night.hypnogram
    paths: list[Path] = []

    def keep(path: Path) -> Path:
        paths.append(path)
        return path

    writers: list[Callable[[], Path]] = [
        lambda name=name: keep(write_format(hypnogram, place, name, overwrite=overwrite))  # type: ignore[misc]
        for name in _forms(formats)
    ]
    if plot.available():
        writers.append(
            lambda: keep(
                write_night_picture(
                    night,
                    place / _PICTURE,
                    title=title,
                    reference=reference,
                    reference_name=reference_name,
                    overwrite=overwrite,
                )
            )
        )
    if night.predictions:
        target = place / PREDICTIONS
        writers.append(
            lambda: write_file(
                target, predictions_json(night, agreement, truth, file_digests(paths)), overwrite=overwrite
            )
        )
    return writers


def night_paths(
    folder: str | os.PathLike[str], formats: Sequence[str] = (), *, record: str = PREDICTIONS
) -> list[Path]:
    """The files that a night's writers write, before there is a night. `record` is the JSON file beside them.

    Raises InputError for an unknown form.
    """
    pictures = [_PICTURE] if plot.available() else []
    return [Path(folder) / name for name in (*format_files(_forms(formats)), *pictures, record)]


def _forms(formats: Sequence[str]) -> list[str]:
    return list(dict.fromkeys((*ALWAYS, *formats)))


def write_night_picture(
    night: Night,
    path: str | os.PathLike[str],
    *,
    size: tuple[int, int] = plot.DEFAULT_SIZE,
    title: str | None = None,
    reference: Hypnogram | None = None,
    reference_name: str = "reference",
    overwrite: bool = False,
) -> Path:
    """The picture of a night with its statistics and model; see `hypnogram.plot.write_picture`."""
    shown = ", ".join(filter(None, (night.info.source, night.info.channel))) if title is None else title
    return plot.write_picture(
        night.hypnogram,
        path,
        size=size,
        title=shown,
        model=model_line(night),
        statistics=night.statistics(),
        reference=reference,
        reference_name=reference_name,
        overwrite=overwrite,
    )


def model_line(night: Night) -> str:
    """Software, model with the beginning of its digest, and mode, in a line."""
    info = night.info
    digest = f" ({info.model_digest[:10]})" if info.model_digest else ""
    model = f", model {info.model_id}{digest}" if info.model_id else ""
    return f"eegvlm-rt {__version__}{model}{f', {info.mode}' if info.mode else ''}"


def night_summary(night: Night) -> dict[str, Any]:
    """Numbers of a night, JSON-able: epochs per stage, agreement with the head, claims, times in ms."""
    predictions, stages = night.predictions, night.table()["stage"]
    total = np.array([p.timing.total_ms for p in predictions])
    with_head = [p for p in predictions if p.head is not None]
    checks = [check for p in predictions for check in p.checks]
    return {
        "epochs": len(stages),
        "unscored": int((stages < 0).sum()),
        "stages": {stage.name: int((stages == stage).sum()) for stage in STAGES},
        "head_agrees": sum(p.agrees for p in with_head),
        "head_epochs": len(with_head),
        "claims": len(checks),
        "claims_supported": sum(check.verdict == "supported" for check in checks),
        "elapsed_s": round(night.elapsed_s, 3),
        "total_ms_median": round(float(np.median(total)), 3) if total.size else None,
        "total_ms_p99": round(float(np.quantile(total, 0.99)), 3) if total.size else None,
    }


def night_dict(
    night: Night, agreement: Agreement | None = None, truth: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Everything about a night but its epochs, JSON-able. `truth` is what it was compared with."""
    info = night.info
    return {
        "format": "eegvlm-rt predictions",
        "version": 1,
        "notice": NOTICE,
        "software": f"eegvlm-rt {__version__}",
        "recording": {
            "file": _unicode(info.source) if info.source else None,
            "channel": info.channel,
            "sfreq": info.sfreq,
            "duration_s": info.duration_s,
            "start": None if info.start is None else info.start.isoformat(),
            "remarks": [remark.to_dict() for remark in info.remarks],
        },
        "model": {"id": info.model_id, "digest": info.model_digest, **_draft(info.model_id)},
        "mode": info.mode,
        "complete": night.complete,
        "summary": night_summary(night),
        "statistics": night.statistics().to_dict() if len(night) else None,
        "truth": None if truth is None else dict(truth),
        "agreement": None if agreement is None else agreement.to_dict(),
    }


def _draft(model_id: str) -> dict[str, bool]:
    """What marks the draft of a model; nothing for any other."""
    return {"draft": True} if is_draft_name(model_id) else {}


def predictions_json(
    night: Night,
    agreement: Agreement | None = None,
    truth: Mapping[str, Any] | None = None,
    files: Mapping[str, str] | None = None,
) -> bytes:
    """Everything about a night as JSON, `epochs` its last key: one entry per staged epoch, in order. `files`
    are the digests of the files written with it, by name; see `files` for the seal.

    Epochs are encoded one at a time: a night of them at once takes many times the memory of their text.
    """
    fields = night_dict(night, agreement, truth) | {"written": {"by": SEAL, "files": dict(files or {})}}
    head = json.dumps(fields, allow_nan=False, ensure_ascii=False, indent=1)
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
