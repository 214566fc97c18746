"""What a live source hands over: samples with the device's clock, and events of the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeAlias, runtime_checkable

from ..errors import InputError, SourceStalledError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "Chunk",
    "ChunkSource",
    "SourceEvent",
    "SourceEventKind",
    "SourceLike",
    "chunks_of",
    "chunks_of_async",
]

QUIET_S: Final = 0.25
"""A source that waits for samples hands over an empty chunk this often."""


class SourceEventKind(StrEnum):
    """What can happen to a source between two samples."""

    CONNECTED = "connected"
    STALLED = "stalled"
    DISCONNECTED = "disconnected"
    RECONNECTED = "reconnected"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class SourceEvent:
    """`at_s` is the host's wall clock (`time.time()`), `detail` a few words for a person."""

    kind: SourceEventKind
    at_s: float
    detail: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Some consecutive samples of one channel.

    Attributes:
        samples: float64 (n,) in µV, NaN where a sample is missing. n is 0 where only events are told, and
            every `QUIET_S` without samples, so that who takes chunks can look at the clock.
        timestamps: float64 (n,) seconds of the device's clock, one per sample.
        received_s: the host's wall clock (`time.time()`) when the samples were taken.
        events: what happened to the source since the chunk before, in order.

    Raises InputError for samples and timestamps that are not (n,) each.
    """

    samples: NDArray[np.float64]
    timestamps: NDArray[np.float64]
    received_s: float
    events: tuple[SourceEvent, ...] = ()

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.shape != self.timestamps.shape:
            shapes = f"shapes {self.samples.shape} and {self.timestamps.shape}"
            raise InputError("samples", shapes, "give (n,) samples and (n,) timestamps")

    def __len__(self) -> int:
        return len(self.samples)


@runtime_checkable
class ChunkSource(Protocol):
    """One channel of a device, a stream or a file. A context manager; closed at its end.

    `name` says where it comes from ("lsl:BedsideAmp"), `sfreq` is the nominal rate in Hz, `channel`
    its label.
    """

    @property
    def name(self) -> str: ...

    @property
    def sfreq(self) -> float: ...

    @property
    def channel(self) -> str: ...

    def chunks(self) -> Iterator[Chunk]:
        """Chunks as they come, until the source ends.

        Raises SourceStalledError where nothing came for the source's timeout. The source is then still open:
        calling `chunks` again goes on with it, and nothing is lost that it still delivers.
        """
        ...

    def close(self) -> None:
        """Let go of the device or file; calling it again does nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


SourceLike: TypeAlias = ChunkSource | Iterable[Chunk] | AsyncIterable[Chunk]


def chunks_of(
    source: ChunkSource | Iterable[Chunk], on_stall: Callable[[SourceStalledError], None]
) -> Iterator[Chunk | None]:
    """Chunks until the source ends; None after each stall of a `ChunkSource`, which is then asked again."""
    if not isinstance(source, ChunkSource):
        yield from source
        return
    while True:
        try:
            yield from source.chunks()
        except SourceStalledError as stall:
            on_stall(stall)
            yield None
        else:
            return


async def chunks_of_async(
    source: SourceLike, on_stall: Callable[[SourceStalledError], None]
) -> AsyncIterator[Chunk | None]:
    """The same for a sync or async source; a sync one is asked in a thread, the loop is never blocked."""
    if isinstance(source, AsyncIterable):
        async for chunk in source:
            yield chunk
        return
    rest = chunks_of(source, on_stall)
    while some := await asyncio.to_thread(lambda: list(islice(rest, 1))):
        yield some[0]
