"""The header of an EDF, EDF+, BDF or BDF+ file, read strictly: a wrong number is named, never guessed."""

from __future__ import annotations

import math
import os
import re
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from ..errors import RecordingError

__all__ = ["ANNOTATIONS_LABELS", "EdfHeader", "SignalHeader", "open_regular", "read_header"]

ANNOTATIONS_LABELS = ("EDF Annotations", "BDF Annotations")
_BDF_VERSION = b"\xffBIOSEMI"
_MAX_SIGNALS = 2048
_NUMBER = re.compile(rb"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_INTEGER = re.compile(rb"[+-]?\d{1,8}")
_DATE_TIME = re.compile(r"(\d\d)[.:\-/](\d\d)[.:\-/](\d\d)")
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
    """Layout of one file. `sample_bytes` is 2 in EDF, 3 in BDF; `start` is None where it is hidden."""

    path: Path
    start: datetime | None
    plus: bool
    header_bytes: int
    n_records: int
    record_s: float
    record_samples: int
    signals: tuple[SignalHeader, ...]
    sample_bytes: int = 2

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the ordinary signals, in file order."""
        return tuple(signal.label for signal in self.signals if not signal.is_annotations)


def open_regular(path: str | os.PathLike[str]) -> tuple[Path, BinaryIO, int]:
    """Open a regular file for reading: (path, file, size in bytes).

    Raises RecordingError where there is no such file, it is a folder or a device, or may not be read.
    """
    target = Path(path)
    try:
        if not stat.S_ISREG(target.stat().st_mode):
            what = "a folder" if target.is_dir() else "not a regular file"
            raise RecordingError("path", str(target), f"this is {what}; give an EDF file", path=str(target))
        handle = target.open("rb")
    except RecordingError:
        raise
    except FileNotFoundError as error:
        raise RecordingError("path", str(target), "there is no such file", path=str(target)) from error
    except PermissionError as error:
        raise RecordingError(
            "path", str(target), "this file may not be read; check its rights", path=str(target)
        ) from error
    except (OSError, ValueError) as error:
        raise RecordingError(
            "path", str(target), f"this file cannot be opened: {error}", path=str(target)
        ) from error
    return target, handle, os.fstat(handle.fileno()).st_size


def read_header(path: Path, handle: BinaryIO, size: int) -> EdfHeader:
    """Read and check the header of an open EDF or BDF file of `size` bytes.

    Field layout: EDF (Kemp et al. 1992) and EDF+ (Kemp & Olivan 2003); BDF (BioSemi) is EDF with the version
    "\\xffBIOSEMI" and samples of three bytes. Raises RecordingError for whatever is not a continuous file
    whose size is the size its header promises.
    """
    if size == 0:
        raise RecordingError("file", "0 bytes", "the file is empty; give an EDF recording", path=str(path))
    fixed = handle.read(256)
    wide = fixed[:8] == _BDF_VERSION
    if not wide and not fixed.startswith(b"0"):
        raise RecordingError(
            "version", fixed[:8], "this is no EDF or BDF file; give such a recording", path=str(path)
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
            "version", version, "this is no EDF or BDF file; give such a recording", path=str(path)
        )
    kind = reserved[:5]
    if kind in (b"EDF+D", b"BDF+D"):
        raise RecordingError(
            "reserved",
            kind.decode(),
            f"the recording has interruptions; export it as continuous {kind[:4].decode()}C parts",
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
    n_records = _integer(path, "number of data records", records, low=-1)
    if n_records < 1:
        cure = "the recorder did not close the file" if n_records < 0 else "the recording holds no data"
        raise RecordingError(
            "number of data records", n_records, f"{cure}; export the recording again", path=str(path)
        )
    record_s = number(path, "data record duration", duration)
    if record_s < 0.0:
        raise RecordingError("data record duration", record_s, "a duration is not negative", path=str(path))
    table = handle.read(n_header - 256)
    parsed = _signals(path, table, n_signals, record_s)
    record_samples = sum(signal.samples_per_record for signal in parsed)
    sample_bytes = 3 if wide else 2
    expected = n_header + sample_bytes * record_samples * n_records
    if size != expected:
        state = "cut off" if size < expected else "longer than its header says"
        raise RecordingError(
            "file",
            f"{size} bytes",
            f"the header promises {expected} bytes: the file is {state}; copy it again",
            path=str(path),
        )
    plus = kind == (b"BDF+C" if wide else b"EDF+C")
    return EdfHeader(
        path=path,
        start=_start(date, time, hidden=recording.startswith(b"Startdate X")),
        plus=plus,
        header_bytes=n_header,
        n_records=n_records,
        record_s=record_s,
        record_samples=record_samples,
        signals=parsed,
        sample_bytes=sample_bytes,
    )


def number(path: Path, field: str, raw: bytes) -> float:
    """A finite number from an ASCII field; raises RecordingError."""
    text = raw.strip(b" \0")
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


def _text(path: Path, field: str, raw: bytes) -> str:
    stripped = raw.strip(b" \0")
    try:
        text = stripped.decode("utf-8")
    except UnicodeDecodeError:
        text = stripped.decode("latin-1")
    if not text.isprintable():
        raise RecordingError(field, raw, "holds control characters; the header is damaged", path=str(path))
    return text


def _signals(path: Path, table: bytes, n_signals: int, record_s: float) -> tuple[SignalHeader, ...]:
    columns = _split(table, tuple(width * n_signals for width in _PER_SIGNAL))

    def field(column: int, signal: int) -> bytes:
        width = _PER_SIGNAL[column]
        return columns[column][signal * width : (signal + 1) * width]

    parsed: list[SignalHeader] = []
    first = 0
    for i in range(n_signals):
        label = _text(path, f"label of signal {i + 1}", field(0, i))
        count = _integer(path, f"samples per record of signal {i + 1}", field(8, i), low=1)
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
                unit=_text(path, f"physical dimension of signal {i + 1}", field(2, i)),
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


def _start(date: bytes, time: bytes, *, hidden: bool) -> datetime | None:
    """EDF clips the year at 1985: 85..99 are 19yy, 00..84 are 20yy. None for a hidden or unreadable start."""
    day = _DATE_TIME.fullmatch(date.decode("latin-1"))
    clock = _DATE_TIME.fullmatch(time.decode("latin-1"))
    if day is None or clock is None:
        return None
    year = int(day[3])
    try:
        start = datetime(
            year + (1900 if year >= 85 else 2000),
            int(day[2]),
            int(day[1]),
            int(clock[1]),
            int(clock[2]),
            int(clock[3]),
        )
    except ValueError:
        return None
    return None if hidden and start == datetime(1985, 1, 1) else start
