"""EDF files byte by byte: what a library would refuse to write, as recorders and other software leave it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SFREQ = 100
STEP_UV = 0.1
"""Physical value of one digital step: -32768..32767 is -3276.8..3276.7 µV."""
_WIDTHS = {
    "label": 16,
    "transducer": 80,
    "unit": 8,
    "physical_min": 8,
    "physical_max": 8,
    "digital_min": 8,
    "digital_max": 8,
    "filter": 80,
    "samples": 8,
    "reserved": 32,
}


def wave_uv(seconds: float, seed: int = 0) -> np.ndarray:
    """Tens of µV at 100 Hz, on the digital grid."""
    t = np.arange(round(seconds * SFREQ)) / SFREQ
    noise = np.random.default_rng(seed).standard_normal(t.size)
    return np.round((30 * np.sin(2 * np.pi * 10 * t) + 5 * noise) / STEP_UV) * STEP_UV


@dataclass
class RawSignal:
    """One signal: its header fields as they stand in the file, and the bytes of each record."""

    record: Callable[[int], bytes]
    samples: int
    label: bytes = b"EEG Fpz-Cz"
    unit: bytes = b"uV"
    physical_min: bytes = b"-3276.8"
    physical_max: bytes = b"3276.7"
    digital_min: bytes = b"-32768"
    digital_max: bytes = b"32767"
    fields: dict[str, bytes] = field(default_factory=dict)

    def text(self, name: str) -> bytes:
        if name in self.fields:
            return self.fields[name]
        value = getattr(self, name, b"")
        return b"%d" % value if isinstance(value, int) else value


def eeg(samples_uv: np.ndarray, **more) -> RawSignal:
    """A signal of 100 samples a record."""
    digital = np.round(samples_uv / STEP_UV).astype("<i2")
    return RawSignal(lambda i: digital[SFREQ * i : SFREQ * (i + 1)].tobytes(), SFREQ, **more)


def timekeeping(
    onset_s: Callable[[int], float] = float, entries: dict[int, bytes] | None = None, samples: int = 60
) -> RawSignal:
    """The annotation signal of EDF+; `entries` are added to single records."""

    def record(i: int) -> bytes:
        return (b"%+.12g\x14\x14\0" % onset_s(i) + (entries or {}).get(i, b"")).ljust(2 * samples, b"\0")

    return RawSignal(record, samples, b"EDF Annotations", b"", b"-1", b"1")


def write(
    path: Path,
    *signals: RawSignal,
    n: int,
    promised: bytes | None = None,
    record_s: bytes = b"1",
    reserved: bytes = b"EDF+C",
    date: bytes = b"01.05.20",
    time: bytes = b"22.00.00",
    recording: bytes = b"Startdate 01-MAY-2020 X X X",
    tail: bytes = b"",
) -> Path:
    """Write `n` data records, and `tail` after them."""
    fixed = (
        (b"0", 8),
        (b"X X X X", 80),
        (recording, 80),
        (date, 8),
        (time, 8),
        (b"%d" % (256 * (len(signals) + 1)), 8),
        (reserved, 44),
        (b"%d" % n if promised is None else promised, 8),
        (record_s, 8),
        (b"%d" % len(signals), 4),
    )
    header = b"".join(value.ljust(width) for value, width in fixed)
    header += b"".join(one.text(name).ljust(width) for name, width in _WIDTHS.items() for one in signals)
    assert len(header) == 256 * (len(signals) + 1)
    path.write_bytes(header + b"".join(one.record(i) for i in range(n) for one in signals) + tail)
    return path
