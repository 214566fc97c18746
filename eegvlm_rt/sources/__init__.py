"""Where signals come from: EDF and BDF files, MNE objects, live streams and boards."""

from __future__ import annotations

from .annotation_file import read_annotations
from .chunk import Chunk, ChunkSource, SourceEvent, SourceEventKind
from .edf import Recording, channels, read_channel
from .edf_annotations import Annotation
from .mne import from_raw, is_raw
from .replay import EdfSource, RecordingSource, ReplaySource, replay
from .spec import SourceSpec, open_source, parse_source

__all__ = [
    "Annotation",
    "Chunk",
    "ChunkSource",
    "EdfSource",
    "Recording",
    "RecordingSource",
    "ReplaySource",
    "SourceEvent",
    "SourceEventKind",
    "SourceSpec",
    "channels",
    "from_raw",
    "is_raw",
    "open_source",
    "parse_source",
    "read_annotations",
    "read_channel",
    "replay",
]
