"""SIGKILL: a bedside process is killed at a random instant, and another goes on with its night."""

from __future__ import annotations

import os
import signal as signals
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from eegvlm_rt.journal import RecordKind, night_state, read
from eegvlm_rt.signal.conditioning import lookahead_s
from eegvlm_rt.signal.units import EPOCH_S

from .compare import compare, epochs_of, expected_epochs
from .frames import packed
from .outcome import NightResult
from .streaming import journal_rows, troubles
from .wire import T0, Wire, places, settling_s

if TYPE_CHECKING:
    import numpy as np

    from .signals import Signal
    from .streaming import Reference

__all__ = ["killed_night"]

ROOT: Final = Path(__file__).resolve().parents[2]
START_S: Final = 120.0


def killed_night(
    number: int,
    rng: np.random.Generator,
    signal: Signal,
    faults: int,
    reference: Reference,
    folder: Path,
) -> NightResult:
    """A night whose process is killed `faults` times. The device goes on meanwhile: what it sends while there
    is no process is lost.
    """
    path, bundle = folder / f"SIGKILL-{number}.journal", str(reference.stager.bundle.path)
    wire, broken = Wire(signal), []
    resumed = 0
    process = _Bedside(bundle, path, signal.sfreq)
    for place in places(rng, signal, faults):
        sure = process.stage(wire, rng, place)
        delay_s = rng.uniform(0, 0.04)
        process.strike(wire, delay_s)
        lost = _epochs_before(sure, signal.sfreq)
        state = night_state(read(path).records)
        if state.next_epoch_index < lost or state.missing:
            broken.append(f"of {lost} epochs that were answered the journal holds {state.next_epoch_index}")
        if rng.random() < 0.3:
            _Bedside(bundle, path, signal.sfreq, wait=False).kill(rng.uniform(0.0, 1.0))
        away_s = 0.0 if rng.random() < 0.3 else rng.uniform(0, 100)
        wire.take(round(away_s * signal.sfreq))
        first = lost * EPOCH_S * signal.sfreq
        wire.touched.append((first, wire.end + settling_s(signal.sfreq) * signal.sfreq))
        wire.tell(sure, f"killed {1e3 * delay_s:.0f} ms after a chunk came, away for {away_s:.1f} s,")
        process = _Bedside(bundle, path, signal.sfreq)
        resumed += process.first_epoch == state.next_epoch_index
    process.stage(wire, rng, len(signal.samples_uv))
    process.end()
    report = read(path)
    rows = journal_rows(report)
    expected = expected_epochs(wire.end, wire.rate)
    broken += troubles(report, None, expected)
    broken += _off_grid(rows)
    starts = [r.body["grid_start_device_s"] for r in report.records if r.kind == RecordKind.CLOCK]
    if set(starts) != {T0}:
        broken.append(f"the grid began at {sorted(set(starts))}, not at {T0}")
    comparison = compare(rows, reference.rows(signal), epochs_of(wire.touched, wire.rate), set())
    return NightResult.of(
        "SIGKILL",
        number,
        signal,
        faults,
        wire.notes,
        rows,
        expected,
        comparison,
        broken,
        interrupted=faults,
        resumed=resumed,
        facts={"torn_tails": sum("torn_bytes" in r.body for r in report.records if r.kind == "resume")},
    )


@dataclass
class _Bedside:
    """A process of `_bedside`, ready to take chunks."""

    bundle: str
    path: Path
    sfreq: float
    wait: bool = True

    def __post_init__(self) -> None:
        places = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "benchmarks.faults._bedside",
                self.bundle,
                str(self.path),
                str(self.sfreq),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": places},
        )
        self.first_epoch = int(self._line().split()[1]) if self.wait else -1

    def stage(self, wire: Wire, rng: np.random.Generator, place: int) -> int:
        """Send the signal up to `place`, each chunk once the one before is answered."""
        assert self.process.stdin is not None
        while wire.end < place:
            size = max(1, int(wire.rate * 10 ** rng.uniform(-1.0, 1.0)))
            self.process.stdin.write(packed(*wire.take(min(size, place - wire.end))))
            self.process.stdin.flush()
            self._line()
        return wire.end

    def strike(self, wire: Wire, delay_s: float) -> None:
        """Send what ends the epoch in progress, and kill the process a moment later."""
        assert self.process.stdin is not None
        per_epoch = round(EPOCH_S * wire.rate)
        ahead = round(lookahead_s(wire.rate) * wire.rate) + 2
        self.process.stdin.write(packed(*wire.take(-(wire.end - ahead) % per_epoch or per_epoch)))
        self.process.stdin.flush()
        self.kill(delay_s)

    def kill(self, delay_s: float) -> None:
        """SIGKILL after a while."""
        time.sleep(delay_s)
        self.process.send_signal(signals.SIGKILL)
        self._gone()

    def end(self) -> None:
        """End the night in order."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(START_S)
        self._gone()
        if self.process.returncode != 0:
            raise RuntimeError(f"the bedside process ended with {self.process.returncode}")

    def _gone(self) -> None:
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None and not pipe.closed:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        if not line:
            self._gone()
            raise RuntimeError(f"the bedside process ended with {self.process.returncode}")
        return line


def _epochs_before(place: int, sfreq: float) -> int:
    """Epochs that are whole, with the signal that must follow them, once `place` samples were taken."""
    ahead = round(lookahead_s(sfreq) * sfreq) + 2
    return max(0, int((place - ahead) // (EPOCH_S * sfreq)))


def _off_grid(rows: list[dict[str, Any]]) -> list[str]:
    return [
        f"epoch {row['index']} begins at {row['start_s']} s"
        for row in rows
        if row["start_s"] != EPOCH_S * row["index"]
    ]
