"""Teachers trained on thousands of real nights label the simulated ones: `python -m eegvlm_train label`."""

from __future__ import annotations

from .label import main

__all__ = ["main"]
