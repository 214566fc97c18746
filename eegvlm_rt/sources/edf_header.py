"""The header of an EDF, EDF+, BDF or BDF+ file.

What the layout rests on is read strictly: a wrong number is named, never guessed. What only other channels
need may be wrong. How many data records there are is counted in the file, and said where the header differs.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO

from ..errors import RecordingError
from .edf_start import read_start
from .remark import Remark, RemarkKind

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ANNOTATIONS_LABELS", "EdfHeader", "SignalHeader", "read_header"]

ANNOTATIONS_LABELS = ("EDF Annotations", "BDF Annotations")
_BDF_VERSION = b"\xffBIOSEMI"
_MAX_SIGNALS = 2048
_NUMBER = re.compile(rb"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_COMMA = re.compile(rb"([+-]?\d+),(\d+)")
_INTEGER = re.compile(rb"[+-]?\d{1,8}")
_FIXED = (8, 80, 80, 8, 8, 8, 44, 8, 8, 4)
_PER_SIGNAL = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)


@dataclass(frozen=True, slots=True)
class SignalHeader:
    """One signal; `physical_*` and `digital_*` are the raw fields, checked when they are used."""

    label: str
    unit: str
    physical_min: bytes
    physical_max: bytes
    digital_min: bytes
    digital_max: bytes
    samples_per_record: int
    first_sample: int
    sfreq: float

    @property
    def is_annotations(self) -> bool:
        return self.label in ANNOTATIONS_LABELS


@dataclass(frozen=True, slots=True)
class EdfHeader:
    """Layout of one file.

    Attributes:
        start: date and clock of the header, None where they are hidden or cannot be read.
        interrupted: whether the file says that its records need not follow each other (EDF+D, BDF+D).
        n_records: whole data records in the file; `promised` is what the header says, None where it says
            nothing (-1, or no number).
        sample_bytes: 2 in EDF, 3 in BDF.
        remarks: what was left out or taken for granted.
    """

    path: Path
    start: datetime | None
    interrupted: bool
    header_bytes: int
    n_records: int
    record_s: float
    record_samples: int
    signals: tuple[SignalHeader, ...]
    sample_bytes: int = 2
    promised: int | None = None
    remarks: tuple[Remark, ...] = ()

    @property
    def timekeeper(self) -> SignalHeader | None:
        """The annotation signal that says when each data record begins: the first one (EDF+ 2.2.4)."""
        return next((signal for signal in self.signals if signal.is_annotations), None)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the ordinary signals, in file order."""
        return tuple(signal.label for signal in self.signals if not signal.is_annotations)


def read_header(path: Path, handle: BinaryIO, size: int) -> EdfHeader:
    """Read and check the header of an open EDF or BDF file of `size` bytes.

    Field layout: EDF (Kemp et al. 1992) and EDF+ (Kemp & Olivan 2003); BDF (BioSemi) is EDF with the version
    "\\xffBIOSEMI" and samples of three bytes. Raises RecordingError for what is no such file, whose layout
    cannot be known, or which holds not one whole data record.
    """
    if size == 0:
        raise RecordingError("file", "0 bytes", "the file is empty; give an EDF recording", path=str(path))
    fixed = handle.read(256)
    wide = fixed[:8] == _BDF_VERSION
    if not wide and not fixed.startswith(b"0"):
        raise RecordingError(
            "path", str(path), "this is no EDF or BDF file; give such a recording", path=str(path)
        )
    if len(fixed) < 256:
        raise RecordingError(
            "file", f"{size} bytes", "the header is cut off; copy the recording again", path=str(path)
        )
    version, _, recording, date, time, header_bytes, reserved, records, duration, signals = _split(
        fixed, _FIXED
    )
    if not wide and version.strip() != b"0":
        raise RecordingError(
            "path", str(path), "this is no EDF or BDF file; give such a recording", path=str(path)
        )
    if reserved.startswith(b"EDF+" if wide else b"BDF+"):
        raise RecordingError(
            "reserved",
            reserved[:5],
            "contradicts the version of the file; the header is damaged",
            path=str(path),
        )
    n_signals = _integer(path, "number of signals", signals, low=1, high=_MAX_SIGNALS)
    n_header = _integer(path, "header bytes", header_bytes, low=256)
    if n_header != 256 * (n_signals + 1):
        raise RecordingError(
            "header bytes",
            n_header,
            f"{n_signals} signals need {256 * (n_signals + 1)}; the header is damaged",
            path=str(path),
        )
    if n_header > size:
        raise RecordingError(
            "file", f"{size} bytes", f"the header alone is {n_header} bytes; copy it again", path=str(path)
        )
    record_s = number(path, "data record duration", duration)
    if record_s < 0.0:
        raise RecordingError("data record duration", record_s, "a duration is not negative", path=str(path))
    table = handle.read(n_header - 256)
    parsed = _signals(path, table, n_signals, record_s)
    record_samples = sum(signal.samples_per_record for signal in parsed)
    sample_bytes = 3 if wide else 2
    if record_samples == 0:
        raise RecordingError(
            "samples per record", 0, "not one signal holds a sample; the header is damaged", path=str(path)
        )
    whole, rest = divmod(size - n_header, sample_bytes * record_samples)
    if whole == 0:
        raise RecordingError(
            "file",
            f"{size} bytes",
            "the recording holds no whole data record; record or copy it again",
            path=str(path),
        )
    promised = _promised(records)
    share = rest / (sample_bytes * record_samples)
    start, remarks = read_start(date, time, recording)
    return EdfHeader(
        path=path,
        start=start,
        interrupted=reserved[:5] in (b"EDF+D", b"BDF+D"),
        header_bytes=n_header,
        n_records=whole,
        record_s=record_s,
        record_samples=record_samples,
        signals=parsed,
        sample_bytes=sample_bytes,
        promised=promised,
        remarks=(*_about_records(records, promised, whole, share, record_s), *remarks),
    )


