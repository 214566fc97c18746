"""Devices that stamp packets, jitter, run off their rate, or count another unit than seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from eegvlm_rt.errors import UnitError
from eegvlm_rt.journal import Journal, read
from eegvlm_rt.signal.quality import QualityFlag
from eegvlm_rt.signal.units import EPOCH_S
from eegvlm_rt.streaming import StreamEventKind
from eegvlm_rt.streaming.options import TOLERANCE_S

from .compare import compare, epochs_of, expected_epochs, rows_of
from .outcome import NightResult
from .streaming import journal_rows, troubles
from .wire import T0, Wire, places

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from eegvlm_rt.streaming import StreamEvent

    from .signals import Signal
    from .streaming import Reference

__all__ = ["STAMPING_KINDS", "stamped_night"]

STAMPING_KINDS: Final = ("packets", "jitter", "wrong rate", "wrong unit")
JITTER_S: Final = 0.04
FACTORS: Final = (0.5, 0.9, 0.98, 1.02, 1.1, 2.0)
UNITS: Final = (1e3, 1e6, 1e9)


def stamped_night(
    kind: str,
    number: int,
    rng: np.random.Generator,
    signal: Signal,
    faults: int,
    reference: Reference,
    folder: Path,
) -> NightResult:
    """A night whose timestamps are those of one of `STAMPING_KINDS`, with `faults` faults on top of it."""
    wire = Wire(signal)
    told_kinds: set[StreamEventKind] = set()
    if kind == "wrong rate":
        x, stamps = _wrong_rate(wire, rng, signal, faults)
        told_kinds = {StreamEventKind.RATE}
    else:
        x, stamps = _packets(wire, rng, signal, faults, JITTER_S if kind == "jitter" else 0.0)
        # Rising timestamps that are nowhere off by more than the tolerance place their samples as they are.
        as_they_are = (np.diff(stamps) > 0).all() and _most_late_s(x, stamps, signal) <= TOLERANCE_S
        told_kinds = {StreamEventKind.STAMPS} if kind != "wrong unit" and not as_they_are else set()
    broken = _refusals(wire, rng, signal, reference, faults) if kind == "wrong unit" else []
    path = folder / f"{kind.replace(' ', '-')}-{number}.journal"
    events: list[StreamEvent] = []
    predictions = []
    with (
        Journal.create(path, {"channel": "Fpz"}) as journal,
        reference.stager.stream(
            signal.sfreq, channel="Fpz", mode="head", journal=journal, on_event=events.append
        ) as stream,
    ):
        start = 0
        while start < len(x):
            end = start + max(1, int(signal.sfreq * 10 ** rng.uniform(-1.5, 1.0)))
            predictions += stream.push(x[start:end], stamps[start:end])
            start = end
        predictions += stream.close()
    report = read(path)
    rows, returned = journal_rows(report), rows_of(predictions)
    expected = expected_epochs(wire.end, wire.rate)
    broken += troubles(report, stream.night, expected)
    if [row["index"] for row in rows] != [row["index"] for row in returned]:
        broken.append("the journal does not hold what was returned")
    broken += [f"no event '{one}'" for one in sorted(told_kinds - {event.kind for event in events})]
    comparison = compare(
        rows,
        reference.rows(signal)[:expected],
        epochs_of(wire.touched, wire.rate),
        epochs_of(wire.flagged, wire.rate),
    )
    return NightResult.of(kind, number, signal, faults, wire.notes, rows, expected, comparison, broken)


def _packets(
    wire: Wire, rng: np.random.Generator, signal: Signal, faults: int, jitter_s: float
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Samples and timestamps of packets, some of which are lost at `faults` places."""
    n, rate = len(signal.samples_uv), signal.sfreq
    size = int(rng.integers(4, 65)) if jitter_s else int(np.exp(rng.uniform(np.log(2), np.log(256))))
    x, _ = wire.take(n)
    place = np.arange(n)
    packet = place // size
    stamped = np.minimum((packet + 1) * size - 1, n - 1) if rng.random() < 0.5 else packet * size
    late = rng.uniform(0, jitter_s, packet[-1] + 1)[packet]
    stamps = np.maximum.accumulate(T0 + stamped / rate + late)
    stamps = stamps + place % size * float(rng.choice([0.0, 1e-6, 1e-5]))
    wire.tell(0, f"packets of {size} samples, up to {1e3 * jitter_s:.0f} ms late")
    keep = np.ones(n, dtype=np.bool_)
    if not jitter_s:
        for start in places(rng, signal, faults):
            first = start // size
            count = int(rng.integers(1, 20)) + round(0.1 * rate / size)
            lost = (packet >= first) & (packet < first + count)
            keep &= ~lost
            wire.damage(first * size, (first + count) * size, f"{count} packets lost", QualityFlag.GAP)
    return x[keep], stamps[keep]


def _most_late_s(x: NDArray[np.float32], stamps: NDArray[np.float64], signal: Signal) -> float:
    """How far the timestamps of the first second are from those of its samples."""
    n = min(len(x), round(signal.sfreq))
    return float(np.ptp(stamps[:n] - np.arange(n) / signal.sfreq))


def _wrong_rate(
    wire: Wire, rng: np.random.Generator, signal: Signal, faults: int
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """A device that is at its rate at first, and off it from a place on."""
    rate = signal.sfreq
    x = signal.samples_uv
    start = places(rng, signal, max(faults, 2))[1]
    factor = float(rng.choice(FACTORS))
    # As many samples as end in the middle of an epoch of the grid, which time and not their number makes.
    width = round(EPOCH_S * rate)
    epochs = int((len(x) - start) / factor / width)
    stop = start + round(min(len(x) - start, (epochs - 0.5) * width * factor))
    wire.take(start)
    wire.pause(round((stop - start) / factor))
    wire.damage(start, wire.end, f"the device is at {factor:g} of its rate", None)
    place = np.concatenate([np.arange(start), start + np.arange(stop - start) / factor])
    return x[:stop], T0 + place / rate


def _refusals(
    wire: Wire, rng: np.random.Generator, signal: Signal, reference: Reference, faults: int
) -> list[str]:
    """Streams with timestamps in another unit; what is not refused is a promise broken."""
    broken = []
    for _ in range(faults):
        factor = float(rng.choice(UNITS))
        wire.tell(0, f"timestamps are seconds times {factor:g}")
        stream = reference.stager.stream(signal.sfreq, channel="Fpz", mode="head")
        n = round(5 * signal.sfreq)
        predictions = []
        try:
            predictions += stream.push(signal.samples_uv[:n], (T0 + np.arange(n) / signal.sfreq) * factor)
            broken.append(f"seconds times {factor:g} are taken")
        except UnitError:
            predictions += stream.flush()
        if predictions:
            broken.append(f"seconds times {factor:g} gave {len(predictions)} epochs")
    return broken
