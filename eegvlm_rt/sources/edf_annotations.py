"""EDF+ time-stamped annotation lists (TAL), parsed in linear time whatever the bytes are."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Annotation", "parse_record", "record_onset"]

_TIMING = re.compile(rb"([+-]\d{1,12}(?:\.\d{0,12})?)(?:\x15(\d{0,12}(?:\.\d{0,12})?))?")
_TIMEKEEPING = re.compile(rb"([+-]\d{1,12}(?:\.\d{0,12})?)(?:\x15[^\x14\0]{0,26})?\x14\x14")


@dataclass(frozen=True, slots=True)
class Annotation:
    """`onset_s` counts from the start of the file; `duration_s` is None where the file gives none."""

    onset_s: float
    duration_s: float | None
    text: str


def record_onset(raw: bytes) -> float | None:
    """When a data record begins, in s, by its time-keeping entry (EDF+ 2.2.4); None where there is none."""
    match = _TIMEKEEPING.match(raw)
    return None if match is None else float(match[1])


def parse_record(raw: bytes) -> tuple[tuple[Annotation, ...], tuple[bytes, ...]]:
    """The annotations of one data record, and the entries that are none.

    Layout: EDF+ (Kemp & Olivan 2003), 2.2.2: onset, optionally a duration, then texts, each ended by 0x14,
    and 0x00. An entry without a text keeps time. An empty duration is none.
    """
    annotations: list[Annotation] = []
    odd: list[bytes] = []
    for entry in raw.split(b"\0"):
        if not entry:
            continue
        timing, separator, rest = entry.partition(b"\x14")
        match = _TIMING.fullmatch(timing)
        if match is None or not separator or not rest.endswith(b"\x14"):
            odd.append(entry)
            continue
        onset = float(match[1])
        duration = float(match[2]) if match[2] and match[2] != b"." else None
        annotations.extend(
            Annotation(onset, duration, _decode(text)) for text in rest[:-1].split(b"\x14") if text
        )
    return tuple(annotations), tuple(odd)


def _decode(text: bytes) -> str:
    decoded = text.decode("utf-8", errors="replace").strip()
    return "".join(character if character.isprintable() else "�" for character in decoded)
