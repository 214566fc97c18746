"""Names of weights in other checkpoints, as names in a checkpoint of EEG-VLM."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["clip_name", "enhancement_name", "llava_name"]

_RULES: Final = (
    # Hugging Face, from transformers 4.52 on
    (r"model\.language_model\.(.+)", r"language_model.model.\1"),
    (
        r"model\.vision_tower\.(?:vision_model\.)?((?:embeddings|pre_layrnorm|encoder|post_layernorm)\..+)",
        r"vision_tower.\1",
    ),
    (r"model\.multi_modal_projector\.(linear_[12]\..+)", r"projector.\1"),
    # Hugging Face, before
    (r"language_model\.((?:model|lm_head)\..+)", r"language_model.\1"),
    (r"vision_tower\.(?:vision_model\.)?(.+)", r"vision_tower.\1"),
    (r"multi_modal_projector\.(linear_[12]\..+)", r"projector.\1"),
    # LLaVA's own
    (r"model\.vision_tower\.vision_tower\.(?:vision_model\.)?(.+)", r"vision_tower.\1"),
    (r"model\.mm_projector\.0\.(.+)", r"projector.linear_1.\1"),
    (r"model\.mm_projector\.2\.(.+)", r"projector.linear_2.\1"),
    (r"((?:model\.(?:embed_tokens|layers|norm)|lm_head)\..+)", r"language_model.\1"),
)
_UNUSED: Final = re.compile(r".*(position_ids|rotary_emb\.inv_freq|image_newline)$")


def llava_name(name: str) -> str | None:
    """The name of a LLaVA-1.5 weight here; None for one that is not used. Raises ValueError for another's."""
    if _UNUSED.match(name):
        return None
    for pattern, target in _RULES:
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(target)
    raise ValueError(f"checkpoint: {name}; no weight of LLaVA-1.5 has this name")


def clip_name(name: str) -> str | None:
    """The name of a CLIP weight here; None for the text side, projections and buffers."""
    found = re.fullmatch(r"(?:vision_model\.)?((?:embeddings|pre_layrnorm|encoder|post_layernorm)\..+)", name)
    return f"vision_tower.{found[1]}" if found and not _UNUSED.match(name) else None


def enhancement_name(name: str) -> str | None:
    """The name of a ConvNeXt or ResNet weight here; None for its classifier."""
    if name.startswith("classifier."):
        return None
    return f"enhancement.backbone.{name.removeprefix('convnext.').removeprefix('resnet.')}"
