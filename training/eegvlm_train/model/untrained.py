"""Parts of a checkpoint that were never trained, as its configuration names them.

`eegvlm_export import` and `eegvlm_train assemble` leave them in the field `untrained`; the steps of training
take out what they train, and `eegvlm_export` publishes no bundle with such a part but as a draft.
"""

from __future__ import annotations

from collections.abc import Iterable

from .configuration import EegVlmConfig

__all__ = ["ENHANCEMENT", "LANGUAGE", "set_untrained", "untrained_parts"]

ENHANCEMENT = "enhancement"
"""The enhancement module: its stages, and the high-level features, are random."""

LANGUAGE = "language_model"
"""The language model: it never saw a question or an answer of EEG-VLM."""


def untrained_parts(config: EegVlmConfig) -> tuple[str, ...]:
    """Names of the parts, none for a checkpoint that was not imported."""
    return tuple(getattr(config, "untrained", None) or ())


def set_untrained(config: EegVlmConfig, parts: Iterable[str]) -> None:
    """Leave `parts` as the untrained ones; a configuration without any has no such field."""
    names = sorted(set(parts))
    if names:
        config.untrained = names
    elif hasattr(config, "untrained"):
        del config.untrained
