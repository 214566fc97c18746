"""The name of a language model's cache argument, which transformers 5.24 renamed."""

from __future__ import annotations

import inspect

from transformers import LlamaForCausalLM

__all__ = ["CACHE_ARGUMENT"]

CACHE_ARGUMENT = (
    "cache" if "cache" in inspect.signature(LlamaForCausalLM.forward).parameters else "past_key_values"
)
