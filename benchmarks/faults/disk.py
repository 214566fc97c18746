"""Disk full: the file system that the journal is on fills up in the night and is freed again."""

from __future__ import annotations

import errno
import resource
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from eegvlm_rt.journal import Journal, RecordKind, read
from eegvlm_rt.signal.units import EPOCH_S

from .compare import compare, expected_epochs, rows_of
from .outcome import NightResult
from .streaming import journal_rows, troubles
from .wire import Wire, places

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np

    from .signals import Signal
    from .streaming import Reference

__all__ = ["full_disk_night"]

DISK_BYTES: Final = 1 << 20
EPOCHS: Final = (3, 5)
"""What is left of the journal's last page may hold one epoch more."""


class _Disk(Protocol):
    folder: Path
    kind: str

    def fill(self) -> None: ...

    def free(self) -> None: ...


def full_disk_night(
    number: int, rng: np.random.Generator, signal: Signal, faults: int, reference: Reference, folder: Path
) -> NightResult:
    """A night on whose disk there is no room `faults` times, each for three to five epochs. Nothing of it may
    be lost but records, and each of those is counted.
    """
    wire = Wire(signal)
    per_epoch = EPOCH_S * signal.sfreq
    switches = []
    for place in places(rng, signal, faults):
        freed = place + round(rng.uniform(*EPOCHS) * per_epoch)
        switches += [(place, True), (freed, False)]
        wire.tell(place, f"the disk is full for {(freed - place) / signal.sfreq:.0f} s")
    with _small_disk(folder / f"disk-{number}") as disk:
        path = disk.folder / "night.journal"
        predictions, resumed = [], 0
        with (
            Journal.create(path, {"channel": "Fpz"}) as journal,
            reference.stager.stream(signal.sfreq, channel="Fpz", mode="head", journal=journal) as stream,
        ):
            for place, full in switches:
                wire.to(place)
                for x, stamps, _ in wire.handed_over(rng):
                    predictions += stream.push(x, stamps)
                if full:
                    resumed += journal.error is None
                    disk.fill()
                else:
                    disk.free()
            wire.finish()
            for x, stamps, _ in wire.handed_over(rng):
                predictions += stream.push(x, stamps)
            predictions += stream.close()
            resumed += journal.error is None
        report = read(path)
        losses = [r.body for r in report.records if r.kind == RecordKind.LOSS]
        again, state = Journal.resume(path)
        again.close()
        kind = disk.kind
    expected = expected_epochs(wire.end, wire.rate)
    rows, records = rows_of(predictions), journal_rows(report)
    lost = sum(body["kinds"].get("prediction", 0) for body in losses)
    broken = troubles(report, stream.night, expected)
    if len(records) + lost != expected or sum(body["records"] for body in losses) != journal.losses:
        broken.append(f"of {expected} epochs the journal holds {len(records)} and counts {lost} as lost")
    if lost < faults:
        broken.append(f"the disk was full {faults} times and {lost} epochs were lost: it was not full")
    if len(state.missing) != lost:
        broken.append(f"a night that is resumed knows of {len(state.missing)} of {lost} epochs lost")
    right = reference.predictions(signal)
    return NightResult.of(
        "disk full",
        number,
        signal,
        faults,
        wire.notes,
        rows,
        expected,
        compare(rows, right, set(), set()),
        broken,
        interrupted=faults,
        resumed=resumed - 1,
        facts={"disk": kind, "records_lost": journal.losses, "epochs_not_written": lost},
    )


@contextmanager
def _small_disk(folder: Path) -> Iterator[_Disk]:
    """A mounted file system of 1 MiB; where none may be mounted, the limit of the process for file sizes."""
    folder.mkdir()
    mounted = shutil.which("mount") is not None and (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)],
            capture_output=True,
            check=False,
        ).returncode
        == 0
    )
    try:
        yield _Mounted(folder) if mounted else _Limited(folder)
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], capture_output=True, check=True)
        shutil.rmtree(folder)


class _Mounted:
    kind = "a mounted tmpfs of 1 MiB"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        with self._filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def free(self) -> None:
        self._filler.unlink()


class _Limited:
    kind = "RLIMIT_FSIZE"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._soft, self._hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self) -> None:
        largest = max((path.stat().st_size for path in self.folder.iterdir()), default=0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, self._hard))

    def free(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._soft, self._hard))
