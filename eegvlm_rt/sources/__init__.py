"""Where recordings come from: EDF files and MNE objects."""

from __future__ import annotations

from .edf import Recording, channels, read_annotations, read_channel
from .edf_annotations import Annotation
from .mne import from_raw, is_raw

__all__ = ["Annotation", "Recording", "channels", "from_raw", "is_raw", "read_annotations", "read_channel"]
