"""A night as it comes: samples in, predictions out, nothing lost and nothing late without a word."""

from __future__ import annotations

from ..sources.chunk import SourceLike
from .stager import StreamingStager
from .status import Night, StreamEvent, StreamEventKind

__all__ = ["Night", "SourceLike", "StreamEvent", "StreamEventKind", "StreamingStager"]
