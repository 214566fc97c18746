"""Conditioned epochs, their measured findings, and batches of pictures."""

from .findings import FindingsTable
from .loading import Batch, Loader, VisionBatch, VisionBatches
from .nightset import NightSet, list_nights, load_nights

__all__ = [
    "Batch",
    "FindingsTable",
    "Loader",
    "NightSet",
    "VisionBatch",
    "VisionBatches",
    "list_nights",
    "load_nights",
]
