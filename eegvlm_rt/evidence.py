"""The old name of `eegvlm_rt.findings`, for one more release."""

from __future__ import annotations

import warnings

from .findings import Findings, Rhythm, Span, measure, measure_batch

__all__ = ["Findings", "Rhythm", "Span", "measure", "measure_batch"]

warnings.warn("eegvlm_rt.evidence is now called eegvlm_rt.findings", DeprecationWarning, stacklevel=2)
