"""Kinds of faults that a wire can carry, each written into a night at a place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from eegvlm_rt.signal.quality import QualityFlag
from eegvlm_rt.signal.units import EPOCH_S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from .wire import Wire

__all__ = ["LATER_KINDS", "WIRE_KINDS", "strike"]


def strike(kind: str, wire: Wire, rng: np.random.Generator, place: int) -> None:
    """Send the signal up to `place`, and there a fault of a kind."""
    wire.to(place)
    {**WIRE_KINDS, **LATER_KINDS}[kind](wire, rng)


def _drops(wire: Wire, rng: np.random.Generator) -> None:
    """Packets that never come: a share of them for a while, or all."""
    first = wire.end
    if rng.random() < 0.5:
        lost_s = rng.uniform(0.1, 45)
        wire.take(_samples(wire, lost_s))
        what = f"{lost_s:.1f} s lost"
    else:
        packet, share, lasting_s = _samples(wire, rng.uniform(0.05, 0.5)), rng.uniform(0.05, 0.4), 20.0
        wire.take(packet)
        while wire.end - first < lasting_s * wire.rate:
            x, stamps = wire.take(packet)
            if rng.random() > share:
                wire.send(x, stamps)
        what = f"{share:.0%} of packets of {packet} samples lost for {lasting_s:g} s"
    wire.damage(first, wire.end, what, QualityFlag.GAP)


def _bursts(wire: Wire, rng: np.random.Generator) -> None:
    """A wire that is silent for a while and then hands over everything in one piece."""
    for _ in range(int(rng.integers(1, 4))):
        silent_s = rng.uniform(2, 40)
        wire.tell(wire.end, f"{silent_s:.1f} s come in one piece")
        wire.send(*wire.take(_samples(wire, silent_s)), at_once=True)


def _duplicates(wire: Wire, rng: np.random.Generator) -> None:
    """A packet that comes again, at once or up to a minute later."""
    x, stamps = wire.take(_samples(wire, rng.uniform(0.02, 10)))
    wire.send(x, stamps)
    later_s = 0.0 if rng.random() < 0.5 else rng.uniform(0, 45)
    wire.send(*wire.take(_samples(wire, later_s) if later_s else 0))
    for _ in range(int(rng.integers(1, 4))):
        wire.send(x, stamps)
    wire.mark(wire.end, wire.end, f"{len(x)} samples again after {later_s:.1f} s", QualityFlag.DUPLICATE)


def _jumps(wire: Wire, rng: np.random.Generator) -> None:
    """The device's timestamps jump."""
    which = int(rng.integers(6))
    place = wire.end
    if which == 0:
        n = _samples(wire, rng.uniform(5, 100))
        wire.offset_s += n / wire.rate
        wire.pause(n)
        wire.mark(place, wire.end, f"the clock jumps on by {n / wire.rate:.1f} s", QualityFlag.GAP)
    elif which == 1:
        n = _samples(wire, rng.uniform(0.2, 1.8))
        wire.offset_s -= n / wire.rate
        wire.send(*wire.ahead(n))
        wire.skip(n)
        wire.mark(place, place, f"the clock jumps back by {n / wire.rate:.1f} s", QualityFlag.OVERLAP)
    elif which == 2:
        jump_s = float(rng.choice([-200_000.0, -10.0, 200_000.0, 1e9]))
        wire.offset_s += jump_s
        wire.mark(place, place, f"the clock is set by {jump_s:+g} s", QualityFlag.CLOCK)
    elif which == 3:
        jump_s = float(rng.choice([-200_000.0, 200_000.0, -3600.0]))
        wire.offset_s += jump_s
        wire.send(*wire.take(_samples(wire, rng.uniform(1.5, 40))))
        wire.offset_s -= jump_s
        wire.mark(place, place, f"the clock is set by {jump_s:+g} s, and back", QualityFlag.CLOCK)
        wire.mark(wire.end, wire.end, "it is set back", QualityFlag.CLOCK)
    elif which == 4:
        x, stamps = wire.take(_samples(wire, rng.uniform(0.5, 20)))
        stamps[rng.random(len(stamps)) < rng.uniform(0, 1)] = np.nan
        stamps[-1] = rng.choice([np.nan, np.inf, -np.inf])
        wire.send(x, stamps)
        wire.mark(
            place, wire.end, f"{(~np.isfinite(stamps)).sum()} timestamps are no numbers", QualityFlag.CLOCK
        )
    else:
        x, stamps = wire.take(_samples(wire, rng.uniform(5, 60)))
        wire.send(x, stamps + rng.uniform(-0.2, 0.2, len(x)) / wire.rate)
        wire.mark(place, wire.end, f"{len(x)} timestamps shake by a fifth of a sample")


