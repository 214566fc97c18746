"""EDF+ time-stamped annotation lists (TAL), parsed in linear time whatever the bytes are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import RecordingError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Annotation", "parse_record"]

_TIMING = re.compile(rb"([+-]\d{1,12}(?:\.\d{0,12})?)(?:\x15(\d{1,12}(?:\.\d{0,12})?))?")


@dataclass(frozen=True, slots=True)
class Annotation:
    """`onset_s` counts from the start of the file; `duration_s` is None where the file gives none."""

    onset_s: float
    duration_s: float | None
    text: str


def parse_record(raw: bytes, path: Path, *, timekeeping: bool) -> tuple[float | None, tuple[Annotation, ...]]:
    """One data record's annotation bytes: (start of the record in s, its annotations).

    Only the first annotation signal of a file keeps time; for the others `timekeeping` is False and the start
    None. Layout: EDF+ (Kemp & Olivan 2003), 2.2.2 and 2.2.4. Raises RecordingError for bytes that are no
    annotation list or lack the time-keeping entry.
    """
    onset_s: float | None = None
    found: list[Annotation] = []
    for entry in raw.split(b"\0"):
        if not entry:
            continue
        timing, separator, rest = entry.partition(b"\x14")
        match = _TIMING.fullmatch(timing)
        if match is None or not separator or not rest.endswith(b"\x14"):
            raise RecordingError(
                "annotations", entry[:40], "not an EDF+ annotation list; the file is damaged", path=str(path)
            )
        onset = float(match[1])
        duration = None if match[2] is None else float(match[2])
        texts = rest[:-1].split(b"\x14")
        if timekeeping and onset_s is None:
            if texts[0] != b"":
                raise RecordingError(
                    "annotations",
                    entry[:40],
                    "the data record has no time-keeping entry; the file is damaged",
                    path=str(path),
                )
            onset_s, texts = onset, texts[1:]
        found.extend(Annotation(onset, duration, _decode(text)) for text in texts if text)
    if timekeeping and onset_s is None:
        raise RecordingError(
            "annotations",
            b"",
            "the data record has no time-keeping entry; the file is damaged",
            path=str(path),
        )
    return onset_s, tuple(found)


def _decode(text: bytes) -> str:
    decoded = text.decode("utf-8", errors="replace").strip()
    return "".join(character if character.isprintable() else "�" for character in decoded)
