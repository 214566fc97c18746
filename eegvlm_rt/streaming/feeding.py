"""Chunks from any source into a stream; a source that goes quiet leaves the night open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from ..errors import SourceStalledError
from ..sources.chunk import Chunk, ChunkSource

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SourceLike", "chunks_of", "chunks_of_async"]

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
