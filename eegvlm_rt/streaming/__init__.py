"""A night as it comes: samples in, predictions out, nothing lost and nothing late without a word."""

from __future__ import annotations

from .feeding import SourceLike
from .night import Night, StreamEvent, StreamEventKind
from .stream import StreamingStager

__all__ = ["Night", "SourceLike", "StreamEvent", "StreamEventKind", "StreamingStager"]
