"""The old name of `eegvlm_train.model.tokenizer`, for one more release."""

from __future__ import annotations

import warnings

from .model.tokenizer import build_tokenizer, corpus, main, model_vocabulary

__all__ = ["build_tokenizer", "corpus", "main", "model_vocabulary"]

warnings.warn(
    "eegvlm_train.tokenizer is now called eegvlm_train.model.tokenizer", DeprecationWarning, stacklevel=2
)
