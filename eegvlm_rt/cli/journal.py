"""eegvlm-rt journal verify | export: the record of a night that was streamed."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.text import Text

from ..files.outputs import check_outputs
from ..journal.export import json_lines
from ..journal.reader import read
from ..journal.resume import night_state
from ..night.export import export_journal
from .console import note, out, plain, report_error

if TYPE_CHECKING:
    import argparse

    from rich.console import Console

    from ..journal.reader import JournalReport

__all__ = ["DAMAGED", "TORN", "run"]

TORN = 3
DAMAGED = 4


def run(args: argparse.Namespace) -> int:
    """Verify or export. Status: 0 the journal is whole, 3 its tail is torn, 4 it is damaged; JournalError
    where it cannot be read at all.
    """
    if args.action == "export" and args.out is not None:
        # What may be replaced is judged when the content is known: a longer export of the same night may.
        check_outputs([args.out], inputs=[args.file], overwrite=True)
    report = read(args.file)
    if args.action == "verify":
        return _verify(report, args.head, as_json=args.json)
    if args.out is None:
        sys.stdout.writelines(json_lines(report.records))
    else:
        path = export_journal(report.records, args.out, overwrite=args.overwrite)
        out().print(Text(f"Wrote {plain(str(path))}"), soft_wrap=True)
    for problem in _problems(report):
        report_error(problem)
    return _status(report)


def _verify(report: JournalReport, head: str | None, *, as_json: bool) -> int:
    problems = _problems(report)
    status = _status(report)
    if head and head.lower() not in {record.sha256 for record in report.records}:
        problems.append(f"no record has the SHA-256 {head}: the journal was cut or written anew")
        status = DAMAGED
    if as_json:
        fields = {
            "file": report.path,
            "status": status,
            "records": len(report.records),
            "head": report.head,
            "findings": [finding.to_dict() for finding in report.findings],
            "torn_bytes": report.torn_bytes,
            "problems": problems,
        }
        print(json.dumps(fields))
        return status
    console = out()
    _summary(console, report)
    for problem in problems:
        console.print(Text(plain(problem), style="yellow" if status == TORN else "red"), soft_wrap=True)
    if not problems:
        console.print("Whole: every record is the one that was written.", style="green")
    note(console)
    return status


def _summary(console: Console, report: JournalReport) -> None:
    state = night_state(report.records)
    console.print(Text.assemble((plain(report.path), "bold"), f"  {len(report.records)} records"))
    if state.grid_start_wall_s is not None:
        began = datetime.fromtimestamp(state.grid_start_wall_s, UTC).isoformat(timespec="seconds")
        console.print(f"epoch 0 began {began}")
    counted = ", ".join(f"{plain(name)} {count}" for name, count in sorted(state.outcomes.items()))
    console.print(f"{sum(state.outcomes.values())} epochs: {counted or 'none'}")
    lost = sum(_count(r.body.get("records")) for r in report.records if r.kind == "loss")
    if lost:
        console.print(f"{lost} records could not be written", style="yellow")
    console.print("ended in order" if state.finished else "not ended in order")
    console.print(f"head {report.head or 'none'}", soft_wrap=True)


def _problems(report: JournalReport) -> list[str]:
    problems = [finding.detail for finding in report.findings]
    if report.torn_bytes:
        problems.append(f"torn tail of {report.torn_bytes} bytes: {report.torn_reason}")
    return problems


def _status(report: JournalReport) -> int:
    if report.findings:
        return DAMAGED
    return TORN if report.torn_bytes else 0


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0
