"""A night as it comes: samples in, predictions out, nothing lost and nothing late without a word."""

from __future__ import annotations

from ..old_names import renamed
from ..sources.chunk import SourceLike
from .stager import StreamingStager
from .status import StreamEvent, StreamEventKind, StreamStatus

__all__ = ["SourceLike", "StreamEvent", "StreamEventKind", "StreamStatus", "StreamingStager"]

__getattr__ = renamed(__name__, {"Night": "StreamStatus"})