def _nan(wire: Wire, rng: np.random.Generator) -> None:
    """Samples that are no numbers, or numbers that no amplifier sends."""
    first = wire.end
    x, stamps = wire.take(_samples(wire, rng.uniform(0.05, 45)))
    share = 1.0 if rng.random() < 0.5 else rng.uniform(0.005, 0.5)
    value = rng.choice([np.nan, np.inf, -np.inf, 1e30])
    x[rng.random(len(x)) < share] = value
    x[0] = value
    wire.send(x, stamps)
    wire.damage(first, wire.end, f"{share:.0%} of {len(x)} samples are {value:g}", QualityFlag.MISSING)


def _saturation(wire: Wire, rng: np.random.Generator) -> None:
    """An amplifier at its rails."""
    first, rail = wire.end, rng.uniform(200, 5000)
    x, stamps = wire.take(_samples(wire, rng.uniform(0.5, 60)))
    gain = 10 ** rng.uniform(0.7, 3)
    wire.send(np.clip(x * gain + rail * rng.uniform(-0.9, 0.9), -rail, rail).astype(np.float32), stamps)
    wire.damage(first, wire.end, f"{len(x) / wire.rate:.1f} s at rails of {rail:.0f} µV")


def _unplugged(wire: Wire, rng: np.random.Generator) -> None:
    """An electrode that is off: nothing, mains hum, or a rail."""
    first = wire.end
    x, stamps = wire.take(_samples(wire, rng.uniform(5, 100)))
    what = str(rng.choice(["nothing", "mains", "a rail", "noise"]))
    other: NDArray[np.floating] = np.zeros(len(x))
    if what == "mains":
        other = rng.uniform(50, 2000) * np.sin(2 * np.pi * 50.0 * stamps)
    elif what == "a rail":
        other = np.full(len(x), rng.choice([-1.0, 1.0]) * rng.uniform(200, 1e4))
    elif what == "noise":
        other = rng.normal(0, rng.uniform(1, 300), len(x))
    wire.send(other.astype(np.float32), stamps)
    wire.damage(first, wire.end, f"{len(x) / wire.rate:.1f} s unplugged: {what}")


def _clock_step(wire: Wire, rng: np.random.Generator) -> None:
    """The host's own clock is set while the samples that end an epoch are on their way."""
    step_s = float(rng.choice([-1.0, 1.0])) * 10 ** rng.uniform(0.3, 5)
    per_epoch = round(EPOCH_S * wire.rate)
    before, after = _samples(wire, rng.uniform(0.01, 2)), _samples(wire, rng.uniform(0.3, 2))
    wire.to(wire.end + -(wire.end + before) % per_epoch)
    wire.tell(wire.end, f"the host's clock is set by {step_s:+.1f} s")
    wire.send(*wire.take(before + after), step_s=step_s, at_once=True)


def _scattered(wire: Wire, rng: np.random.Generator) -> None:
    """Short packets of which a share never comes, for up to two minutes."""
    first = wire.end
    packet = max(1, round(wire.rate * 10 ** rng.uniform(-2.4, -0.6)))
    share, lasting_s = rng.uniform(0.02, 0.6), rng.uniform(30, 120)
    wire.take(packet)
    while wire.end - first < lasting_s * wire.rate:
        x, stamps = wire.take(packet)
        if rng.random() > share:
            wire.send(x, stamps)
    what = f"{share:.0%} of packets of {packet} samples lost for {lasting_s:.0f} s"
    wire.damage(first, wire.end, what, QualityFlag.GAP)


def _samples(wire: Wire, seconds: float) -> int:
    return max(1, round(seconds * wire.rate))


WIRE_KINDS: Final[Mapping[str, Callable[[Wire, np.random.Generator], None]]] = {
    "drops": _drops,
    "bursts": _bursts,
    "duplicates": _duplicates,
    "jumps": _jumps,
    "NaN": _nan,
    "saturation": _saturation,
    "unplugged": _unplugged,
    "clock step": _clock_step,
}
LATER_KINDS: Final[Mapping[str, Callable[[Wire, np.random.Generator], None]]] = {
    "scattered loss": _scattered,
}
