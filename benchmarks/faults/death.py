"""Source death and return: a device process dies, within a packet or between two, and comes back."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from eegvlm_rt.journal import Journal, RecordKind, read
from eegvlm_rt.signal.quality import QualityFlag
from eegvlm_rt.sources.chunk import SourceEventKind
from eegvlm_rt.sources.live import LiveSource, nothing

from .compare import compare, epochs_of, expected_epochs, rows_of
from .frames import packed, unpacked
from .outcome import NightResult
from .streaming import journal_rows, troubles
from .wire import Wire, places

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eegvlm_rt.sources.chunk import Chunk
    from eegvlm_rt.sources.live import Samples

    from .signals import Signal
    from .streaming import Reference

__all__ = ["deadly_night"]

DEVICE: Final = Path(__file__).with_name("_device.py")
STALL_S: Final = 0.12
PIECE: Final = 1 << 16


def deadly_night(
    number: int, rng: np.random.Generator, signal: Signal, faults: int, reference: Reference, folder: Path
) -> NightResult:
    """A night whose source dies `faults` times. What the device would have sent until it is back is lost."""
    wire = Wire(signal)
    lives: list[_Life] = []
    file = folder / f"source-death-{number}.packets"
    with file.open("wb") as out:
        for place in places(rng, signal, faults):
            first = out.tell()
            packets = list(_packets(wire, rng, place))
            out.write(b"".join(packets))
            part = int(rng.integers(0, len(packets[-1]))) if rng.random() < 0.5 else 0
            away_s = rng.uniform(0.5, 100)
            quiet = bool(rng.random() < 0.5)
            place = wire.end
            if part:
                wire.take(round(rng.uniform(0.05, 2) * signal.sfreq))
                out.write(packets[-1][:part])
            wire.take(round(away_s * signal.sfreq))
            lives.append(_Life(first, out.tell(), quiet))
            how = f"{part} bytes into a packet" if part else "between two packets"
            then = "after a stall" if quiet else "at once"
            wire.damage(
                place,
                wire.end,
                f"the source dies {how}, is back {then}, {away_s:.1f} s later,",
                QualityFlag.GAP,
            )
        first = out.tell()
        out.write(b"".join(_packets(wire, rng, len(signal.samples_uv))))
        lives.append(_Life(first, None, False))
    path = folder / f"source-death-{number}.journal"
    with (
        _PipeSource(file, lives, signal.sfreq) as source,
        Journal.create(path, {"channel": "Fpz"}) as journal,
        reference.stager.stream(signal.sfreq, channel="Fpz", mode="head", journal=journal) as stream,
    ):
        returned = rows_of(stream.run(source))
    file.unlink()
    report = read(path)
    rows, expected = journal_rows(report), expected_epochs(wire.end, wire.rate)
    broken = troubles(report, stream.night, expected)
    if [row["index"] for row in rows] != [row["index"] for row in returned]:
        broken.append("the journal does not hold what was returned")
    events = [str(r.body["event"]) for r in report.records if r.kind == RecordKind.SOURCE]
    deaths, stalls = events.count("disconnected"), sum(life.quiet for life in lives)
    if deaths != faults or events.count("stalled") < stalls:
        broken.append(f"of {faults} deaths and {stalls} stalls the journal tells {events}")
    return NightResult.of(
        "source death",
        number,
        signal,
        faults,
        wire.notes,
        rows,
        expected,
        compare(rows, reference.rows(signal), epochs_of(wire.touched, wire.rate), set()),
        broken,
        interrupted=faults,
        resumed=events.count("reconnected"),
        facts={"stalls": stalls},
    )


@dataclass(frozen=True, slots=True)
class _Life:
    """What a device process sends before it dies (`last` None: it does not), and whether it is missed until
    the source calls it a stall.
    """

    first: int
    last: int | None
    quiet: bool


class _PipeSource(LiveSource):
    """A live source whose driver is a process of its own, which is started again when it has died."""

    def __init__(self, file: Path, lives: list[_Life], sfreq: float) -> None:
        super().__init__(f"pipe:{file.name}", STALL_S)
        self.sfreq, self.channel = sfreq, "Fpz"
        self._file, self._lives = file, list(lives)
        self._left = b""
        self._latest_s = 0.0
        self._missing = False
        self._device: subprocess.Popen[bytes] | None = None
        self._started()

    def chunks(self) -> Iterator[Chunk]:
        """Chunks as they come; asked again after a stall, the device is started again."""
        if self._missing and self._lives:
            self._back()
        yield from super().chunks()

    def clock_s(self) -> float:
        """The device's last timestamp: the packets tell of no other clock."""
        return self._latest_s

    def _poll(self) -> Samples:
        if self._device is None:
            return nothing()
        assert self._device.stdout is not None
        data = os.read(self._device.stdout.fileno(), PIECE)
        if not data:
            self._died()
            return nothing()
        self._left += data
        chunks = []
        while (chunk := unpacked(self._left)) is not None:
            chunks.append(chunk[:2])
            self._left = chunk[2]
        if not chunks:
            return nothing()
        stamps = np.concatenate([times for _, times in chunks])
        self._latest_s = float(stamps[-1])
        return np.concatenate([x for x, _ in chunks]).astype(np.float64), stamps

    def _died(self) -> None:
        assert self._device is not None
        code = self._device.wait()
        self._release()
        life = self._lives.pop(0)
        if life.last is None:
            self.stop()
            return
        self._tell(SourceEventKind.DISCONNECTED, f"the device process ended with {code}")
        self._left, self._missing = b"", True
        if not life.quiet:
            self._back()

    def _back(self) -> None:
        self._missing = False
        self._started()
        self._tell(SourceEventKind.RECONNECTED, "the device process was started again")

    def _started(self) -> None:
        life = self._lives[0]
        last = "-" if life.last is None else str(life.last)
        command = [sys.executable, "-S", "-E", str(DEVICE), str(self._file), str(life.first), last]
        self._device = subprocess.Popen(command, stdout=subprocess.PIPE)

    def _release(self) -> None:
        if self._device is not None:
            self._device.kill()
            self._device.wait()
            if self._device.stdout is not None:
                self._device.stdout.close()
            self._device = None


def _packets(wire: Wire, rng: np.random.Generator, place: int) -> Iterator[bytes]:
    while wire.end < place:
        size = max(1, round(wire.rate * rng.uniform(0.05, 2)))
        yield packed(*wire.take(min(size, place - wire.end)))
