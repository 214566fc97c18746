"""A night that was staged before: from a journal, or from the folder of its results."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, RecordingError
from ..files.inputs import open_regular
from ..journal.frames import PREAMBLE
from ..sources.edf import read_channel
from ..sources.lights import lights_of
from .night import Night, NightInfo
from .prediction_json import prediction_from_dict

if TYPE_CHECKING:
    import os

    from ..sources.edf import Recording

__all__ = ["is_journal", "night_of", "read_results"]

MOST_BYTES = 1 << 28


def night_of(path: str | os.PathLike[str]) -> Night:
    """The night in a journal, or in a folder of results with its predictions.json.

    The recording is read too where the folder of results holds it. Raises RecordingError for anything else,
    JournalError for a journal that cannot be read.
    """
    target = Path(path)
    return read_results(target) if target.is_dir() else Night.from_journal(target)


def is_journal(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins as a journal does; raises RecordingError where it cannot be read."""
    _, handle, _ = open_regular(path)
    with handle:
        return handle.read(len(PREAMBLE) - 1) == PREAMBLE[:-1]


def read_results(folder: str | os.PathLike[str]) -> Night:
    """The night whose predictions.json lies in a folder; raises RecordingError where there is none, or no
    such file.
    """
    target = Path(folder) / "predictions.json"
    if not target.exists():
        cure = "no predictions.json there: give the results of stage, the journal of stream, or a recording"
        raise RecordingError("results", str(folder), cure, path=str(folder))
    _, handle, size = open_regular(target)
    with handle:
        if size > MOST_BYTES:
            raise RecordingError("file", f"{size} bytes", f"at most {MOST_BYTES} are read", path=str(target))
        raw = handle.read()
    try:
        data = json.loads(raw)
        if data["format"] != "eegvlm-rt predictions" or data["version"] != 1:
            raise ValueError("another format or version")
        about, model = data["recording"], data["model"]
        predictions = [prediction_from_dict(epoch) for epoch in data["epochs"]]
        recording = _beside(Path(folder), about)
        lights = lights_of(recording)
        info = NightInfo(
            source=str(about["file"] or ""),
            channel=None if about["channel"] is None else str(about["channel"]),
            sfreq=float(about["sfreq"]),
            start=None if about["start"] is None else datetime.fromisoformat(about["start"]),
            duration_s=float(about["duration_s"]),
            model_id=str(model["id"]),
            model_digest=str(model["digest"]),
            mode=str(data["mode"]),
            lights_off_s=lights[0],
            lights_on_s=lights[1],
        )
        return Night(predictions, info, recording=recording).run()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = f"no predictions of ours: {error}"
        raise RecordingError("file", target.name, why, path=str(target)) from error


def _beside(folder: Path, about: dict[str, Any]) -> Recording | None:
    """The recording, where it lies in the folder of the results, still has the channel, and is as long."""
    name = about.get("file")
    if not isinstance(name, str) or Path(name).name != name or not (folder / name).is_file():
        return None
    with suppress(InputError):
        recording = read_channel(folder / name, about.get("channel"))
        # Results of a part of the file, as of a cropped Raw of MNE, have another time of each epoch.
        if abs(recording.duration_s - float(about["duration_s"])) < 1.0:
            return recording
    return None
