"""The old name of `eegvlm_export.weights.layouts`, for one more release."""

from __future__ import annotations

import warnings

from .weights.layouts import clip_name, enhancement_name, llava_name

__all__ = ["clip_name", "enhancement_name", "llava_name"]

warnings.warn(
    "eegvlm_export.layouts is now called eegvlm_export.weights.layouts", DeprecationWarning, stacklevel=2
)
