"""Real datasets as training folders: `python -m eegvlm_train prepare LAYOUT DIR OUT`."""

from __future__ import annotations

from .command import main

__all__ = ["main"]
