"""Nights with the faults of a wire, streamed with a journal in this process."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from eegvlm_rt.journal import Journal, RecordKind, read
from eegvlm_rt.signal.units import EPOCH_S
from eegvlm_rt.streaming.options import StreamOptions

from .compare import compare, digests, epochs_of, expected_epochs, rows_of
from .kinds import strike
from .outcome import NightResult
from .wire import Wire, places

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np

    from eegvlm_rt.journal import JournalReport
    from eegvlm_rt.prediction import StagePrediction
    from eegvlm_rt.stager import Stager, StreamOptions
    from eegvlm_rt.streaming import StreamStatus

    from .signals import Signal

__all__ = ["Reference", "faulty_night", "host_clock", "journal_rows", "troubles"]

DEADLINE_S: Final = 30.0


class Reference:
    """Predictions of nights without faults, each made once."""

    def __init__(self, stager: Stager) -> None:
        self.stager = stager
        self._kept: dict[tuple[str, int, str], list[dict[str, Any]]] = {}

    def rows(self, signal: Signal, mode: str = "head") -> list[dict[str, Any]]:
        """Rows as a journal would hold them, with the digest of each epoch's raw samples."""
        key = (signal.name, len(signal.samples_uv), mode)
        if key not in self._kept:
            self._kept[key] = self.of(signal, mode)
        return self._kept[key]

    def predictions(self, signal: Signal, mode: str = "head") -> list[dict[str, Any]]:
        """`rows` without the digests."""
        return [{k: v for k, v in row.items() if k != "samples_sha256"} for row in self.rows(signal, mode)]

    def of(self, signal: Signal, mode: str = "head") -> list[dict[str, Any]]:
        """The same for a signal that is not met again."""
        predictions = self.stager.predict_recording(signal.samples_uv, "Fpz", sfreq=signal.sfreq, mode=mode)
        hashes = digests(signal.samples_uv, signal.sfreq)
        return [
            {**row, "samples_sha256": digest}
            for row, digest in zip(rows_of(predictions), hashes, strict=True)
        ]


def faulty_night(
    kind: str,
    number: int,
    rng: np.random.Generator,
    signal: Signal,
    faults: int,
    reference: Reference,
    folder: Path,
) -> NightResult:
    """A night with `faults` faults of one of `WIRE_KINDS`, its journal in `folder`."""
    wire = Wire(signal)
    for place in places(rng, signal, faults):
        strike(kind, wire, rng, place)
    wire.finish()
    path = folder / f"{kind.replace(' ', '-')}-{number}.journal"
    deadline = DEADLINE_S if kind == "clock step" else None
    predictions, night = _streamed(reference.stager, wire, rng, path, deadline)
    report = read(path)
    rows, returned = journal_rows(report), rows_of(predictions)
    expected = expected_epochs(wire.end, wire.rate)
    same = [{name: row[name] for name in clean} for row, clean in zip(rows, returned, strict=False)]
    broken = troubles(report, night, expected)
    if len(rows) != len(returned) or same != returned:
        broken.append("the journal does not hold what was returned")
    broken += _untold(wire, rows)
    if night.worst_lag_s > DEADLINE_S:
        broken.append(f"a lag of {night.worst_lag_s:.0f} s is told")
    clean = wire.clean
    undamaged = len(clean) == len(signal.samples_uv) and wire.end == len(clean)
    right = reference.rows(signal) if undamaged else reference.of(replace(signal, samples_uv=clean))
    comparison = compare(rows, right, epochs_of(wire.touched, wire.rate), epochs_of(wire.flagged, wire.rate))
    return NightResult.of(
        kind,
        number,
        signal,
        faults,
        wire.notes,
        rows,
        expected,
        comparison,
        broken,
    )


@contextmanager
def host_clock() -> Iterator[list[float]]:
    """The host's clock (`time.time`) in the hands of who holds the list: its one item is added to it."""
    ahead, real = [0.0], time.time
    time.time = lambda: real() + ahead[0]
    try:
        yield ahead
    finally:
        time.time = real


def journal_rows(report: JournalReport) -> list[dict[str, Any]]:
    """The predictions that a journal holds."""
    return [dict(record.body) for record in report.records if record.kind == RecordKind.PREDICTION]


def troubles(report: JournalReport, night: StreamStatus | None, expected: int) -> list[str]:
    """What is wrong with a journal and with what the night counts."""
    details = [finding.detail for finding in report.findings]
    if not report.ok and not details:
        details.append(f"the journal has a torn tail of {report.torn_bytes} bytes")
    if report.records[-1].kind != RecordKind.SHUTDOWN:
        details.append("the journal does not tell the end of the night")
    if night is not None and night.total != expected:
        details.append(f"the night counts {night.total} epochs of {expected}")
    return details


def _streamed(
    stager: Stager, wire: Wire, rng: np.random.Generator, path: Path, deadline: float | None
) -> tuple[list[StagePrediction], StreamStatus]:
    predictions: list[StagePrediction] = []
    with (
        host_clock() as ahead,
        Journal.create(path, {"channel": "Fpz"}) as journal,
        stager.stream(
            wire.rate, channel="Fpz", mode="head", journal=journal, options=StreamOptions(deadline_s=deadline)
        ) as stream,
    ):
        for x, stamps, step_s in wire.chunks(rng):
            received_s = time.time()
            ahead[0] += step_s
            predictions += stream.push(x, stamps, received_s=received_s)
        predictions += stream.close()
    return predictions, stream.night


def _untold(wire: Wire, rows: list[dict[str, Any]]) -> list[str]:
    per_epoch = EPOCH_S * wire.rate
    flags = {row["index"]: set(row["quality"]["flags"]) for row in rows}
    missing = []
    for first, last, flag in wire.required:
        if not any(flag in flags.get(index, ()) for index in epochs_of([(first, last)], wire.rate)):
            missing.append(f"no flag '{flag}' in epoch {int(first // per_epoch)}")
    return missing
