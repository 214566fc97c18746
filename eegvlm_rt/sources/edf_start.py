"""When an EDF file began: date and clock of its header, and EDF+'s own date in the recording field."""

from __future__ import annotations

import re
from datetime import date, datetime, time

from .remark import Remark, RemarkKind

__all__ = ["read_start"]

_THREE = re.compile(rb"\s*(\d{1,2})[.:\-/](\d{1,2})[.:\-/](\d{1,2})[\s\0]*")
_PLUS_DATE = re.compile(rb"Startdate (\d{1,2})-([A-Za-z]{3})-(\d{4})(?: |\Z)")
_MONTHS = (b"JAN", b"FEB", b"MAR", b"APR", b"MAY", b"JUN", b"JUL", b"AUG", b"SEP", b"OCT", b"NOV", b"DEC")
_HIDDEN = datetime(1985, 1, 1)


def read_start(
    date_field: bytes, time_field: bytes, recording: bytes
) -> tuple[datetime | None, list[Remark]]:
    """Start of the file, None where it is hidden or cannot be read, and what there is to say about it.

    The date is that of EDF+'s "Startdate 02-MAR-2002" (2.1.3.4), which has four digits for the year, else
    that of the header's "dd.mm.yy": 85 to 99 are 19yy, 00 to 84 are 20yy. 1 January 1985, 00.00.00 is how
    EDF+ hides a start, seven years before there were EDF files.
    """
    clock = _clock(time_field)
    plus, plain = _plus_date(recording), _plain_date(date_field)
    day = plus or plain
    remarks = []
    unreadable = [
        f"{name} {field.decode('latin-1').strip()!r}"
        for name, field, value in (("date", date_field, day), ("time", time_field, clock))
        if value is None
    ]
    if unreadable:
        text = f"the start is unknown: its {' and '.join(unreadable)} cannot be read"
        remarks.append(Remark(RemarkKind.START, text))
    if plus and plain and _contradict(plus, plain):
        text = f"the header's date {plain} and its Startdate {plus} differ: the latter is taken"
        remarks.append(Remark(RemarkKind.START, text))
    if day is None or clock is None:
        return None, remarks
    start = datetime.combine(day, clock)
    return None if start == _HIDDEN else start, remarks


def _clock(field: bytes) -> time | None:
    match = _THREE.fullmatch(field)
    try:
        return None if match is None else time(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None


def _plain_date(field: bytes) -> date | None:
    match = _THREE.fullmatch(field)
    if match is None:
        return None
    day, month, year = map(int, match.groups())
    try:
        return date(year + (1900 if year >= 85 else 2000), month, day)
    except ValueError:
        return None


def _plus_date(recording: bytes) -> date | None:
    match = _PLUS_DATE.match(recording)
    if match is None or match[2].upper() not in _MONTHS:
        return None
    try:
        return date(int(match[3]), 1 + _MONTHS.index(match[2].upper()), int(match[1]))
    except ValueError:
        return None


def _contradict(plus: date, plain: date) -> bool:
    """Whether the dates differ by more than the century, which the header's two digits leave open."""
    return (plus.day, plus.month, plus.year % 100) != (plain.day, plain.month, plain.year % 100)