def _promised(field: bytes) -> int | None:
    """Data records that the header promises; None where it does not say: -1 while recording, or no number."""
    text = field.strip(b" \0")
    value = int(text) if _INTEGER.fullmatch(text) else -1
    return value if value > 0 else None


def _about_records(
    field: bytes, promised: int | None, whole: int, share: float, record_s: float
) -> list[Remark]:
    """What to say where the header and the file differ; `share` is how much of a last record is there."""
    if promised == whole and not share:
        return []
    has = f"the file holds {whole}"
    missing = 0
    if promised is None:
        promise = field.decode("latin-1").strip(" \0")
        text = f"the recorder did not close the file (data records in the header: {promise!r}): {has}"
    elif promised > whole:
        missing = promised - whole
        lost = f"{missing} ({missing * record_s:g} s) missing"
        text = f"the header promises {promised} data records, {has}: {lost}"
    elif promised < whole:
        text = f"the header promises {promised} data records, {has}"
    else:
        text = f"the file is longer than its {whole} data records"
    if share:
        text += f"; the last record is cut, {share * record_s:.3g} s are left out"
        missing = max(missing, 1)
    lost_s = missing * record_s if promised is not None and promised > whole else share * record_s
    return [Remark(RemarkKind.RECORDS, text, missing, round(lost_s, 6))]


def number(path: Path, field: str, raw: bytes) -> float:
    """A finite number from an ASCII field; raises RecordingError."""
    text = raw.strip(b" \0")
    comma = _COMMA.fullmatch(text)
    # A decimal comma; "1,000" could be a thousand too, and is refused.
    if comma is not None and (len(comma[2]) != 3 or comma[1].lstrip(b"+-") == b"0"):
        text = text.replace(b",", b".")
    if _NUMBER.fullmatch(text) is None or not math.isfinite(float(text)):
        raise RecordingError(field, raw, "not a number; the header is damaged", path=str(path))
    return float(text)


def _integer(path: Path, field: str, raw: bytes, *, low: int, high: int | None = None) -> int:
    text = raw.strip(b" \0")
    if _INTEGER.fullmatch(text) is None:
        raise RecordingError(field, raw, "not a whole number; the header is damaged", path=str(path))
    value = int(text)
    if value < low or (high is not None and value > high):
        limit = f"at least {low}" if high is None else f"{low} to {high}"
        raise RecordingError(field, value, f"must be {limit}; the header is damaged", path=str(path))
    return value


def _split(raw: bytes, widths: tuple[int, ...]) -> list[bytes]:
    fields, offset = [], 0
    for width in widths:
        fields.append(raw[offset : offset + width])
        offset += width
    return fields


def _text(raw: bytes) -> str:
    """UTF-8, else Latin-1; what no terminal should see, as of another code page, becomes U+FFFD."""
    stripped = raw.strip(b" \0")
    try:
        text = stripped.decode("utf-8")
    except UnicodeDecodeError:
        text = stripped.decode("latin-1")
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _signals(path: Path, table: bytes, n_signals: int, record_s: float) -> tuple[SignalHeader, ...]:
    columns = _split(table, tuple(width * n_signals for width in _PER_SIGNAL))

    def field(column: int, signal: int) -> bytes:
        width = _PER_SIGNAL[column]
        return columns[column][signal * width : (signal + 1) * width]

    parsed: list[SignalHeader] = []
    first = 0
    for i in range(n_signals):
        label = _text(field(0, i))
        count = _integer(path, f"samples per record of signal {i + 1}", field(8, i), low=0)
        if record_s == 0.0 and label not in ANNOTATIONS_LABELS:
            raise RecordingError(
                "data record duration",
                record_s,
                f"signal {label!r} needs more than 0 s; the header is damaged",
                path=str(path),
            )
        parsed.append(
            SignalHeader(
                label=label,
                unit=_text(field(2, i)),
                physical_min=field(3, i),
                physical_max=field(4, i),
                digital_min=field(5, i),
                digital_max=field(6, i),
                samples_per_record=count,
                first_sample=first,
                sfreq=count / record_s if record_s > 0.0 else 0.0,
            )
        )
        first += count
    return tuple(parsed)
