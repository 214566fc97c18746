"""A stream that is over is freed with its last user, and not some nights later by the garbage collector."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import numpy as np
import pytest

from eegvlm_rt.journal import Journal
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.sources.chunk import Chunk, SourceEvent, SourceEventKind
from eegvlm_rt.stager import Stager, StreamOptions
from eegvlm_rt.streaming import StreamEventKind

if TYPE_CHECKING:
    from pathlib import Path

    from eegvlm_rt.streaming import StreamEvent


@pytest.fixture(scope="module")
def stager(tiny_bundle: Path) -> Stager:
    return Stager.load(tiny_bundle, threads=1)


@pytest.fixture(scope="module")
def chunks() -> list[Chunk]:
    """A minute and a half in which much is told: a gap, a clock that jumps back, an event of the source."""
    x = simulate_night(6, hours=0.05).samples_uv[:9000]
    stamps = 500 + np.arange(9000) / 100
    stamps[4000:] += 0.5
    stamps[7000:] -= 400
    event = SourceEvent(SourceEventKind.RECONNECTED, 0.0, "after 1 s")
    return [
        Chunk(x[i : i + 500], stamps[i : i + 500], 1e9, (event,) if i == 500 else ())
        for i in range(0, 9000, 500)
    ]


@pytest.mark.parametrize("mode", ["head", "cot"])
@pytest.mark.parametrize("deadline_s", [None, 60.0])
@pytest.mark.parametrize("end", ["flush", "abandon"])
@pytest.mark.usefixtures("no_garbage_collector")
def test_nothing_holds_a_stream_that_is_over(
    stager: Stager, chunks: list[Chunk], mode: str, deadline_s: float | None, end: str, tmp_path: Path
) -> None:
    events: list[StreamEvent] = []
    with Journal.create(tmp_path / "night.journal", {}) as journal:
        stream = stager.stream(
            100,
            mode=mode,
            options=StreamOptions(deadline_s=deadline_s),
            journal=journal,
            on_text=lambda _index, _text: None,
            on_event=events.append,
        )
        for chunk in chunks:
            stream.take(chunk)
        getattr(stream, end)()
        witness = weakref.ref(stream)
        del stream
        assert witness() is None
    assert {StreamEventKind.CLOCK, StreamEventKind.SOURCE} <= {event.kind for event in events}
