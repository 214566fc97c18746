"""Bytes for attacks on the journal: whole records put together wrongly, and what must hold of any reading."""

from __future__ import annotations

from eegvlm_rt.errors import InputError, JournalError
from eegvlm_rt.journal.export import json_lines
from eegvlm_rt.journal.frames import PREAMBLE, genesis, kind_code, pack
from eegvlm_rt.journal.reader import JournalReport, scan
from eegvlm_rt.journal.resume import night_state
from eegvlm_rt.night import Night


def frames(bodies: list[bytes], kinds: list[str]) -> list[bytes]:
    """A whole chain, one frame per body."""
    head, found = genesis(), []
    for sequence, (body, kind) in enumerate(zip(bodies, kinds, strict=True)):
        frame, head = pack(sequence, kind_code(kind) or b"", head, body)
        found.append(frame)
    return found


def survive(data: bytes) -> JournalReport | None:
    """Read as far as anything does: a report that holds together, or the one typed error."""
    try:
        report = scan(data)
    except JournalError:
        return None
    assert 0 <= report.torn_bytes == len(data) - report.end <= len(data)
    assert all(data[r.offset : r.offset + 4] == b"\xe6JR\n" for r in report.records)
    assert [r.offset for r in report.records] == sorted({r.offset for r in report.records})
    state = night_state(report.records)
    assert state.records == len(report.records)
    assert state.next_epoch_index >= sum(state.outcomes.values())
    try:
        len(Night.from_journal(report.records).hypnogram)
    except InputError:
        assert state.next_epoch_index > 20160
    for _ in json_lines(report.records):
        pass
    if report.ok:
        assert data.startswith(PREAMBLE[: len(data)])
    return report
