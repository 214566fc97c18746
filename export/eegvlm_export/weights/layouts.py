"""Names of weights in other checkpoints, as names in a checkpoint of EEG-VLM."""

from __future__ import annotations

import re
from typing import Final

from eegvlm_rt.errors import CheckpointError

__all__ = ["adapted_name", "clip_name", "enhancement_name", "llava_name"]

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
_BUFFERS: Final = re.compile(r".*(position_ids|rotary_emb\.inv_freq|image_newline)$")
_OURS: Final = ("projector.", "enhancement.")
_TOWER: Final = re.compile(r"(?:vision_model\.)?((?:embeddings|pre_layrnorm|encoder|post_layernorm)\..+)")
_CLIP_APART: Final = re.compile(r"text_model\..+|(?:visual|text)_projection\.weight|logit_scale")


def llava_name(name: str) -> str | None:
    """The name here of a weight of LLaVA-1.5; None for a buffer, which follows from the configuration.

    Raises CheckpointError for a name that no weight of LLaVA-1.5 has.
    """
    if _BUFFERS.match(name):
        return None
    for pattern, target in _RULES:
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(target)
    raise CheckpointError("checkpoint", name, "no weight of LLaVA-1.5 has this name: import a LLaVA-1.5")


def adapted_name(name: str) -> str | None:
    """As `llava_name`, for a weight that an adapter holds or changes; it may have its name here already."""
    if name.startswith(_OURS):
        return name
    try:
        return llava_name(name)
    except CheckpointError:
        cure = "no weight of LLaVA-1.5 has this name: give an adapter of a LLaVA-1.5"
        raise CheckpointError("adapter", name, cure) from None


def clip_name(name: str) -> str | None:
    """The name here of a weight of CLIP; None for buffers and for the text side with its projections.

    Raises CheckpointError for a name that no weight of CLIP has.
    """
    if _BUFFERS.match(name) or _CLIP_APART.fullmatch(name):
        return None
    tower = _TOWER.fullmatch(name)
    if tower is None:
        raise CheckpointError("--clip", name, "no weight of CLIP has this name: give a CLIP of transformers")
    return f"vision_tower.{tower[1]}"


def enhancement_name(name: str) -> str | None:
    """The name here of a weight of a ConvNeXt or ResNet; None for its classifier."""
    if name.startswith("classifier."):
        return None
    return f"enhancement.backbone.{name.removeprefix('convnext.').removeprefix('resnet.')}"
