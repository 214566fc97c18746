"""The parts of a bundle at work: from an epoch to its prediction."""

from __future__ import annotations

from .pipeline import Pipeline

__all__ = ["Pipeline"]
