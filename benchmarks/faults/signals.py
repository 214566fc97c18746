"""The nights that faults strike: real recordings where they are at hand, and simulated ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from eegvlm_rt.signal.units import EPOCH_S
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.sources import read_channel

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Signal", "real_signals", "simulated_signals"]

MINUTES: Final = 30
WAKE_ROWS: Final = (0, 4, 8)
SIMULATED: Final = ((256.0, 501), (100.0, 502), (128.0, 503), (512.0, 504))
"""Rate in Hz and seed of each simulated night."""


@dataclass(frozen=True, slots=True, eq=False)
class Signal:
    """One clean night: float32 (n,) in µV without a missing sample, whole epochs, rate in Hz."""

    name: str
    real: bool
    samples_uv: NDArray[np.float32]
    sfreq: float

    def first(self, epochs: int) -> Signal:
        """The first epochs of it."""
        n = round(epochs * EPOCH_S * self.sfreq)
        return Signal(self.name, self.real, self.samples_uv[:n], self.sfreq)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able facts, without the samples."""
        return {"name": self.name, "real": self.real, "sfreq_hz": self.sfreq, "epochs": self.epochs}

    @property
    def epochs(self) -> int:
        """How many epochs it has."""
        return round(len(self.samples_uv) / self.sfreq / EPOCH_S)


def simulated_signals() -> list[Signal]:
    """Half an hour at each of four rates."""
    return [
        Signal(
            f"simulated {seed}, {rate:g} Hz",
            False,
            simulate_night(seed, hours=MINUTES / 60, sfreq=rate).samples_uv,
            rate,
        )
        for rate, seed in SIMULATED
    ]


def real_signals(folder: Path) -> list[Signal]:
    """Recordings of people: four of DREAMS, one of Sleep-EDF as a file, three days awake.

    Raises:
        FileNotFoundError: one of them is not in `folder`.
    """
    signals = []
    for path in sorted((folder / "dreams").glob("excerpt*.npz")):
        with np.load(path) as file:
            signals.append(_whole(f"DREAMS {path.stem}", file["signal_uv"], float(file["sfreq"])))
    recording = read_channel(folder / "sleep-edf" / "SC4001E0-first5min-PSG.edf", "EEG Fpz-Cz")
    signals.append(_whole("Sleep-EDF SC4001", recording.samples_uv, recording.sfreq))
    with np.load(folder / "sleep-edf" / "wake_pzoz_int16.npz") as file:
        counts, sfreq = file["x"], float(file["fs"])
        scale = np.broadcast_to(np.ravel(file["uv_per_lsb"]), len(counts)).astype(np.float32)
    for row in WAKE_ROWS:
        signal = counts[row].reshape(-1).astype(np.float32) * scale[row]
        signals.append(_whole(f"Sleep-EDF awake {row}", signal, sfreq))
    if len(signals) < 8:
        raise FileNotFoundError(f"{folder}: four DREAMS excerpts are expected in dreams/")
    return signals


def _whole(name: str, samples_uv: NDArray[np.float32], sfreq: float) -> Signal:
    epochs = min(MINUTES * 2, int(len(samples_uv) / sfreq / EPOCH_S))
    samples = np.ascontiguousarray(samples_uv[: round(epochs * EPOCH_S * sfreq)], dtype=np.float32)
    if not np.isfinite(samples).all():
        raise ValueError(f"{name}: holds missing samples")
    return Signal(name, True, samples, sfreq)
