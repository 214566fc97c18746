"""The model's process keeps nothing of a night that is over."""

from __future__ import annotations

import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from eegvlm_rt.service.wire import Wire, pair
from eegvlm_rt.service.worker import Worker
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.stager import Stager

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from eegvlm_rt.streaming import StreamingStager

SETTINGS = {"deadline_s": 60.0, "smooth": False}
SFREQ_HZ = 100.0
FRAME = 1000


class CountedStager:
    """A stager that knows which of its streams are still there."""

    def __init__(self, stager: Stager) -> None:
        self._stager = stager
        self.begun = 0
        self.streams: weakref.WeakSet[StreamingStager] = weakref.WeakSet()

    def stream(self, *arguments: Any, **options: Any) -> StreamingStager:
        """A stream of the stager."""
        stream = self._stager.stream(*arguments, **options)
        self.streams.add(stream)
        self.begun += 1
        return stream


class Bedside:
    """The service's end of the wire: it has nights of a few epochs for a worker that runs in a thread."""

    def __init__(self, stager: CountedStager) -> None:
        self._wire, there = pair()
        self._other = Wire(there.detach())
        self._thread = threading.Thread(target=self._work, args=(stager,))
        self._thread.start()
        x = simulate_night(6, hours=0.05).samples_uv[:9500].astype("<f4")
        self._frames = [x[i : i + FRAME] for i in range(0, len(x), FRAME)]
        self.decisions = 0

    def _work(self, stager: Any) -> None:
        with suppress(EOFError, OSError):
            Worker(self._other, stager, SETTINGS).run()

    def night(self, keys: set[str]) -> None:
        """Feed the worker one night of some beds, until it has let go of all of them."""
        over: set[str] = set()
        begun = False
        while True:
            answer = self._wire.receive(60.0)
            assert answer is not None, "the worker does not ask any more"
            message, _ = answer
            assert message["t"] != "refused", message["error"]
            if message["t"] == "record":
                self.decisions += message["kind"] == "prediction"
            elif message["t"] == "flushed":
                over.add(message["key"])
            elif message["t"] == "pull":
                opened = set(message["open"])
                self._answer(message["want"], begin=keys if not begun else set(), drop=opened & over)
                begun = True
                if over == keys and not opened:
                    return

    def _answer(self, want: dict[str, int], *, begin: set[str], drop: set[str]) -> None:
        frames, parts = [], []
        for key, first in want.items():
            for sequence, x in enumerate(self._frames[first : first + 3], first):
                stamps = (sequence * FRAME + np.arange(len(x))) / SFREQ_HZ
                fields = {"key": key, "sequence": sequence, "received_s": 1e9}
                frames.append({**fields, "n": len(x), "events": []})
                parts += [x.tobytes(), stamps.astype("<f8").tobytes()]
        nights = [
            {
                "key": key,
                "sfreq": SFREQ_HZ,
                "channel": "Fpz",
                "tolerance_s": None,
                "state": None,
                "first_frame": 0,
            }
            for key in sorted(begin)
        ]
        end = dict.fromkeys(want, len(self._frames) - 1)
        message = {"begin": nights, "frames": frames, "end": end, "drop": sorted(drop)}
        self._wire.send(message, b"".join(parts))

    def close(self) -> None:
        """End the worker."""
        self._wire.close()
        self._thread.join(60.0)
        self._other.close()


@pytest.fixture(scope="module", params=["head", "cot"])
def stager(request: pytest.FixtureRequest, tiny_bundle: Path) -> Stager:
    return Stager.load(tiny_bundle, mode=request.param, threads=1)


@pytest.fixture
def counted(stager: Stager) -> CountedStager:
    return CountedStager(stager)


@pytest.fixture
def bedside(counted: CountedStager) -> Iterator[Bedside]:
    bedside = Bedside(counted)
    yield bedside
    bedside.close()


@pytest.mark.usefixtures("no_garbage_collector")
def test_night_after_night_the_streams_of_all_beds_are_freed(
    bedside: Bedside, counted: CountedStager
) -> None:
    for number in range(1, 4):
        bedside.night({f"bed1/night-{number}", f"bed2/night-{number}"})
        assert (counted.begun, len(counted.streams)) == (2 * number, 0)
    assert bedside.decisions == 3 * 2 * 4
