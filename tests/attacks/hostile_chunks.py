"""Hostile nights for the chunk path, each determined by its number, and what must hold of every one."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from eegvlm_rt.calibration import Scoring
from eegvlm_rt.errors import BackendError, EegVlmError
from eegvlm_rt.journal import NightState
from eegvlm_rt.prediction import Outcome
from eegvlm_rt.prompt import Mode
from eegvlm_rt.signal.conditioning import Preprocessing
from eegvlm_rt.signal.units import EPOCH_S
from eegvlm_rt.sources.chunk import Chunk
from eegvlm_rt.streaming import StreamingStager
from eegvlm_rt.streaming.options import StreamOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eegvlm_rt.prediction import StagePrediction
    from eegvlm_rt.signal.epochs import GridEpoch

RATES = (50.0, 50.0, 64.0, 100.0, 100.0, 128.0, 173.61, 256.0)
DTYPES = ("f8", "f8", "f4", "f2", "i2", "i4", "i8", "u1", "?", ">f8", ">i2")
SPECIAL = (np.nan, np.inf, -np.inf, 1e9, -1e9, 1e30, -1e308, 5e-324, 0.0)
STEPS_S = (
    -1e300,
    -2e5,
    -100.0,
    -10.0,
    -1.9,
    -0.5,
    -0.03,
    -0.01,
    0.01,
    0.03,
    0.5,
    9.0,
    70.0,
    700.0,
    2e5,
    1e18,
)
NO_SIGNAL: tuple[Any, ...] = (
    *(None, "noise", b"noise", object(), {}, 1.5, [[1.0], [2.0, 3.0]], [1.0, None], np.ones((2, 2))),
    *(np.array(3.0), np.array(["a"]), np.array([1j]), np.array([object()]), np.zeros((0, 5))),
    *(np.ma.masked_array([1.0, 2.0], [True, False]), np.array(["2026-01-01"], dtype="M8[s]"), [10**400]),
)
MEMORY_S = 600.0


class NoModel:
    """A pipeline without a model: it keeps what it was to look at, and fails, which makes a row."""

    workers = 1
    memory = None

    def __init__(self) -> None:
        self.scoring, self.preprocessing = Scoring(), Preprocessing()
        self.rows: list[GridEpoch] = []

    def see(self, rows: Sequence[GridEpoch], mode: Mode) -> list[Any]:
        """Take a look, and fail."""
        del mode
        self.rows += rows
        raise BackendError("model", "none", "this is what is tested")


@dataclass
class HostileNight:
    """Options of a stream and what is pushed into it."""

    rate: float
    options: dict[str, Any]
    pushes: list[tuple[Any, Any, Any]] = field(default_factory=list)
    tame: bool = True

    def run(self, pieces: Callable[[int], int] | None = None) -> tuple[list[StagePrediction], NoModel]:
        """Push everything and end the night; `pieces` cuts chunks of so many samples anew."""
        pipeline = NoModel()
        stream = StreamingStager(pipeline, Mode.HEAD, sfreq=self.rate, **self.options)  # type: ignore[arg-type]
        found: list[StagePrediction] = []
        for number, (x, stamps, received_s) in enumerate(self.pushes):
            for part, times in _cut(x, stamps, pieces):
                before, waited = stream._cutter.raw.end, stream._reader.waiting
                try:
                    found += _given(stream, part, times, received_s, number)
                except EegVlmError:
                    continue
                grown = stream._cutter.raw.end - before
                most = max(stream._timeline._max_gap, stream._timeline._tolerance)
                assert 0 <= grown <= (np.size(part) + waited + 1) * (most + 2)
                assert stream._reader.waiting <= max(60 * stream.sfreq, 4096) + np.size(part)
                _check_memory(stream, np.size(part))
        found += stream.close()
        _check_rows(stream, found, self.options["resume"])
        return found, pipeline


def hostile_night(seed: int, run: int) -> HostileNight:
    """The night of a number."""
    rng = random.Random(seed << 32 | run)
    rate = rng.choice(RATES)
    resume = None
    if rng.random() < 0.2:
        start = rng.choice([None, 0.0, 1e6, -1e14])
        resume = NightState({}, start, rng.choice([None, 0.0, 1.7e9, -1e14]), rng.randrange(40), None, 9)
    options = {
        "constrained": True,
        "unit": rng.choice(["uV"] * 5 + ["mV", "V", "nV"]),
        "channel": rng.choice([None, "Cz"]),
        "options": StreamOptions(
            deadline_s=rng.choice([None, None, 0.0, 5.0]),
            hop_s=rng.choice([None, None, None, 30.0, 10.0, 7.3, 0.5]),
            lights_off_s=rng.choice([None, None, None, 0.0, 1e6 + 5, 1e15]),
            tolerance_s=rng.choice([0.02, 0.02, 0.02, 0.001, 0.3, 1.0]),
            max_gap_s=rng.choice([60.0, 60.0, 300.0, 900.0, 0.001]),
        ),
        "journal": None,
        "resume": resume,
        "on_text": None,
        "on_event": None,
    }
    night = HostileNight(rate, options)
    clock, generator = rng.choice([0.0, 1e6, 1.7e9, -1e6]), np.random.default_rng(rng.getrandbits(64))
    for _ in range(rng.choice([1, 2, 4, 8, 16, 40])):
        if rng.random() < 0.1:
            night.pushes.append((rng.choice(NO_SIGNAL), rng.choice([None, None, [1.0], *NO_SIGNAL]), None))
            night.tame = False
            continue
        n = rng.choice([0, 1, 1, 2, 3, *[rng.randrange(1, 80)] * 4, rng.randrange(1, 600)])
        n = n if rng.random() > 0.04 else int(31 * rate)
        x = _samples(rng, generator, n)
        stamps, clock = _stamps(rng, generator, n, rate, clock)
        if rng.random() < 0.05:
            stamps = rng.choice([*NO_SIGNAL, np.zeros(n + 1)])
            night.tame = False
        received_s = rng.choice([None] * 6 + [0.0, 1e300, -1e300, np.nan, np.inf, -np.inf, "now", 1.8e9])
        night.pushes.append((x, stamps, received_s))
        if rng.random() < 0.2 and n:
            night.pushes.append((x, stamps, received_s))
    return night


def _samples(rng: random.Random, generator: np.random.Generator, n: int) -> Any:
    x = generator.normal(0, 10 ** rng.uniform(-3, 6), n)
    if rng.random() < 0.2:
        x[:] = rng.choice(SPECIAL)
    if rng.random() < 0.4 and n:
        x[generator.random(n) < rng.choice([0.001, 0.1, 0.9])] = rng.choice(SPECIAL)
    with np.errstate(all="ignore"):
        found = x.astype(np.dtype(rng.choice(DTYPES)))
    what = rng.random()
    if what < 0.1:
        return found.tolist()
    if what < 0.2:
        return found[::-1]
    return np.repeat(found, 2)[::2] if what < 0.3 else found


def _stamps(
    rng: random.Random, generator: np.random.Generator, n: int, rate: float, clock: float
) -> tuple[Any, float]:
    if rng.random() < 0.25:
        return None, clock + n / rate
    if rng.random() < 0.35:
        clock += rng.choice(STEPS_S)
    stamps = clock + np.arange(n) / rate
    clock += n / rate
    for _ in range(rng.choice([0, 0, 1, 1, 3])):
        if not n:
            break
        place, what = rng.randrange(n), rng.randrange(6)
        if what <= 1:
            stamps[place:] += rng.choice(STEPS_S)
        elif what == 2:
            stamps[place] = rng.choice([*SPECIAL, *STEPS_S])
        elif what == 3:
            stamps[generator.random(n) < rng.choice([0.01, 0.5, 1.0])] = rng.choice(SPECIAL)
        elif what == 4 and n < 100:
            stamps = stamps + generator.uniform(-1, 1, n) * rng.choice([0.5 / rate, 0.1, 1e4])
        else:
            stamps[place:] = stamps[place:][::-1]
    with np.errstate(all="ignore"):
        return (stamps.astype(rng.choice(["f8", "f8", "f8", "f4", "i8"])), clock)


def _cut(x: Any, stamps: Any, pieces: Callable[[int], int] | None) -> list[tuple[Any, Any]]:
    if pieces is None:
        return [(x, stamps)]
    found, start = [], 0
    while start < len(x):
        end = start + pieces(start)
        found.append((x[start:end], None if stamps is None else stamps[start:end]))
        start = end
    return found


def _given(
    stream: StreamingStager, x: Any, stamps: Any, received_s: Any, number: int
) -> list[StagePrediction]:
    if number % 5 == 4 and isinstance(x, np.ndarray) and isinstance(stamps, np.ndarray):
        return stream.take(Chunk(x, stamps, received_s if isinstance(received_s, float) else 0.0))
    return stream.push(x, stamps, received_s=received_s) + stream.poll()


def _check_memory(stream: StreamingStager, chunk: int) -> None:
    cutter = stream._cutter
    room = 4 * (MEMORY_S * stream.sfreq + chunk) + 4096
    for tail in (cutter.raw, cutter._y):
        assert len(tail._room) <= room, f"{len(tail._room)} samples are held of {room:.0f}"
    assert len(cutter._state._window) <= 1 << 17
    assert len(cutter._flags) <= 64
    assert len(stream._worker.pending) == 0


def _check_rows(stream: StreamingStager, found: list[StagePrediction], resume: NightState | None) -> None:
    first = 0 if resume is None else resume.next_epoch_index
    final = [p for p in found if not p.provisional]
    assert [p.index for p in final] == list(range(first, first + len(final)))
    assert all(p.start_s == EPOCH_S * p.index for p in final)
    assert stream.night.total == len(final)
    # Samples of which none has a neighbor are there, and say nothing: unscorable.
    assert {p.outcome for p in final} <= {Outcome.GAP, Outcome.FAILED, Outcome.LATE, Outcome.UNSCORABLE}
    assert all(0 <= p.quality.missing_share <= 1 for p in final)
    pipeline: NoModel = stream._worker._pipeline  # type: ignore[assignment]
    assert all(row.x.shape == (3000,) and row.x.dtype == np.float32 for row in pipeline.rows)
    assert not any(np.isinf(row.x).any() for row in pipeline.rows)
    cutter = stream._cutter
    placed = cutter.raw.end - cutter._begin
    if placed:
        last = int(np.ceil((cutter.raw.end - 1) / (EPOCH_S * stream.sfreq)))
        assert len(final) in (last - first, max(1, last - first))
    else:
        assert not final
    stream.night.to_dict()
    assert stream.close() == []


def check(seed: int, run: int) -> tuple[int, int]:
    """Everything that must hold of one night; returns how many chunks and epochs it had."""
    night = hostile_night(seed, run)
    found, pipeline = night.run()
    if night.tame and run % 4 == 0:
        rng = random.Random(run)
        again, other = night.run(lambda _: rng.choice([1, 7, 64, 1000, 4000]))
        said = [
            [(p.index, p.outcome, p.provisional, p.quality.to_dict()) for p in some if p.outcome != "late"]
            for some in (found, again)
        ]
        assert said[0] == said[1]
        seen = [[row.x.tobytes() for row in some.rows] for some in (pipeline, other)]
        assert seen[0] == seen[1]
    return len(night.pushes), sum(not p.provisional for p in found)
